from _gen import *  # <AUTO GENERATED>


@func_description("Begin to put the customer through to the workshop. Call when a repair went wrong.")
def ask_for_workshop(conv: Conversation):
    # The workshop wants to know what it is about, so the handoff waits in the state until that is known.
    conv.state.handoff_after_remark = {
        "utterance": "Thank you. I'm getting somebody from the workshop.",
        "handoff": {"text_chat": {"webex_integration": {}}, "type": "Workshop", "reason": "repair complaint"},
    }
    conv.goto_flow("Before the workshop")
