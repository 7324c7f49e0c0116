"""What lists of conversations show of a session: folded from its log, and made anew from it at any time."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from warmline.domain import events as e
from warmline.domain.copies import replace
from warmline.domain.session import Owner


class Stage(StrEnum):
    """Where a conversation is, for people who look at many."""

    STARTED = "started"
    VIRTUAL_AGENT = "virtual_agent"
    REQUESTED = "requested"
    QUEUED = "queued"
    LIVE = "live"
    TRANSFERRING = "transferring"
    BETWEEN = "between"
    """A handoff is over and nobody answers yet."""
    ENDED = "ended"


class Outcome(StrEnum):
    """How a handoff came out; RUNNING while it is not over."""

    RUNNING = ""
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CUSTOMER_LEFT = "customer_left"
    BY_OPERATOR = "by_operator"
    """An operator ended it, or gave it back to the virtual agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffFacts:
    """One handoff with its times (milliseconds since the epoch, 0: has not happened)."""

    id: str
    session_id: str
    project_id: str
    connection_id: str
    environment: str = "live"
    destination: str = ""
    reason: str = ""
    requested_at: int = 0
    accepted_at: int = 0
    joined_at: int = 0
    ended_at: int = 0
    outcome: Outcome = Outcome.RUNNING
    outcome_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One conversation in a list. `sequence` is the last event that it knows; `handoff` the latest one.

    `agent_name` is the live agent's who answers now; "" while none does, or the contact centre does not tell.
    """

    session_id: str
    project_id: str
    channel: str = ""
    environment: str = "live"
    stage: Stage = Stage.STARTED
    started_at: int = 0
    updated_at: int = 0
    waiting_since: int = 0
    ended_at: int = 0
    end_reason: str = ""
    messages: int = 0
    last_author: str = ""
    last_message_id: str = ""
    last_text: str = ""
    handoff: HandoffFacts | None = None
    agent_name: str = ""
    sequence: int = 0

    @property
    def owner(self) -> Owner:
        """Who answers the customer now."""
        match self.stage:
            case Stage.VIRTUAL_AGENT:
                return Owner.VIRTUAL_AGENT
            case Stage.REQUESTED | Stage.QUEUED | Stage.TRANSFERRING:
                return Owner.QUEUE
            case Stage.LIVE:
                return Owner.LIVE_AGENT
            case _:
                return Owner.NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A text that can be searched; one of the same message replaces it."""

    session_id: str
    message_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What became of an entry: itself, the handoffs that changed, the texts that are new, the events that were."""

    entry: Entry
    handoffs: tuple[HandoffFacts, ...] = ()
    spoken: tuple[Spoken, ...] = ()
    log: tuple[e.Recorded, ...] = ()


_SHOWN_CHARS = 200


def follow(entry: Entry, log: Iterable[e.Recorded]) -> Followed:
    """Fold events into an entry; those that it knows already change nothing."""
    handoffs: dict[str, HandoffFacts] = {}
    spoken: dict[str, Spoken] = {}
    new: list[e.Recorded] = []
    known = entry.sequence
    for recorded in log:
        if recorded.sequence <= known:
            continue
        known = recorded.sequence
        new.append(recorded)
        before = entry.handoff
        entry = _apply(entry, recorded)
        if entry.handoff is not None and entry.handoff is not before:
            handoffs[entry.handoff.id] = entry.handoff
        for message_id, text in _texts(recorded.event):
            spoken[message_id] = Spoken(session_id=entry.session_id, message_id=message_id, text=text)
    if new:
        entry = replace(entry, sequence=known, updated_at=new[-1].at)
    return Followed(entry=entry, handoffs=tuple(handoffs.values()), spoken=tuple(spoken.values()), log=tuple(new))


def _texts(event: e.Event) -> Iterable[tuple[str, str]]:
    match event:
        case e.UserMessage() | e.VirtualAgentMessage() | e.LiveAgentMessage():
            yield event.message_id, event.text
        case e.VirtualAgentChunk():
            yield f"{event.message_id}/{event.index}", event.text
        case e.MessageReceived(stored_text=str() as masked):
            yield event.message_id, masked


def _apply(entry: Entry, recorded: e.Recorded) -> Entry:
    event, at = recorded.event, recorded.at
    match event:
        case e.SessionStarted():
            return replace(entry, channel=event.channel, started_at=at)
        case e.VirtualAgentJoined():
            return replace(entry, stage=Stage.VIRTUAL_AGENT)
        case e.UserMessage():
            return _said(entry, "customer", event.message_id, event.text)
        case e.VirtualAgentMessage():
            return _said(entry, "virtual_agent", event.message_id, event.text)
        case e.VirtualAgentChunk():
            whole = entry.last_text + event.text if entry.last_message_id == event.message_id else event.text
            said = _said(entry, "virtual_agent", event.message_id, whole)
            return said if event.index == 1 else replace(said, messages=entry.messages)
        case e.LiveAgentMessage():
            return _said(entry, "live_agent" if event.agent else "contact_centre", event.message_id, event.text)
        case e.MessageReceived(stored_text=str() as masked) if event.message_id == entry.last_message_id:
            return replace(entry, last_text=masked[:_SHOWN_CHARS])
        case e.SessionEnded():
            entry = _over(entry, Outcome.CUSTOMER_LEFT, "", at)
            return replace(
                entry, stage=Stage.ENDED, ended_at=at, end_reason=event.reason.value, waiting_since=0, agent_name=""
            )
        case _:
            return _apply_handoff(entry, event, at)


def _apply_handoff(entry: Entry, event: e.Event, at: int) -> Entry:
    match event:
        case e.HandoffTriggered():
            facts = HandoffFacts(
                id=event.handoff_id,
                session_id=entry.session_id,
                project_id=entry.project_id,
                connection_id=event.connection_id,
                environment=entry.environment,
                destination=event.destination,
                reason=event.reason,
                requested_at=at,
            )
            return replace(entry, stage=Stage.REQUESTED, handoff=facts, waiting_since=at)
        case e.HandoffAccepted():
            return _moved(entry, Stage.QUEUED, accepted_at=at)
        case e.QueueStatusChanged():
            stage = Stage.TRANSFERRING if event.requeued else Stage.QUEUED
            return replace(_moved(entry, stage), waiting_since=entry.waiting_since or at, agent_name="")
        case e.LiveAgentJoined():
            joined = entry.handoff.joined_at if entry.handoff else 0
            return replace(
                _moved(entry, Stage.LIVE, joined_at=joined or at), waiting_since=0, agent_name=event.agent.name
            )
        case e.LiveAgentLeft(by_operator=True) | e.HandoffFailed(by_operator=True):
            return _over(entry, Outcome.BY_OPERATOR, event.reason, at)
        case e.LiveAgentLeft():
            return _over(entry, Outcome.COMPLETED, event.reason, at)
        case e.HandoffFailed():
            return _over(entry, Outcome.FAILED, event.reason, at)
        case e.HandoffTimedOut():
            return _over(entry, Outcome.TIMED_OUT, event.reason, at)
        case _:
            return entry


def _said(entry: Entry, author: str, message_id: str, text: str) -> Entry:
    return replace(
        entry,
        messages=entry.messages + 1,
        last_author=author,
        last_message_id=message_id,
        last_text=text[:_SHOWN_CHARS],
    )


def _moved(entry: Entry, stage: Stage, **times: int) -> Entry:
    if entry.handoff is None:
        return entry
    return replace(entry, stage=stage, handoff=replace(entry.handoff, **times))  # type: ignore[arg-type]


def _over(entry: Entry, outcome: Outcome, reason: str, at: int) -> Entry:
    """End the handoff that is under way, if there is one."""
    if entry.handoff is None or entry.handoff.outcome is not Outcome.RUNNING:
        return entry
    ended = replace(entry.handoff, outcome=outcome, outcome_reason=reason, ended_at=at)
    return replace(entry, stage=Stage.BETWEEN, handoff=ended, waiting_since=0, agent_name="")
