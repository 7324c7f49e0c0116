from _gen import *  # <AUTO GENERATED>


@func_description("Say goodbye and end the conversation. Call when the guest has nothing else.")
def say_goodbye(conv: Conversation):
    return {"utterance": "Thank you for writing. We look forward to seeing you.", "hangup": True}
