from _gen import *  # <AUTO GENERATED>


def booking_entry(conv: Conversation, flow: Flow):
    # A patient who comes back to the booking is not asked again.
    known = conv.entities.treatment
    flow.goto_step("Collect details" if known and known.value else "Collect treatment")
