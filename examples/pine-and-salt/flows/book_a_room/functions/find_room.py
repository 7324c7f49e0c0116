from _gen import *  # <AUTO GENERATED>
from functions.rates import NIGHTLY, total


@func_description("Find a free room for the stay.")
@func_parameter("nights", "How many nights")
@func_parameter("guests", "How many guests")
def find_room(conv: Conversation, flow: Flow, nights: int, guests: int):
    if guests not in NIGHTLY:
        conv.exit_flow()
        return conv.functions.call_groups(guests)
    conv.state.nights, conv.state.guests = nights, guests
    conv.state.room = "blue room" if guests <= 2 else "attic"
    conv.state.price = f"{total(nights, guests):.2f}"
    flow.goto_step("Offer the room", "room found")
