"""What lists show of a conversation."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from warmline.domain import events as e
from warmline.domain.catalog import Entry, Outcome, Stage, follow
from warmline.domain.messages import LiveAgent
from warmline.domain.session import Owner, Session, evolve

AGENT = LiveAgent(id="a1", name="Ana")
LOG: tuple[e.Event, ...] = (
    e.SessionStarted(channel="webchat.polyai"),
    e.JoinRequested(),
    e.VirtualAgentJoined(agent_name="Lumi"),
    e.VirtualAgentMessage(message_id="m1", text="Hello!"),
    e.UserMessage(message_id="m2", text="my card is 4111"),
    e.HandoffTriggered(
        handoff_id="h1",
        connection_id="c1",
        provider="webex",
        queue_timeout_s=60,
        reason="dispute",
        destination="billing",
    ),
    e.HandoffAccepted(),
    e.MessageReceived(message_id="m2", stored_text="my card is ****"),
    e.LiveAgentJoined(agent=AGENT),
    e.LiveAgentMessage(message_id="m3", text="I see", agent=AGENT),
    e.LiveAgentLeft(agent_id="a1"),
    e.SessionEnded(reason=e.EndReason.NATURAL_END),
)
NEW = Entry(session_id="s1", project_id="p1")


def recorded(*events: e.Event) -> list[e.Recorded]:
    return [e.Recorded(sequence=n, id=f"e{n}", at=100 * n, event=event) for n, event in enumerate(events, 1)]


def test_an_entry_tells_the_whole_conversation() -> None:
    followed = follow(NEW, recorded(*LOG))
    entry = followed.entry
    assert (entry.stage, entry.channel, entry.started_at, entry.ended_at) == (Stage.ENDED, "webchat.polyai", 100, 1200)
    assert (entry.messages, entry.last_author, entry.last_text) == (3, "live_agent", "I see")
    (handoff,) = followed.handoffs
    assert (handoff.destination, handoff.reason, handoff.outcome) == ("billing", "dispute", Outcome.COMPLETED)
    times = (handoff.requested_at, handoff.accepted_at, handoff.joined_at, handoff.ended_at)
    assert times == (600, 700, 900, 1100)


def test_following_in_pieces_gives_the_same_as_at_once() -> None:
    log = recorded(*LOG)
    whole = follow(NEW, log)
    for cut in range(len(log) + 1):
        first = follow(NEW, log[:cut])
        # Pieces may overlap: what is known already changes nothing.
        assert follow(first.entry, log[max(0, cut - 3) :]).entry == whole.entry


def test_masked_texts_replace_what_was_said() -> None:
    followed = follow(NEW, recorded(*LOG[:8]))
    assert followed.entry.last_text == "my card is ****"
    assert {s.message_id: s.text for s in followed.spoken}["m2"] == "my card is ****"


def test_each_way_out_of_a_handoff_is_told() -> None:
    for event, outcome in (
        (e.HandoffFailed(reason="nobody"), Outcome.FAILED),
        (e.HandoffTimedOut(), Outcome.TIMED_OUT),
        (e.SessionEnded(reason=e.EndReason.USER_END), Outcome.CUSTOMER_LEFT),
        (e.LiveAgentLeft(by_operator=True), Outcome.BY_OPERATOR),
        (e.HandoffFailed(by_operator=True), Outcome.BY_OPERATOR),
    ):
        (handoff,) = follow(NEW, recorded(*LOG[:7], event)).handoffs
        assert handoff.outcome is outcome
        assert handoff.ended_at == 800


def test_who_waits_is_known_until_an_agent_joins_or_it_is_over() -> None:
    log = recorded(*LOG)
    assert [follow(NEW, log[:n]).entry.waiting_since for n in (5, 6, 8, 9)] == [0, 600, 600, 0]


def test_who_answers_is_known_and_the_live_agents_name() -> None:
    log = recorded(*LOG)
    entries = [follow(NEW, log[:n]).entry for n in range(len(log) + 1)]
    states = [session.owner for session in _states(log)]
    assert [entry.owner for entry in entries] == states
    assert [entry.agent_name for entry in entries] == [AGENT.name if n in (9, 10) else "" for n in range(len(entries))]
    moved = recorded(*LOG[:9], e.QueueStatusChanged(queue_name="billing", requeued=True))
    assert (follow(NEW, moved).entry.agent_name, follow(NEW, moved).entry.owner) == ("", Owner.QUEUE)


def _states(log: Sequence[e.Recorded]) -> list[Session]:
    """The session after each event, and before the first."""
    return list(accumulate(log, evolve, initial=Session(id="s1")))


def test_pieces_of_one_message_count_once() -> None:
    chunks = [
        e.VirtualAgentChunk(message_id="m", text=t, index=n, complete=n == 2) for n, t in ((1, "One "), (2, "two."))
    ]
    entry = follow(NEW, recorded(*chunks)).entry
    assert (entry.messages, entry.last_text) == (1, "One two.")


def test_an_older_log_changes_nothing() -> None:
    entry = follow(NEW, recorded(*LOG)).entry
    assert follow(entry, recorded(*LOG[:5])).entry == entry
    assert follow(replace(entry, sequence=99), recorded(*LOG)).spoken == ()
