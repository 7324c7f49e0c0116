"""`decide(session, command)`: the events and effects a command leads to. Pure."""

from dataclasses import dataclass, field, replace

from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texting, texts
from warmline.domain.chunks import chunk_text
from warmline.domain.decide_handoff import DEADLINE, close_with_session, decide_handoff, look_after, message_turn
from warmline.domain.decide_operator import decide_operator
from warmline.domain.effects import (
    Arm,
    Effect,
    ForwardMessage,
    OpenConversation,
    RunTurn,
    SendBriefRest,
    TimerChange,
)
from warmline.domain.errors import RuleViolation, SessionNotFound
from warmline.domain.handoff import HandoffInput
from warmline.domain.line import MINUTE_MS, Line
from warmline.domain.messages import Say
from warmline.domain.session import Session
from warmline.domain.streaming import complete_stream, stream_piece
from warmline.domain.turn import TurnKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a command leads to, in order. All empty: nothing changes."""

    events: tuple[e.Event, ...] = ()
    effects: tuple[Effect, ...] = ()
    timers: tuple[TimerChange, ...] = ()


NOTHING = Decision()

MAX_START_FAILURES = 5
"""So often a start may fail before the session ends: clients ask again at once (messaging-protocol.md §5.1)."""


def decide(session: Session, command: c.Command) -> Decision:
    """Decide `command` in `session`; on SMS, what it leads to goes out as texts too.

    Raises:
        SessionNotFound: the customer wants something of a session that has ended or never started, or is to be told.
        RuleViolation: files that nobody takes now (`files_not_taken`), or not such ones.
    """
    decision = _decide(session, command)
    if session.line is None or not decision.events:
        return decision
    return _texted(session, session.line, command, decision)


def _texted(session: Session, line: Line, command: c.Command, decision: Decision) -> Decision:
    if isinstance(command, c.TellCustomer):
        out = texting.send(line, command.text, always=command.always)
    else:
        queue_told = session.handoff is not None and session.handoff.queue is not None
        out = texting.texts(line, decision.events, queue_told=queue_told)
    timers = decision.timers
    if any(isinstance(event, e.UserMessage | e.LiveAgentMessage) for event in decision.events):
        timers = (*timers, Arm(kind=texting.IDLE, due=command.at + line.silence_ms, handoff_id=""))
    return replace(decision, effects=(*decision.effects, *out), timers=timers)


def _decide(session: Session, command: c.Command) -> Decision:
    absent = session.ended is not None or not session.last_sequence
    match command:
        case c.StartSession():
            if session.last_sequence:
                return NOTHING
            started = e.SessionStarted(
                channel=command.channel,
                streaming=command.streaming,
                line=command.line,
                context_id=command.context_id,
            )
            return Decision(events=(started,))
        case c.RequestJoin() | c.PostUserMessage() | c.EndByUser() | c.TellCustomer() if absent:
            raise SessionNotFound
        case _ if absent:
            return NOTHING
        case c.OperatorCommand():
            done = decide_operator(session, command)
            return Decision(events=tuple(done.events), effects=tuple(done.effects), timers=tuple(done.timers))
        case c.RequestJoin():
            return _join(session, command)
        case c.PostUserMessage():
            return _post(session, command)
        case c.EndByUser():
            return _end(session, (e.UserEndRequested(custom=command.custom),), e.EndReason.USER_END)
        case c.Abandon():
            return _end(session, (), command.reason)
        case c.TellCustomer():
            return _tell(session, command)
        case c.Silence():
            return _silence(session, command)
        case c.StreamAnswer():
            return Decision(events=stream_piece(session, command))
        case c.ApplyTurn():
            return _apply_turn(session, command)
        case c.ProviderCommand():
            return _provider(session, command)
        case _:
            raise TypeError(f"unknown command {type(command).__name__}")


def _join(session: Session, command: c.RequestJoin) -> Decision:
    echo = e.JoinRequested(custom=command.custom)
    if session.joined:
        return Decision(events=(echo,))
    joined = e.VirtualAgentJoined(
        agent_name=command.agent_name, agent_avatar_url=command.agent_avatar_url, greeted=bool(command.greeting)
    )
    greeting = (e.VirtualAgentMessage(message_id=command.greeting_id, text=command.greeting),)
    turn_id = f"start-{session.last_sequence + 1}"
    start = RunTurn(turn_id=turn_id, kind=TurnKind.START, attempt=session.start_failures)
    held = tuple(message_turn(session, m.message_id, m.sequence, m.text) for m in session.unanswered)
    said = greeting if command.greeting else ()
    return Decision(events=(echo, joined, *said), effects=(start, *held))


def _tell(session: Session, command: c.TellCustomer) -> Decision:
    notice = e.SystemNotice(level=e.NoticeLevel.INFO, text=command.text)
    return _end(session, (notice,), e.EndReason.NATURAL_END) if command.end else Decision(events=(notice,))


def _silence(session: Session, command: c.Silence) -> Decision:
    """Ask first, then end (messaging-protocol.md §17.4)."""
    if session.line is None or not 0 < session.silent_until <= command.at:
        return NOTHING
    if session.asked_at:
        return _end(session, (), e.EndReason.USER_ABANDONED)
    minutes = session.line.grace_ms // MINUTE_MS
    text = texting.sentence(session.line, "inactive", minutes=minutes)
    asked = e.SystemNotice(level=e.NoticeLevel.INFO, text=text, still_there=True)
    again = Arm(kind=texting.IDLE, due=command.at + session.line.grace_ms, handoff_id="")
    return Decision(events=(asked,), timers=(again,))


def _post(session: Session, command: c.PostUserMessage) -> Decision:
    if command.attachments:
        _check_files(session, command)
    message = e.UserMessage(
        message_id=command.message_id, text=command.text, custom=command.custom, attachments=command.attachments
    )
    if session.active_handoff is not None:
        forwarded = decide_handoff(session, HandoffInput.USER_MESSAGE, command)
        return Decision(events=(message, *forwarded.events), effects=tuple(forwarded.effects))
    if not session.joined or session.with_client:
        return Decision(events=(message,))
    turn = message_turn(session, command.message_id, session.last_sequence + 1, command.text)
    return Decision(events=(message,), effects=(turn,))


def _check_files(session: Session, command: c.PostUserMessage) -> None:
    rules = session.file_rules
    if rules is None:
        raise RuleViolation("files_not_taken", public_message=texts.FILES_NOT_TAKEN)
    if problem := rules.problem(command.attachments):
        raise RuleViolation(f"file_{problem}", public_message=texts.FILES_REFUSED[problem])


def _end(session: Session, before: tuple[e.Event, ...], reason: e.EndReason) -> Decision:
    closing = close_with_session(session, reason)
    effects: tuple[Effect, ...] = tuple(closing.effects)
    if session.joined:
        effects = (*effects, RunTurn(turn_id="end", kind=TurnKind.END))
    return Decision(events=(*before, e.SessionEnded(reason=reason)), effects=effects, timers=tuple(closing.timers))


def _provider(session: Session, command: c.ProviderCommand) -> Decision:
    if session.handoff is None or session.handoff.id != command.handoff_id:
        return NOTHING
    match command:
        case c.ConversationOpened():
            given = HandoffInput.OPENED
        case c.ConversationQueued():
            given = HandoffInput.QUEUED
        case c.AgentJoined():
            given = HandoffInput.AGENT_JOINED
        case c.AgentLeft():
            given = HandoffInput.AGENT_LEFT
        case c.AgentMessage():
            given = HandoffInput.FLOW_MESSAGE if command.agent is None else HandoffInput.AGENT_MESSAGE
        case c.MessageConfirmed():
            given = HandoffInput.CONFIRMED
        case c.MessageUndeliverable():
            given = HandoffInput.UNDELIVERABLE
        case c.OpenFailed():
            given = HandoffInput.OPEN_FAILED
        case c.ConversationEnded():
            given = HandoffInput.PROVIDER_ENDED
        case c.DeadlineReached():
            given = HandoffInput.DEADLINE
        case c.ResendMessage() | c.ResendBriefPart() | c.DeliveryDelayed():
            again = look_after(session.handoff, command)
            return Decision(events=tuple(again.events), effects=tuple(again.effects))
        case _:
            raise TypeError(f"unknown command {type(command).__name__}")
    done = decide_handoff(session, given, command)
    return Decision(events=tuple(done.events), effects=tuple(done.effects), timers=tuple(done.timers))


@dataclass(slots=True)
class _TurnWork:
    events: list[e.Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    timers: list[TimerChange] = field(default_factory=list)


def _apply_turn(session: Session, command: c.ApplyTurn) -> Decision:
    if command.kind is TurnKind.END or not session.expects(command.kind, command.answers):
        return NOTHING
    outcome = command.outcome
    work = _TurnWork()
    if outcome.language and outcome.language != session.language:
        work.events.append(e.LanguageChanged(language_code=outcome.language))
    greeted = command.kind is TurnKind.START and session.greeted
    stream = session.stream
    for message_id, say in zip(command.message_ids, outcome.says, strict=True):
        if say.empty or greeted:
            continue
        rest: Say | None = say
        if stream is not None:
            completed, rest = complete_stream(stream, say)
            work.events.extend(completed)
            stream = None
        if rest is not None:
            work.events.extend(_say(session, message_id, rest))
    if stream is not None:
        work.events.extend(complete_stream(stream, None)[0])
    if outcome.failed and command.kind is TurnKind.START:
        _fail_start(session, work)
    else:
        _go_on(session, command, work)
    if not outcome.failed:
        work.effects.extend(command.texts)
    return Decision(events=tuple(work.events), effects=tuple(work.effects), timers=tuple(work.timers))


def _fail_start(session: Session, work: _TurnWork) -> None:
    if session.start_failures + 1 < MAX_START_FAILURES:
        notice = e.SystemNotice(level=e.NoticeLevel.ERROR, text=texts.START_FAILED, start_failed=True)
        work.events.append(notice)
        return
    work.events.append(e.SystemNotice(level=e.NoticeLevel.ERROR, text=texts.TURN_FAILED))
    _end_with_turn(session, work)


def _go_on(session: Session, command: c.ApplyTurn, work: _TurnWork) -> None:
    """What follows the texts: an apology, a handoff, the end. A failed turn's wish for a human is not trusted."""
    outcome = command.outcome
    no_handoff = outcome.handoff_error or (outcome.handoff is not None and command.plan is None)
    if outcome.failed or no_handoff:
        text = texts.TURN_FAILED if outcome.failed else texts.HANDOFF_NOT_STARTED
        custom = next((m.custom for m in session.unanswered if m.sequence == command.answers), None)
        work.events.append(e.SystemNotice(level=e.NoticeLevel.ERROR, text=text, custom=custom))
    elif command.plan is not None:
        _trigger(session, command, command.plan, work)
        return
    for index in reversed(range(len(work.events))):
        event = work.events[index]
        if isinstance(event, _Answer):
            work.events[index] = replace(event, answers=command.answers)
            break
    if outcome.end:
        _end_with_turn(session, work)


def _end_with_turn(session: Session, work: _TurnWork) -> None:
    ended = _end(session, (), e.EndReason.NATURAL_END)
    work.events.extend(ended.events)
    work.effects.extend(ended.effects)


_Answer = e.VirtualAgentMessage | e.VirtualAgentChunk | e.SystemNotice


def _say(session: Session, message_id: str, say: Say) -> list[e.Event]:
    if not session.streaming or say.call_actions or not say.text.strip():
        return [
            e.VirtualAgentMessage(
                message_id=message_id,
                text=say.text,
                attachments=say.attachments,
                suggestions=say.suggestions,
                call_actions=say.call_actions,
            )
        ]
    pieces = chunk_text(say.text)
    last = len(pieces)
    return [
        e.VirtualAgentChunk(
            message_id=message_id,
            text=piece,
            index=index,
            complete=index == last,
            attachments=say.attachments if index == last else (),
            suggestions=say.suggestions if index == last else (),
        )
        for index, piece in enumerate(pieces, start=1)
    ]


def _trigger(session: Session, command: c.ApplyTurn, plan: c.HandoffPlan, work: _TurnWork) -> None:
    if plan.by_client:
        work.events += _client_handoff(plan, command.answers)
        return
    deadline = command.at + plan.accept_timeout_s * 1000
    through = session.last_sequence + len(work.events)
    work.events.append(
        e.HandoffTriggered(
            handoff_id=plan.handoff_id,
            connection_id=plan.connection_id,
            provider=plan.provider,
            queue_timeout_s=plan.queue_timeout_s,
            on_failure=plan.on_failure,
            return_after_live=plan.return_after_live,
            reason=plan.reason,
            destination=plan.destination,
            options=plan.options,
            files=plan.files,
            answers=command.answers,
            deadline=deadline,
        )
    )
    work.events.append(e.VirtualAgentLeft())
    waiting = [m for m in session.unanswered if m.sequence > command.answers]
    ids = {"handoff_id": plan.handoff_id, "connection_id": plan.connection_id}
    work.effects.append(
        OpenConversation(
            **ids,
            through=through,
            answered=command.answers,
            reason=plan.reason,
            destination=plan.destination,
            options=plan.options,
        )
    )
    work.effects.append(
        SendBriefRest(
            handoff_id=plan.handoff_id,
            connection_id=plan.connection_id,
            through=through,
            answered=command.answers,
            reason=plan.reason,
        )
    )
    work.effects.extend(
        ForwardMessage(
            handoff_id=plan.handoff_id,
            connection_id=plan.connection_id,
            message_id=m.message_id,
            text=m.text,
            at=m.at,
            attachments=m.attachments,
        )
        for m in waiting
    )
    work.timers.append(Arm(kind=DEADLINE, due=deadline, handoff_id=plan.handoff_id))


def _client_handoff(plan: c.HandoffPlan, answers: int) -> list[e.Event]:
    """The order of messaging-protocol.md §8.2. A reason that is none of the documented ones is the agent's decision."""
    known = {reason.value: reason for reason in e.ClientHandoffReason}
    queue_name = (plan.options or {}).get("queue_name") or plan.destination
    return [
        e.HandoffTriggered(
            handoff_id=plan.handoff_id,
            connection_id=plan.connection_id,
            provider=plan.provider,
            queue_timeout_s=plan.queue_timeout_s,
            reason=plan.reason,
            destination=plan.destination,
            options=plan.options,
            answers=answers,
            by_client=True,
        ),
        e.ClientHandoffRequired(
            reason=known.get(plan.reason.upper().replace(" ", "_"), e.ClientHandoffReason.AGENT_DECISION),
            queue_name=str(queue_name),
            route=plan.destination,
        ),
        e.VirtualAgentLeft(),
    ]
