from _gen import *  # <AUTO GENERATED>


@func_description("Book the room that was offered. Call when the guest agrees.")
def book_room(conv: Conversation, flow: Flow):
    conv.write_metric("ROOM_BOOKED", conv.state.room, write_once=True)
    return {
        "utterance": f"The {conv.state.room} is yours. We look forward to seeing you.",
        "transition": {"exit_flow": True},
    }
