"""Sentences of the customer's wire, word for word where messaging-protocol.md (§8.3, §10) fixes them."""

from collections.abc import Sequence

TURN_FAILED = "Sorry, I'm having trouble responding right now. Please try again."
START_FAILED = "Sorry, I'm unable to start a conversation right now. Please try again later."
HANDOFF_NOT_STARTED = "Sorry, handoff could not be initiated."
HANDOFF_FAILED = "Sorry, we could not connect you to an agent. Please try again."
HANDOFF_TIMED_OUT = "Sorry, none of our agents is free right now. You can go on with the virtual assistant."
HANDOFF_TIMED_OUT_END = "Sorry, none of our agents is free right now. Please try again later."
NOT_DELIVERED = "Failed to forward message to live agent"
BUSY = "We are very busy right now. We keep trying to connect you to an agent."
ENDED_BY_OPERATOR = "Our team has ended this conversation."
RETURNED_BY_OPERATOR = "You are back with our virtual assistant."
SENT_AGAIN = "We are sending your message to our team once more."
DELIVERY_DELAYED = "Delivery is delayed. Your messages will be passed on as soon as possible."
LAST_MESSAGES_UNCERTAIN = "The conversation ended before your last message was confirmed; it may not have been read."
FILES_NOT_TAKEN = "Files can be sent only while you are connected to our team."
FILES_REFUSED = {
    "count": "These are too many files for one message.",
    "size": "This file is too large to be sent.",
    "type": "Files of this type cannot be sent.",
}
FILES_NOT_DELIVERED = "The files you sent did not reach an agent."
SOMETHING_DROPPED = "A file that you sent was not delivered: it did not pass the security check."


def dropped(names: Sequence[str]) -> str:
    """Which of the customer's files were not delivered (webex-byoc.md §14)."""
    they = "it" if len(names) == 1 else "they"
    return f"{_were(names)} not delivered: {they} did not pass the security check."


def left_out(names: Sequence[str]) -> str:
    """Which files were left out of a message that was not taken with them (webex-byoc.md §15.1)."""
    return f"{_were(names)} not delivered: such files are not taken here."


def _were(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'was' if len(names) == 1 else 'were'}"
