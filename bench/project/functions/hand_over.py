from _gen import *  # <AUTO GENERATED>


@func_description("Hands the conversation to a human.")
def hand_over(conv: Conversation):
    return {"utterance": "One moment.", "handoff": {"text_chat": {"webex_integration": {}}}}
