"""The handoff as one table. Everything that decides about a handoff's states stands in this file.

Rules: a pair (state, input) that is not in the table changes nothing. Steps are done in the order given. What is
older than what we know never reaches the table (`decide_handoff`). `docs/handoff.md` is generated from it.
Sources: style-anchors.md §6.3, webex-byoc.md §16–17, messaging-protocol.md §8 (which wins for what is shown).
"""

from dataclasses import dataclass
from enum import StrEnum


class HandoffState(StrEnum):
    """Where a handoff is."""

    REQUESTED = "requested"
    """Asked for; the contact centre has not proved that it has it."""
    QUEUED = "queued"
    """The contact centre has it; no live agent yet."""
    LIVE = "live"
    """A live agent answers."""
    TRANSFERRING = "transferring"
    """A live agent had it; it waits for another one."""
    ENDED = "ended"
    """Over, whatever the outcome."""


class HandoffInput(StrEnum):
    """What may happen to a handoff."""

    USER_MESSAGE = "customer writes"
    OPENED = "contact centre has it"
    QUEUED = "queue news"
    AGENT_JOINED = "live agent joins"
    AGENT_MESSAGE = "live agent writes"
    LATE_MESSAGE = "live agent wrote before leaving"
    FLOW_MESSAGE = "contact centre's flow writes"
    AGENT_LEFT = "live agent leaves"
    CONFIRMED = "our message confirmed"
    UNDELIVERABLE = "our message undeliverable"
    OPEN_FAILED = "opening failed"
    PROVIDER_ENDED = "contact centre ends"
    DEADLINE = "deadline"
    CUSTOMER_LEFT = "session ends"
    OPERATOR_ENDS = "operator ends it"
    OPERATOR_RETURNS = "operator returns it"


class Step(StrEnum):
    """What a transition does. In capitals: what the customer sees."""

    ACCEPTED = "HANDOFF_ACCEPTED"
    QUEUE_STATUS = "HANDOFF_QUEUE_STATUS"
    JOINED = "LIVE_AGENT_JOINED"
    MESSAGE = "LIVE_AGENT_MESSAGE"
    RECEIVED = "LIVE_AGENT_RECEIVED_MESSAGE"
    NOT_DELIVERED = "SYSTEM_MESSAGE (not delivered)"
    LEFT = "LIVE_AGENT_LEFT"
    FAILED = "HANDOFF_FAILED"
    TIMED_OUT = "HANDOFF_TIMEOUT"
    FORWARD = "forward to the contact centre"
    CLOSE = "close there"
    ARM_QUEUE = "arm the queue deadline"
    DISARM = "disarm the deadline"
    RESUME = "back to the virtual agent, or SESSION_END"
    CONCLUDE = "SESSION_END, or back to the virtual agent"
    NOTICE = "SYSTEM_MESSAGE (what the operator did)"
    END = "SESSION_END"
    RETURN = "back to the virtual agent"


@dataclass(frozen=True, slots=True)
class Transition:
    """The state after an input, and what is done on the way."""

    to: HandoffState
    steps: tuple[Step, ...] = ()


_S = HandoffState
_I = HandoffInput

TRANSITIONS: dict[HandoffState, dict[HandoffInput, Transition]] = {
    _S.REQUESTED: {
        _I.USER_MESSAGE: Transition(_S.REQUESTED, (Step.FORWARD,)),
        _I.OPENED: Transition(_S.QUEUED, (Step.ACCEPTED, Step.ARM_QUEUE)),
        _I.QUEUED: Transition(_S.QUEUED, (Step.ACCEPTED, Step.QUEUE_STATUS, Step.ARM_QUEUE)),
        _I.AGENT_JOINED: Transition(_S.LIVE, (Step.ACCEPTED, Step.JOINED, Step.DISARM)),
        _I.AGENT_MESSAGE: Transition(_S.LIVE, (Step.ACCEPTED, Step.JOINED, Step.MESSAGE, Step.DISARM)),
        _I.FLOW_MESSAGE: Transition(_S.QUEUED, (Step.ACCEPTED, Step.MESSAGE, Step.ARM_QUEUE)),
        _I.CONFIRMED: Transition(_S.QUEUED, (Step.ACCEPTED, Step.RECEIVED, Step.ARM_QUEUE)),
        _I.UNDELIVERABLE: Transition(_S.REQUESTED, (Step.NOT_DELIVERED,)),
        _I.OPEN_FAILED: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.CLOSE, Step.RESUME)),
        _I.PROVIDER_ENDED: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.RESUME)),
        _I.DEADLINE: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.CLOSE, Step.RESUME)),
        _I.CUSTOMER_LEFT: Transition(_S.ENDED, (Step.DISARM, Step.CLOSE)),
        _I.OPERATOR_ENDS: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.CLOSE, Step.NOTICE, Step.END)),
        _I.OPERATOR_RETURNS: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.CLOSE, Step.NOTICE, Step.RETURN)),
    },
    _S.QUEUED: {
        _I.USER_MESSAGE: Transition(_S.QUEUED, (Step.FORWARD,)),
        _I.QUEUED: Transition(_S.QUEUED, (Step.QUEUE_STATUS,)),
        _I.AGENT_JOINED: Transition(_S.LIVE, (Step.JOINED, Step.DISARM)),
        _I.AGENT_MESSAGE: Transition(_S.LIVE, (Step.JOINED, Step.MESSAGE, Step.DISARM)),
        _I.FLOW_MESSAGE: Transition(_S.QUEUED, (Step.MESSAGE,)),
        _I.CONFIRMED: Transition(_S.QUEUED, (Step.RECEIVED,)),
        _I.UNDELIVERABLE: Transition(_S.QUEUED, (Step.NOT_DELIVERED,)),
        _I.PROVIDER_ENDED: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.RESUME)),
        _I.DEADLINE: Transition(_S.ENDED, (Step.TIMED_OUT, Step.DISARM, Step.CLOSE, Step.RESUME)),
        _I.CUSTOMER_LEFT: Transition(_S.ENDED, (Step.DISARM, Step.CLOSE)),
        _I.OPERATOR_ENDS: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.CLOSE, Step.NOTICE, Step.END)),
        _I.OPERATOR_RETURNS: Transition(_S.ENDED, (Step.FAILED, Step.DISARM, Step.CLOSE, Step.NOTICE, Step.RETURN)),
    },
    _S.LIVE: {
        _I.USER_MESSAGE: Transition(_S.LIVE, (Step.FORWARD,)),
        _I.QUEUED: Transition(_S.TRANSFERRING, (Step.QUEUE_STATUS, Step.ARM_QUEUE)),
        _I.AGENT_JOINED: Transition(_S.LIVE, (Step.JOINED,)),
        _I.AGENT_MESSAGE: Transition(_S.LIVE, (Step.MESSAGE,)),
        _I.FLOW_MESSAGE: Transition(_S.LIVE, (Step.MESSAGE,)),
        _I.AGENT_LEFT: Transition(_S.TRANSFERRING, (Step.QUEUE_STATUS, Step.ARM_QUEUE)),
        _I.CONFIRMED: Transition(_S.LIVE, (Step.RECEIVED,)),
        _I.UNDELIVERABLE: Transition(_S.LIVE, (Step.NOT_DELIVERED,)),
        _I.PROVIDER_ENDED: Transition(_S.ENDED, (Step.LEFT, Step.CONCLUDE)),
        _I.CUSTOMER_LEFT: Transition(_S.ENDED, (Step.CLOSE,)),
        _I.OPERATOR_ENDS: Transition(_S.ENDED, (Step.LEFT, Step.CLOSE, Step.NOTICE, Step.END)),
        _I.OPERATOR_RETURNS: Transition(_S.ENDED, (Step.LEFT, Step.CLOSE, Step.NOTICE, Step.RETURN)),
    },
    _S.TRANSFERRING: {
        _I.USER_MESSAGE: Transition(_S.TRANSFERRING, (Step.FORWARD,)),
        _I.QUEUED: Transition(_S.TRANSFERRING, (Step.QUEUE_STATUS,)),
        _I.AGENT_JOINED: Transition(_S.LIVE, (Step.JOINED, Step.DISARM)),
        _I.AGENT_MESSAGE: Transition(_S.LIVE, (Step.JOINED, Step.MESSAGE, Step.DISARM)),
        _I.LATE_MESSAGE: Transition(_S.TRANSFERRING, (Step.MESSAGE,)),
        _I.FLOW_MESSAGE: Transition(_S.TRANSFERRING, (Step.MESSAGE,)),
        _I.CONFIRMED: Transition(_S.TRANSFERRING, (Step.RECEIVED,)),
        _I.UNDELIVERABLE: Transition(_S.TRANSFERRING, (Step.NOT_DELIVERED,)),
        _I.PROVIDER_ENDED: Transition(_S.ENDED, (Step.LEFT, Step.DISARM, Step.CONCLUDE)),
        _I.DEADLINE: Transition(_S.ENDED, (Step.TIMED_OUT, Step.DISARM, Step.CLOSE, Step.RESUME)),
        _I.CUSTOMER_LEFT: Transition(_S.ENDED, (Step.DISARM, Step.CLOSE)),
        _I.OPERATOR_ENDS: Transition(_S.ENDED, (Step.LEFT, Step.DISARM, Step.CLOSE, Step.NOTICE, Step.END)),
        _I.OPERATOR_RETURNS: Transition(_S.ENDED, (Step.LEFT, Step.DISARM, Step.CLOSE, Step.NOTICE, Step.RETURN)),
    },
    _S.ENDED: {
        _I.LATE_MESSAGE: Transition(_S.ENDED, (Step.MESSAGE,)),
    },
}
