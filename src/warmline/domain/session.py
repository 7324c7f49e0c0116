"""The session: what state its log amounts to (`evolve`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from warmline.domain import events as e
from warmline.domain.copies import replace
from warmline.domain.effects import RunTurn
from warmline.domain.handoff import HandoffState
from warmline.domain.line import Line
from warmline.domain.messages import Attachment, FileRules, LiveAgent
from warmline.domain.turn import TurnKind


class Owner(StrEnum):
    """Who answers the customer. Exactly one at any time (design.md §1, promise 3)."""

    NOBODY = "nobody"
    VIRTUAL_AGENT = "virtual_agent"
    QUEUE = "queue"
    LIVE_AGENT = "live_agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMessage:
    """A customer message that somebody still has to get."""

    message_id: str
    sequence: int
    text: str
    at: int
    custom: e.Custom | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """The current handoff, or the last one when it is over."""

    id: str
    connection_id: str
    provider: str
    state: HandoffState
    queue_timeout_s: int
    on_failure: e.OnFailure
    return_after_live: bool
    files: FileRules | None = None
    """Which files of the customer the contact centre takes; None: none."""
    queue: e.QueueStatusChanged | None = None
    agent: LiveAgent | None = None
    provider_at: int = 0
    """The platform's time of the last lifecycle news applied; older ones change nothing."""
    undelivered: tuple[PendingMessage, ...] = ()
    """Customer messages that the contact centre has not confirmed."""
    failed: tuple[PendingMessage, ...] = ()
    """Customer messages that did not arrive; an operator can have them sent again."""
    deadline: int = 0
    """When waiting ends, milliseconds since the epoch; 0: it does not."""
    ended_at: int = 0
    """When it was over, milliseconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStream:
    """An answer of which the customer has read `text` in so many `pieces`, and more is to come."""

    message_id: str
    text: str
    pieces: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything the log says, folded."""

    id: str
    last_sequence: int = 0
    channel: str = ""
    streaming: bool = False
    language: str = ""
    owner: Owner = Owner.NOBODY
    joined: bool = False
    """The virtual agent was asked in."""
    agent_name: str = ""
    agent_avatar_url: str = ""
    unanswered: tuple[PendingMessage, ...] = ()
    """Customer messages for the virtual agent that no turn has answered."""
    handoff: Handoff | None = None
    ended: e.EndReason | None = None
    start_failures: int = 0
    stream: OpenStream | None = None
    """The virtual agent's answer that the customer is reading while it comes."""
    greeted: bool = False
    """The first words were said for the virtual agent."""
    line: Line | None = None
    """Where its texts go, on SMS."""
    heard_at: int = 0
    """When customer or live agent last wrote, milliseconds since the epoch; kept on SMS only."""
    asked_at: int = 0
    """When the silent customer was asked whether they are still there; 0: not since they wrote."""

    @property
    def silent_until(self) -> int:
        """When silence on SMS has its next consequence, milliseconds since the epoch; 0: never."""
        if self.line is None or not self.heard_at:
            return 0
        return self.asked_at + self.line.grace_ms if self.asked_at else self.heard_at + self.line.silence_ms

    @property
    def active_handoff(self) -> Handoff | None:
        """The handoff if it is not over."""
        if self.handoff is None or self.handoff.state is HandoffState.ENDED:
            return None
        return self.handoff

    @property
    def with_client(self) -> bool:
        """Whether the customer's own app took the conversation to a human: nobody here answers."""
        return self.joined and self.owner is Owner.NOBODY

    @property
    def file_rules(self) -> FileRules | None:
        """Which files the customer can send now; None: none, because nobody is there who takes them."""
        handoff = self.active_handoff
        return None if handoff is None or handoff.state is HandoffState.REQUESTED else handoff.files

    def expects(self, kind: TurnKind, sequence: int) -> bool:
        """Whether the outcome of a turn would still count; `sequence` is the message's that it answers.

        A message that was answered, forwarded or given back needs no answer any more.
        """
        if kind is TurnKind.END:
            return self.ended is not None
        if self.owner is not Owner.VIRTUAL_AGENT:
            return False
        return kind is TurnKind.START or any(m.sequence == sequence for m in self.unanswered)

    def wants(self, turn: RunTurn) -> bool:
        """Whether `turn` is still to be run: things may have happened since it was asked for.

        What was asked for before a failed start is void: the next join asks again, behind its own start.
        """
        if not self.expects(turn.kind, turn.sequence):
            return False
        return turn.kind is TurnKind.END or turn.attempt == self.start_failures


def evolve(session: Session, recorded: e.Recorded) -> Session:
    """Fold the next event into the session. Raises ValueError on a gap in the sequence."""
    if recorded.sequence != session.last_sequence + 1:
        raise ValueError(f"event {recorded.sequence} does not follow {session.last_sequence}")
    return replace(_apply(session, recorded), last_sequence=recorded.sequence)


def _apply(session: Session, recorded: e.Recorded) -> Session:
    event = recorded.event
    match event:
        case e.SessionStarted():
            return replace(session, channel=event.channel, streaming=event.streaming, line=event.line)
        case e.VirtualAgentJoined():
            return replace(
                session,
                joined=True,
                owner=Owner.VIRTUAL_AGENT,
                agent_name=event.agent_name,
                agent_avatar_url=event.agent_avatar_url,
                greeted=event.greeted or session.greeted,
            )
        case e.UserMessage():
            return _heard(_receive(session, recorded, event), recorded.at)
        case e.VirtualAgentMessage():
            return _answer(session, event.answers)
        case e.VirtualAgentChunk():
            return _answer(replace(session, stream=_streamed(session.stream, event)), event.answers)
        case e.SystemNotice():
            return _notice(session, event, recorded.at)
        case e.SessionEnded():
            left = replace(_left(session, recorded.at), unanswered=(), stream=None)
            return replace(left, ended=event.reason, owner=Owner.NOBODY)
        case e.LanguageChanged():
            return replace(session, language=event.language_code)
        case e.JoinRequested() | e.UserEndRequested() | e.VirtualAgentLeft() | e.ClientHandoffRequired():
            return session
        case (
            e.HandoffTriggered()
            | e.HandoffAccepted()
            | e.QueueStatusChanged()
            | e.LiveAgentJoined()
            | e.LiveAgentMessage()
            | e.MessageReceived()
            | e.LiveAgentLeft()
            | e.HandoffFailed()
            | e.HandoffTimedOut()
        ):
            changed = _apply_handoff(session, event, recorded.at)
            return _heard(changed, recorded.at) if isinstance(event, e.LiveAgentMessage) else changed
        case _:
            raise TypeError(f"unknown event {type(event).__name__}")


_HandoffEvent = (
    e.HandoffTriggered
    | e.HandoffAccepted
    | e.QueueStatusChanged
    | e.LiveAgentJoined
    | e.LiveAgentMessage
    | e.MessageReceived
    | e.LiveAgentLeft
    | e.HandoffFailed
    | e.HandoffTimedOut
)


def _apply_handoff(session: Session, event: _HandoffEvent, at: int) -> Session:
    match event:
        case e.HandoffTriggered():
            return _trigger(session, event)
        case e.HandoffAccepted():
            return _with_handoff(session, state=HandoffState.QUEUED, deadline=event.deadline)
        case e.QueueStatusChanged():
            return _queue(session, event)
        case e.LiveAgentJoined():
            live = _with_handoff(session, state=HandoffState.LIVE, agent=event.agent, deadline=0)
            return replace(_told_at(live, event.provider_at), owner=Owner.LIVE_AGENT)
        case e.LiveAgentMessage():
            return session
        case e.MessageReceived():
            return _delivered(session, event.message_id)
        case e.LiveAgentLeft():
            return _conclude(session, (), at)
        case e.HandoffFailed() | e.HandoffTimedOut():
            return _conclude(session, event.returned, at)
        case _:
            assert_never(event)


def _receive(session: Session, recorded: e.Recorded, event: e.UserMessage) -> Session:
    pending = PendingMessage(
        message_id=event.message_id,
        sequence=recorded.sequence,
        text=event.text,
        at=recorded.at,
        custom=event.custom,
        attachments=event.attachments,
    )
    handoff = session.active_handoff
    if handoff is not None:
        return replace(session, handoff=replace(handoff, undelivered=(*handoff.undelivered, pending)))
    if session.with_client:
        return session
    return replace(session, unanswered=(*session.unanswered, pending))


def _streamed(stream: OpenStream | None, event: e.VirtualAgentChunk) -> OpenStream | None:
    if event.complete:
        return None
    before = stream.text if stream is not None and stream.message_id == event.message_id else ""
    return OpenStream(message_id=event.message_id, text=before + event.text, pieces=event.index)


def _answer(session: Session, through: int) -> Session:
    if not through or not session.unanswered:
        return session
    return replace(session, unanswered=tuple(m for m in session.unanswered if m.sequence > through))


def _heard(session: Session, at: int) -> Session:
    return session if session.line is None else replace(session, heard_at=at, asked_at=0)


def _notice(session: Session, event: e.SystemNotice, at: int) -> Session:
    session = _answer(session, event.answers)
    if event.still_there:
        session = replace(session, asked_at=at)
    if event.undelivered:
        session = _failed(session, event.undelivered)
    if event.retried:
        session = _retried(session, event.retried)
    if event.start_failed:
        return replace(session, joined=False, owner=Owner.NOBODY, start_failures=session.start_failures + 1)
    return session


def _trigger(session: Session, event: e.HandoffTriggered) -> Session:
    session = _answer(session, event.answers)
    if event.by_client:
        return replace(session, unanswered=(), owner=Owner.NOBODY)
    handoff = Handoff(
        id=event.handoff_id,
        connection_id=event.connection_id,
        provider=event.provider,
        state=HandoffState.REQUESTED,
        queue_timeout_s=event.queue_timeout_s,
        on_failure=event.on_failure,
        return_after_live=event.return_after_live,
        files=event.files,
        undelivered=session.unanswered,
        deadline=event.deadline,
    )
    return replace(session, handoff=handoff, unanswered=(), owner=Owner.QUEUE)


def _delivered(session: Session, message_id: str) -> Session:
    handoff = session.handoff
    if handoff is None or not handoff.undelivered:
        return session
    rest = tuple(m for m in handoff.undelivered if m.message_id != message_id)
    return replace(session, handoff=replace(handoff, undelivered=rest))


def _failed(session: Session, message_id: str) -> Session:
    handoff = session.handoff
    if handoff is None:
        return session
    lost = tuple(m for m in handoff.undelivered if m.message_id == message_id)
    return _with_handoff(_delivered(session, message_id), failed=(*handoff.failed, *lost))


def _retried(session: Session, message_id: str) -> Session:
    handoff = session.handoff
    if handoff is None:
        return session
    again = tuple(m for m in handoff.failed if m.message_id == message_id)
    rest = tuple(m for m in handoff.failed if m.message_id != message_id)
    return _with_handoff(session, failed=rest, undelivered=(*handoff.undelivered, *again))


def _conclude(session: Session, returned: tuple[str, ...], at: int) -> Session:
    handoff = session.handoff
    if handoff is None:
        return session
    back = tuple(m for m in handoff.undelivered if m.message_id in returned)
    ended = replace(handoff, state=HandoffState.ENDED, undelivered=(), failed=(), deadline=0, ended_at=at)
    return replace(session, handoff=ended, unanswered=back, owner=Owner.NOBODY)


def _left(session: Session, at: int) -> Session:
    """The session ends under a handoff: what the customer said before is still on its way to the contact centre."""
    if session.active_handoff is None or session.handoff is None:
        return session
    ended = replace(session.handoff, state=HandoffState.ENDED, failed=(), deadline=0, ended_at=at)
    return replace(session, handoff=ended)


def _queue(session: Session, event: e.QueueStatusChanged) -> Session:
    state = HandoffState.TRANSFERRING if event.requeued else HandoffState.QUEUED
    queued = _with_handoff(session, state=state, queue=event)
    if event.deadline:
        queued = _with_handoff(queued, deadline=event.deadline)
    return replace(_told_at(queued, event.provider_at), owner=Owner.QUEUE)


def _told_at(session: Session, provider_at: int) -> Session:
    """Remember the newest time of the platform: news without one must not make it forget."""
    if session.handoff is None:
        return session
    return _with_handoff(session, provider_at=max(provider_at, session.handoff.provider_at))


def _with_handoff(session: Session, **changes: object) -> Session:
    if session.handoff is None:
        return session
    return replace(session, handoff=replace(session.handoff, **changes))  # type: ignore[arg-type]
