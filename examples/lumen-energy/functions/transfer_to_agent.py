from _gen import *  # <AUTO GENERATED>


@func_description("Hand over to a live agent. Call when the customer wants to speak to a person.")
def transfer_to_agent(conv: Conversation):
    conv.state.handoff_reason = "wants a person"
    conv.write_metric("HANDOFF", "wants a person", write_once=True)
    return {
        "utterance": "Of course. I'll connect you with one of our agents.",
        "handoff": {"text_chat": {"webex_integration": {}}, "reason": "wants to speak to a person"},
    }
