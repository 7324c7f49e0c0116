from _gen import *  # <AUTO GENERATED>
from functions.rates import NIGHTLY, total


@func_description("Work out the price of a stay.")
@func_parameter("nights", "How many nights")
@func_parameter("guests", "How many guests")
def quote_a_stay(conv: Conversation, nights: int, guests: int):
    if guests not in NIGHTLY:
        return conv.functions.call_groups(guests)
    conv.state.nights, conv.state.guests = nights, guests
    return {"utterance": f"{nights} nights for {guests} guests come to £{total(nights, guests):.2f}, breakfast included."}
