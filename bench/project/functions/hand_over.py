from _gen import *  # <AUTO GENERATED>


@func_description("Hands the conversation to a human.")
def hand_over(conv: Conversation):
    variables = {"reason": conv.id}
    return {
        "utterance": "One moment.",
        "handoff": {"text_chat": {"webex_integration": {"global_variables": variables}}},
    }
