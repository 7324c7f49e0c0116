"""Every cell of the handoff table: what each input does in each state, written down a second time by hand.

Sources: messaging-protocol.md §8, webex-byoc.md §12.3 and §16, style-anchors.md §6.3.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support.session_log import ANA, BEN, MINUTE, SessionLog, in_handoff
from warmline.domain import commands as c
from warmline.domain.effects import CloseConversation, ForwardMessage, RunTurn
from warmline.domain.handoff import TRANSITIONS, HandoffInput, HandoffState
from warmline.domain.session import Owner
from warmline.domain.turn import TurnKind

S = HandoffState
I = HandoffInput  # noqa: E741

ACCEPTED = "HANDOFF_ACCEPTED"
QUEUE = "HANDOFF_QUEUE_STATUS"
JOINED = "LIVE_AGENT_JOINED"
MESSAGE = "LIVE_AGENT_MESSAGE"
RECEIVED = "LIVE_AGENT_RECEIVED_MESSAGE"
NOTICE = "SYSTEM_MESSAGE"
LEFT = "LIVE_AGENT_LEFT"
FAILED = "HANDOFF_FAILED"
TIMEOUT = "HANDOFF_TIMEOUT"
BACK = "POLY_AGENT_JOINED"
USER_MESSAGE = "USER_MESSAGE"
END = "SESSION_END"

FORWARD = ForwardMessage
CLOSE = CloseConversation
END_TURN = TurnKind.END
ANSWER_TURN = TurnKind.MESSAGE

KEEP = "keeps its deadline"
QUEUE_DEADLINE = "waits for the queue deadline"
NONE = "has no deadline"


@dataclass(frozen=True)
class Cell:
    """What must come of it: state, wire events, effects and the deadline afterwards."""

    to: HandoffState
    wire: tuple[str, ...]
    effects: tuple[type | TurnKind, ...] = ()
    deadline: str = KEEP


CELLS: dict[tuple[HandoffState, HandoffInput], Cell] = {
    # requested: one customer message is on its way, so a return gives it to the virtual agent
    (S.REQUESTED, I.USER_MESSAGE): Cell(S.REQUESTED, (USER_MESSAGE,), (FORWARD,)),
    (S.REQUESTED, I.OPENED): Cell(S.QUEUED, (ACCEPTED,), (), QUEUE_DEADLINE),
    (S.REQUESTED, I.QUEUED): Cell(S.QUEUED, (ACCEPTED, QUEUE), (), QUEUE_DEADLINE),
    (S.REQUESTED, I.AGENT_JOINED): Cell(S.LIVE, (ACCEPTED, JOINED), (), NONE),
    (S.REQUESTED, I.AGENT_MESSAGE): Cell(S.LIVE, (ACCEPTED, JOINED, MESSAGE), (), NONE),
    (S.REQUESTED, I.FLOW_MESSAGE): Cell(S.QUEUED, (ACCEPTED, MESSAGE), (), QUEUE_DEADLINE),
    (S.REQUESTED, I.CONFIRMED): Cell(S.QUEUED, (ACCEPTED, RECEIVED), (), QUEUE_DEADLINE),
    (S.REQUESTED, I.UNDELIVERABLE): Cell(S.REQUESTED, (NOTICE,)),
    (S.REQUESTED, I.OPEN_FAILED): Cell(S.ENDED, (FAILED, NOTICE, BACK), (CLOSE, ANSWER_TURN), NONE),
    (S.REQUESTED, I.PROVIDER_ENDED): Cell(S.ENDED, (FAILED, NOTICE, BACK), (ANSWER_TURN,), NONE),
    (S.REQUESTED, I.DEADLINE): Cell(S.ENDED, (FAILED, NOTICE, BACK), (CLOSE, ANSWER_TURN), NONE),
    (S.REQUESTED, I.CUSTOMER_LEFT): Cell(S.ENDED, ("USER_END_SESSION", END), (CLOSE, END_TURN), NONE),
    (S.REQUESTED, I.OPERATOR_ENDS): Cell(S.ENDED, (NOTICE, FAILED, NOTICE, END), (CLOSE, END_TURN), NONE),
    (S.REQUESTED, I.OPERATOR_RETURNS): Cell(S.ENDED, (FAILED, NOTICE, BACK), (CLOSE, ANSWER_TURN), NONE),
    # queued
    (S.QUEUED, I.USER_MESSAGE): Cell(S.QUEUED, (USER_MESSAGE,), (FORWARD,)),
    (S.QUEUED, I.QUEUED): Cell(S.QUEUED, (QUEUE,)),
    (S.QUEUED, I.AGENT_JOINED): Cell(S.LIVE, (JOINED,), (), NONE),
    (S.QUEUED, I.AGENT_MESSAGE): Cell(S.LIVE, (JOINED, MESSAGE), (), NONE),
    (S.QUEUED, I.FLOW_MESSAGE): Cell(S.QUEUED, (MESSAGE,)),
    (S.QUEUED, I.CONFIRMED): Cell(S.QUEUED, (RECEIVED,)),
    (S.QUEUED, I.UNDELIVERABLE): Cell(S.QUEUED, (NOTICE,)),
    (S.QUEUED, I.PROVIDER_ENDED): Cell(S.ENDED, (FAILED, NOTICE, BACK), (ANSWER_TURN,), NONE),
    (S.QUEUED, I.DEADLINE): Cell(S.ENDED, (TIMEOUT, NOTICE, BACK), (CLOSE, ANSWER_TURN), NONE),
    (S.QUEUED, I.CUSTOMER_LEFT): Cell(S.ENDED, ("USER_END_SESSION", END), (CLOSE, END_TURN), NONE),
    (S.QUEUED, I.OPERATOR_ENDS): Cell(S.ENDED, (NOTICE, FAILED, NOTICE, END), (CLOSE, END_TURN), NONE),
    (S.QUEUED, I.OPERATOR_RETURNS): Cell(S.ENDED, (FAILED, NOTICE, BACK), (CLOSE, ANSWER_TURN), NONE),
    # live
    (S.LIVE, I.USER_MESSAGE): Cell(S.LIVE, (USER_MESSAGE,), (FORWARD,)),
    (S.LIVE, I.QUEUED): Cell(S.TRANSFERRING, (QUEUE,), (), QUEUE_DEADLINE),
    (S.LIVE, I.AGENT_JOINED): Cell(S.LIVE, (JOINED,)),
    (S.LIVE, I.AGENT_MESSAGE): Cell(S.LIVE, (MESSAGE,)),
    (S.LIVE, I.FLOW_MESSAGE): Cell(S.LIVE, (MESSAGE,)),
    (S.LIVE, I.AGENT_LEFT): Cell(S.TRANSFERRING, (QUEUE,), (), QUEUE_DEADLINE),
    (S.LIVE, I.CONFIRMED): Cell(S.LIVE, (RECEIVED,)),
    (S.LIVE, I.UNDELIVERABLE): Cell(S.LIVE, (NOTICE,)),
    (S.LIVE, I.PROVIDER_ENDED): Cell(S.ENDED, (NOTICE, LEFT, END), (END_TURN,), NONE),
    (S.LIVE, I.CUSTOMER_LEFT): Cell(S.ENDED, ("USER_END_SESSION", END), (CLOSE, END_TURN), NONE),
    (S.LIVE, I.OPERATOR_ENDS): Cell(S.ENDED, (NOTICE, LEFT, NOTICE, END), (CLOSE, END_TURN), NONE),
    (S.LIVE, I.OPERATOR_RETURNS): Cell(S.ENDED, (NOTICE, LEFT, NOTICE, BACK), (CLOSE,), NONE),
    # transferring
    (S.TRANSFERRING, I.USER_MESSAGE): Cell(S.TRANSFERRING, (USER_MESSAGE,), (FORWARD,)),
    (S.TRANSFERRING, I.QUEUED): Cell(S.TRANSFERRING, (QUEUE,)),
    (S.TRANSFERRING, I.AGENT_JOINED): Cell(S.LIVE, (JOINED,), (), NONE),
    (S.TRANSFERRING, I.AGENT_MESSAGE): Cell(S.LIVE, (JOINED, MESSAGE), (), NONE),
    (S.TRANSFERRING, I.LATE_MESSAGE): Cell(S.TRANSFERRING, (MESSAGE,)),
    (S.TRANSFERRING, I.FLOW_MESSAGE): Cell(S.TRANSFERRING, (MESSAGE,)),
    (S.TRANSFERRING, I.CONFIRMED): Cell(S.TRANSFERRING, (RECEIVED,)),
    (S.TRANSFERRING, I.UNDELIVERABLE): Cell(S.TRANSFERRING, (NOTICE,)),
    (S.TRANSFERRING, I.PROVIDER_ENDED): Cell(S.ENDED, (NOTICE, LEFT, END), (END_TURN,), NONE),
    (S.TRANSFERRING, I.DEADLINE): Cell(S.ENDED, (TIMEOUT, NOTICE, BACK), (CLOSE, ANSWER_TURN), NONE),
    (S.TRANSFERRING, I.CUSTOMER_LEFT): Cell(S.ENDED, ("USER_END_SESSION", END), (CLOSE, END_TURN), NONE),
    (S.TRANSFERRING, I.OPERATOR_ENDS): Cell(S.ENDED, (NOTICE, LEFT, NOTICE, END), (CLOSE, END_TURN), NONE),
    (S.TRANSFERRING, I.OPERATOR_RETURNS): Cell(S.ENDED, (NOTICE, LEFT, NOTICE, BACK), (CLOSE,), NONE),
}

SEEN_AT = 500
"""The platform's time of the last news of every prepared session."""


def prepared(state: HandoffState, **plan: object) -> tuple[SessionLog, str]:
    """A session in that state with one customer message on its way, and the message's id."""
    log = in_handoff(S.REQUESTED, **plan)
    if state is S.ENDED:
        log.open_fails()
        return log, log.post("for the virtual agent")
    message_id = log.post("on its way")
    match state:
        case S.QUEUED:
            log.queued(at=SEEN_AT, queue_name="support")
        case S.LIVE:
            log.agent_joins(at=SEEN_AT)
        case S.TRANSFERRING:
            log.agent_joins(at=SEEN_AT - 100)
            log.agent_leaves(at=SEEN_AT)
        case _:
            pass
    log.now += MINUTE
    return log, message_id


def give(log: SessionLog, given: HandoffInput, message_id: str) -> None:
    """Make that input happen."""
    happen: dict[HandoffInput, Callable[[], object]] = {
        I.USER_MESSAGE: lambda: log.post("one more"),
        I.OPENED: log.opened,
        I.QUEUED: lambda: log.queued(at=SEEN_AT + 10, queue_name="billing"),
        I.AGENT_JOINED: lambda: log.agent_joins(BEN, at=SEEN_AT + 10),
        I.AGENT_MESSAGE: lambda: log.agent_says(agent=BEN, at=SEEN_AT + 10),
        I.LATE_MESSAGE: lambda: log.agent_says(agent=ANA, at=SEEN_AT - 10),
        I.FLOW_MESSAGE: lambda: log.agent_says(agent=None),
        I.AGENT_LEFT: lambda: log.agent_leaves(at=SEEN_AT + 10),
        I.CONFIRMED: lambda: log.confirms(message_id),
        I.UNDELIVERABLE: lambda: log.undeliverable(message_id),
        I.OPEN_FAILED: log.open_fails,
        I.PROVIDER_ENDED: log.provider_ends,
        I.DEADLINE: lambda: log.deadline() if log.armed else _late_deadline(log),
        I.CUSTOMER_LEFT: log.end_by_user,
        I.OPERATOR_ENDS: lambda: log.operator(c.EndHandoff),
        I.OPERATOR_RETURNS: lambda: log.operator(c.ReturnToVirtualAgent),
    }
    happen[given]()


def _late_deadline(log: SessionLog) -> None:
    log.now += 60 * MINUTE
    log.apply(c.DeadlineReached(at=log.now, handoff_id=log.handoff.id))


def effects_of(log: SessionLog) -> tuple[type | TurnKind, ...]:
    return tuple(effect.kind if isinstance(effect, RunTurn) else type(effect) for effect in log.step.effects)


@pytest.mark.parametrize(("state", "given"), CELLS, ids=[f"{state}: {given}" for state, given in CELLS])
def test_cell(state: HandoffState, given: HandoffInput) -> None:
    cell = CELLS[state, given]
    log, message_id = prepared(state)
    armed = dict(log.armed)
    give(log, given, message_id)
    assert tuple(log.wire()) == cell.wire
    assert effects_of(log) == cell.effects
    assert log.handoff.state is cell.to
    match cell.deadline:
        case "keeps its deadline":
            assert log.armed == armed
        case "has no deadline":
            assert log.armed == {}
        case _:
            assert log.armed["handoff"].due == log.now + 15 * MINUTE
    due = log.armed["handoff"].due if log.armed else 0
    assert log.handoff.deadline == due


EMPTY = [
    (state, given)
    for state in HandoffState
    for given in HandoffInput
    if (state, given) not in CELLS
    # in the last state the customer talks with the virtual agent; before a join nobody can have left
    and not (state is S.ENDED and given in (I.USER_MESSAGE, I.CUSTOMER_LEFT))
    and given is not I.LATE_MESSAGE
]


@pytest.mark.parametrize(("state", "given"), EMPTY, ids=[f"{state}: {given}" for state, given in EMPTY])
def test_empty_cell_changes_nothing(state: HandoffState, given: HandoffInput) -> None:
    log, message_id = prepared(state)
    before, armed = log.session, dict(log.armed)
    give(log, given, message_id)
    assert (log.step.events, log.step.effects, log.step.timers) == ((), (), ())
    assert (log.session, log.armed) == (before, armed)


def test_the_table_has_exactly_these_cells() -> None:
    table = {(state, given) for state, row in TRANSITIONS.items() for given in row}
    assert table == {*CELLS, (S.ENDED, I.LATE_MESSAGE)}


@pytest.mark.parametrize(("state", "given"), CELLS, ids=[f"{state}: {given}" for state, given in CELLS])
def test_the_owner_fits_the_state(state: HandoffState, given: HandoffInput) -> None:
    log, message_id = prepared(state)
    give(log, given, message_id)
    expected = {
        S.REQUESTED: Owner.QUEUE,
        S.QUEUED: Owner.QUEUE,
        S.LIVE: Owner.LIVE_AGENT,
        S.TRANSFERRING: Owner.QUEUE,
        S.ENDED: Owner.NOBODY if log.session.ended else Owner.VIRTUAL_AGENT,
    }
    assert log.session.owner is expected[log.handoff.state]
