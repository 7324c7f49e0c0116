from _gen import *  # <AUTO GENERATED>


@func_description("Put a group of more than six guests through to the events team.")
@func_parameter("guests", "How many guests")
def call_groups(conv: Conversation, guests: int):
    return conv.call_handoff(
        destination="Groups",
        reason=f"a group of {guests}",
        utterance="For more than six guests our events team plans your stay. One moment, please.",
    )
