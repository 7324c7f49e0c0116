from _gen import *  # <AUTO GENERATED>


@func_description("Put the guest through to the front desk. Call when the guest wants a person.")
def call_front_desk(conv: Conversation):
    return {
        "utterance": "Of course, I'll fetch somebody.",
        "handoff": {"type": "Front desk", "reason": "wants a person", "refer": {"phone_number": "+4940555010"}},
    }
