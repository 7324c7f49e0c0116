from _gen import *  # <AUTO GENERATED>


@func_description("Leave the booking. Call when the guest does not want the room.")
def leave_booking(conv: Conversation, flow: Flow):
    conv.exit_flow()
    return {"utterance": "Very well. Write again whenever you like."}
