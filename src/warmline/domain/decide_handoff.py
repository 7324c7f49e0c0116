"""Plays the steps of the handoff table: turns each into events, effects and timers."""

from dataclasses import dataclass, field, replace
from typing import assert_never

from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.effects import (
    Arm,
    CloseConversation,
    Disarm,
    Effect,
    ForwardMessage,
    RunTurn,
    SendBriefRest,
    TimerChange,
)
from warmline.domain.handoff import TRANSITIONS, HandoffInput, HandoffState, Step
from warmline.domain.messages import LiveAgent
from warmline.domain.session import Handoff, PendingMessage, Session
from warmline.domain.turn import TurnKind

DEADLINE = "handoff"
"""Name of the one deadline a handoff has armed at a time."""

LATE_MESSAGE_MS = 60_000
"""How long after the end of a handoff its live agent's last words are still shown (webex-byoc.md §16.2)."""


@dataclass(slots=True)
class Play:
    """What the steps have produced so far."""

    events: list[e.Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    timers: list[TimerChange] = field(default_factory=list)


def decide_handoff(session: Session, given: HandoffInput, command: c.Command) -> Play:
    """Look up (state of the session's handoff, `given`) and play the steps; unknown pairs change nothing."""
    play = Play()
    handoff = session.handoff
    if handoff is None:
        return play
    if isinstance(command, c.AgentMessage) and _late(handoff, command):
        given = HandoffInput.LATE_MESSAGE
    transition = TRANSITIONS[handoff.state].get(given)
    if transition is None or _stale(handoff, given, command) or _nothing_new(handoff, command):
        return play
    for step in transition.steps:
        _play(step, session, handoff, transition.to, command, play)
    return play


def message_turn(session: Session, message_id: str, sequence: int, text: str) -> RunTurn:
    """The turn that answers a customer message."""
    return RunTurn(
        turn_id=message_id, kind=TurnKind.MESSAGE, sequence=sequence, text=text, attempt=session.start_failures
    )


def look_after(handoff: Handoff, command: c.ResendMessage | c.ResendBriefPart | c.DeliveryDelayed) -> Play:
    """What is done about messages that do not get through; the handoff stays in its state."""
    play = Play()
    if isinstance(command, c.ResendBriefPart):
        if handoff.state is not HandoffState.ENDED:
            play.effects.append(_brief_part(handoff, command))
        return play
    if isinstance(command, c.DeliveryDelayed) and command.busy:
        if handoff.state is HandoffState.REQUESTED:
            play.events.append(e.SystemNotice(level=e.NoticeLevel.INFO, text=texts.BUSY))
        return play
    if handoff.state is HandoffState.ENDED or not handoff.undelivered:
        return play
    if isinstance(command, c.DeliveryDelayed):
        play.events.append(e.SystemNotice(level=e.NoticeLevel.WARNING, text=texts.DELIVERY_DELAYED))
        return play
    message = _pending(handoff, command.message_id)
    if message is not None:
        if command.smaller and message.attachments:
            text = texts.left_out([file.title for file in message.attachments])
            play.events.append(e.SystemNotice(level=e.NoticeLevel.WARNING, text=text))
        again = forward(handoff, message)
        play.effects.append(replace(again, not_before=command.not_before, alias=command.alias, smaller=command.smaller))
    return play


def _brief_part(handoff: Handoff, command: c.ResendBriefPart) -> SendBriefRest:
    return SendBriefRest(
        handoff_id=handoff.id,
        connection_id=handoff.connection_id,
        through=command.through,
        answered=command.answered,
        reason=command.reason,
        part=command.part,
        not_before=command.not_before,
    )


def close_with_session(session: Session, reason: e.EndReason) -> Play:
    """The effects on the contact centre's side when the session ends under a handoff."""
    play = Play()
    handoff = session.active_handoff
    if handoff is None:
        return play
    for step in TRANSITIONS[handoff.state][HandoffInput.CUSTOMER_LEFT].steps:
        if step is Step.CLOSE:
            play.effects.append(_close(handoff, reason.value))
        else:
            play.timers.append(Disarm(kind=DEADLINE))
    return play


def _late(handoff: Handoff, message: c.AgentMessage) -> bool:
    """A live agent wrote it before the conversation went on without them: shown, but they do not join again."""
    if handoff.agent is None or message.agent is None:
        return False
    if handoff.state is HandoffState.ENDED:
        return message.at - handoff.ended_at <= LATE_MESSAGE_MS
    return handoff.state is HandoffState.TRANSFERRING and 0 < message.provider_at < handoff.provider_at


def _stale(handoff: Handoff, given: HandoffInput, command: c.Command) -> bool:
    """Lifecycle news older than what was applied (webex-byoc.md §11.5, §16.1, races 12 and 13), or no deadline's."""
    match given:
        case HandoffInput.DEADLINE:
            return not 0 < handoff.deadline <= command.at
        case HandoffInput.QUEUED | HandoffInput.AGENT_LEFT | HandoffInput.AGENT_JOINED:
            assert isinstance(command, c.ProviderCommand)
            if not command.provider_at:
                return False
            if handoff.state is HandoffState.LIVE and given is not HandoffInput.AGENT_JOINED:
                return command.provider_at <= handoff.provider_at
            return command.provider_at < handoff.provider_at
        case _:
            return False


def _nothing_new(handoff: Handoff, command: c.Command) -> bool:
    """The customer has been told exactly this (messaging-protocol.md, H6 and H13)."""
    match command:
        case c.AgentJoined():
            same = handoff.agent is not None and command.agent.id in ("", handoff.agent.id)
            return handoff.state is HandoffState.LIVE and same
        case c.ConversationQueued() if handoff.queue is not None:
            waiting = handoff.state in (HandoffState.QUEUED, HandoffState.TRANSFERRING)
            told = (handoff.queue.queue_name, handoff.queue.position, handoff.queue.wait_seconds)
            return waiting and told == (command.queue_name, command.position, command.wait_seconds)
        case c.MessageConfirmed():
            return handoff.state is not HandoffState.REQUESTED and _pending(handoff, command.message_id) is None
        case c.MessageUndeliverable():
            return _pending(handoff, command.message_id) is None
        case _:
            return False


def _pending(handoff: Handoff, message_id: str) -> PendingMessage | None:
    return next((m for m in handoff.undelivered if m.message_id == message_id), None)


def _play(step: Step, session: Session, handoff: Handoff, to: HandoffState, command: c.Command, play: Play) -> None:
    match step:
        case Step.ACCEPTED:
            play.events.append(e.HandoffAccepted(deadline=_queue_deadline(handoff, command), files=handoff.files))
        case Step.QUEUE_STATUS:
            play.events.append(_queue_status(handoff, to, command))
        case Step.JOINED:
            play.events.append(_joined(command))
        case Step.MESSAGE:
            assert isinstance(command, c.AgentMessage)
            play.events.append(
                e.LiveAgentMessage(
                    message_id=command.message_id,
                    text=command.text,
                    attachments=command.attachments,
                    agent=command.agent,
                )
            )
        case Step.RECEIVED:
            _received(handoff, command, play)
        case Step.NOT_DELIVERED:
            _not_delivered(handoff, command, play)
        case Step.LEFT:
            play.events.extend(_uncertain(handoff.undelivered))
            agent_id = handoff.agent.id if handoff.agent else ""
            by_operator = isinstance(command, c.OperatorCommand)
            play.events.append(e.LiveAgentLeft(agent_id=agent_id, reason=_why(command), by_operator=by_operator))
        case Step.FAILED:
            play.events.extend(
                _uncertain(handoff.undelivered) if isinstance(command, c.EndHandoff) else _lost_files(handoff)
            )
            returned = tuple(m.message_id for m in _returned(handoff, command))
            by_operator = isinstance(command, c.OperatorCommand)
            play.events.append(e.HandoffFailed(reason=_why(command), returned=returned, by_operator=by_operator))
        case Step.TIMED_OUT:
            play.events.extend(_lost_files(handoff))
            returned = tuple(m.message_id for m in _returned(handoff, command))
            play.events.append(e.HandoffTimedOut(reason="queue_timeout", returned=returned))
        case Step.FORWARD:
            assert isinstance(command, c.PostUserMessage)
            play.effects.append(forward(handoff, command))
        case Step.CLOSE:
            play.effects.append(_close(handoff, _why(command)))
        case Step.ARM_QUEUE:
            _arm_queue(handoff, command, play)
        case Step.DISARM:
            play.timers.append(Disarm(kind=DEADLINE))
        case Step.RESUME:
            _resume(session, handoff, command, play)
        case Step.CONCLUDE:
            _conclude(session, handoff, play)
        case Step.NOTICE:
            text = texts.ENDED_BY_OPERATOR if isinstance(command, c.EndHandoff) else texts.RETURNED_BY_OPERATOR
            play.events.append(e.SystemNotice(level=e.NoticeLevel.INFO, text=text))
        case Step.END:
            _end_session(play)
        case Step.RETURN:
            failed = any(isinstance(event, e.HandoffFailed) for event in play.events)
            _return_to_virtual_agent(session, _returned(handoff, command) if failed else (), play)
        case _:
            assert_never(step)


def _queue_status(handoff: Handoff, to: HandoffState, command: c.Command) -> e.QueueStatusChanged:
    assert isinstance(command, c.ConversationQueued | c.AgentLeft)
    status = e.QueueStatusChanged(
        provider_at=command.provider_at,
        requeued=to is HandoffState.TRANSFERRING,
        deadline=_queue_deadline(handoff, command) if handoff.state is HandoffState.LIVE else 0,
    )
    if isinstance(command, c.AgentLeft):
        return status
    return replace(
        status,
        queue_name=command.queue_name,
        position=command.position,
        wait_seconds=command.wait_seconds,
    )


def _joined(command: c.Command) -> e.LiveAgentJoined:
    assert isinstance(command, c.AgentJoined | c.AgentMessage)
    return e.LiveAgentJoined(agent=command.agent or LiveAgent(id=""), provider_at=command.provider_at)


def _received(handoff: Handoff, command: c.Command, play: Play) -> None:
    assert isinstance(command, c.MessageConfirmed)
    message = _pending(handoff, command.message_id)
    if message is None:
        return
    # Of a text that went out in parts only the last one is confirmed under the message's own id.
    unchanged = command.stored_text is None or message.text.endswith(command.stored_text)
    stored = None if unchanged else command.stored_text
    play.events.append(e.MessageReceived(message_id=command.message_id, stored_text=stored))
    if command.kept is not None:
        dropped = [file.title for file in message.attachments if file.content_url not in command.kept]
        text = texts.dropped(dropped) if dropped else texts.SOMETHING_DROPPED
        play.events.append(e.SystemNotice(level=e.NoticeLevel.WARNING, text=text))


def _not_delivered(handoff: Handoff, command: c.Command, play: Play) -> None:
    assert isinstance(command, c.MessageUndeliverable)
    message = _pending(handoff, command.message_id)
    play.events.append(
        e.SystemNotice(
            level=e.NoticeLevel.ERROR,
            text=command.text,
            custom=message.custom if message else None,
            undelivered=command.message_id,
        )
    )


def _uncertain(undelivered: tuple[PendingMessage, ...]) -> list[e.Event]:
    if not undelivered:
        return []
    return [e.SystemNotice(level=e.NoticeLevel.WARNING, text=texts.LAST_MESSAGES_UNCERTAIN)]


def _lost_files(handoff: Handoff) -> list[e.Event]:
    """The virtual agent reads words only."""
    if not any(message.attachments for message in handoff.undelivered):
        return []
    return [e.SystemNotice(level=e.NoticeLevel.WARNING, text=texts.FILES_NOT_DELIVERED)]


def _returned(handoff: Handoff, command: c.Command) -> tuple[PendingMessage, ...]:
    """Customer messages that nobody got: the virtual agent answers them if it comes back."""
    comes_back = handoff.on_failure is e.OnFailure.RESUME or isinstance(command, c.ReturnToVirtualAgent)
    if not comes_back or isinstance(command, c.EndHandoff):
        return ()
    return tuple(message for message in handoff.undelivered if message.text)


def _why(command: c.Command) -> str:
    if isinstance(command, c.OpenFailed | c.ConversationEnded):
        return command.reason
    if isinstance(command, c.DeadlineReached):
        return "no_answer_in_time"
    if isinstance(command, c.EndHandoff):
        return "ended_by_operator"
    if isinstance(command, c.ReturnToVirtualAgent):
        return "returned_by_operator"
    return ""


def forward(handoff: Handoff, message: c.PostUserMessage | PendingMessage) -> ForwardMessage:
    """Give the handoff's live agent what the customer wrote."""
    return ForwardMessage(
        handoff_id=handoff.id,
        connection_id=handoff.connection_id,
        message_id=message.message_id,
        text=message.text,
        at=message.at,
        attachments=message.attachments,
    )


def _close(handoff: Handoff, reason: str) -> CloseConversation:
    return CloseConversation(handoff_id=handoff.id, connection_id=handoff.connection_id, reason=reason)


def _queue_deadline(handoff: Handoff, command: c.Command) -> int:
    return command.at + handoff.queue_timeout_s * 1000 if handoff.queue_timeout_s else 0


def _arm_queue(handoff: Handoff, command: c.Command, play: Play) -> None:
    due = _queue_deadline(handoff, command)
    if due:
        play.timers.append(Arm(kind=DEADLINE, due=due, handoff_id=handoff.id))
    else:
        play.timers.append(Disarm(kind=DEADLINE))


def _resume(session: Session, handoff: Handoff, command: c.Command, play: Play) -> None:
    ends = handoff.on_failure is e.OnFailure.END
    text = texts.HANDOFF_FAILED
    if any(isinstance(event, e.HandoffTimedOut) for event in play.events):
        text = texts.HANDOFF_TIMED_OUT_END if ends else texts.HANDOFF_TIMED_OUT
    play.events.append(e.SystemNotice(level=e.NoticeLevel.ERROR, text=text))
    if ends:
        _end_session(play)
    else:
        _return_to_virtual_agent(session, _returned(handoff, command), play)


def _conclude(session: Session, handoff: Handoff, play: Play) -> None:
    if handoff.return_after_live:
        _return_to_virtual_agent(session, (), play)
    else:
        _end_session(play)


def _return_to_virtual_agent(session: Session, returned: tuple[PendingMessage, ...], play: Play) -> None:
    play.events.append(e.VirtualAgentJoined(agent_name=session.agent_name, agent_avatar_url=session.agent_avatar_url))
    play.effects.extend(message_turn(session, m.message_id, m.sequence, m.text) for m in returned)


def _end_session(play: Play) -> None:
    play.events.append(e.SessionEnded(reason=e.EndReason.NATURAL_END))
    play.effects.append(RunTurn(turn_id="end", kind=TurnKind.END))
