from _gen import *  # <AUTO GENERATED>


@func_description("Begin to book a room.")
def start_room_booking(conv: Conversation):
    return {"transition": {"goto_flow": "Book a room"}}
