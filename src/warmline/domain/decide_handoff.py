"""Plays the steps of the handoff table: turns each into events, effects and timers."""

from dataclasses import dataclass, field
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
    TimerChange,
)
from warmline.domain.handoff import TRANSITIONS, HandoffInput, HandoffState, Step
from warmline.domain.messages import LiveAgent
from warmline.domain.session import Handoff, PendingMessage, Session
from warmline.domain.turn import TurnKind

DEADLINE = "handoff"
"""Name of the one deadline a handoff has armed at a time."""

_LIFECYCLE = frozenset({HandoffInput.QUEUED, HandoffInput.AGENT_JOINED, HandoffInput.AGENT_LEFT})


@dataclass(slots=True)
class Play:
    """What the steps have produced so far."""

    events: list[e.Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    timers: list[TimerChange] = field(default_factory=list)


def decide_handoff(session: Session, given: HandoffInput, command: c.Command) -> Play:
    """Look up (state of the session's handoff, `given`) and play the steps; unknown pairs change nothing."""
    play = Play()
    handoff = session.active_handoff
    if handoff is None:
        return play
    transition = TRANSITIONS[handoff.state].get(given)
    if transition is None or _stale(handoff, given, command) or _nothing_new(handoff, given, command):
        return play
    for step in transition.steps:
        _play(step, session, handoff, transition.to, command, play)
    return play


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


def _stale(handoff: Handoff, given: HandoffInput, command: c.Command) -> bool:
    """Late lifecycle news: older than what was applied (webex-byoc.md §11.5, races 12 and 13)."""
    if given not in _LIFECYCLE or not isinstance(command, c.ProviderCommand):
        return False
    return 0 < command.provider_at < handoff.provider_at


def _nothing_new(handoff: Handoff, given: HandoffInput, command: c.Command) -> bool:
    """The customer has been told exactly this (messaging-protocol.md, H6 and H13)."""
    if given is HandoffInput.AGENT_JOINED and isinstance(command, c.AgentJoined):
        same = handoff.agent is not None and command.agent.id in ("", handoff.agent.id)
        return handoff.state is HandoffState.LIVE and same
    if given is HandoffInput.QUEUED and isinstance(command, c.ConversationQueued) and handoff.queue is not None:
        waiting = handoff.state in (HandoffState.QUEUED, HandoffState.TRANSFERRING)
        told = (handoff.queue.queue_name, handoff.queue.position, handoff.queue.wait_seconds)
        return waiting and told == (command.queue_name, command.position, command.wait_seconds)
    if given in (HandoffInput.CONFIRMED, HandoffInput.UNDELIVERABLE):
        message_id = getattr(command, "message_id", "")
        known = any(m.message_id == message_id for m in handoff.undelivered)
        return not known and handoff.state is not HandoffState.REQUESTED
    return False


def _play(step: Step, session: Session, handoff: Handoff, to: HandoffState, command: c.Command, play: Play) -> None:
    match step:
        case Step.ACCEPTED:
            play.events.append(e.HandoffAccepted())
        case Step.QUEUE_STATUS:
            play.events.append(_queue_status(to, command))
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
            assert isinstance(command, c.MessageUndeliverable)
            play.events.append(
                e.SystemNotice(level=e.NoticeLevel.ERROR, text=command.text, undelivered=command.message_id)
            )
        case Step.LEFT:
            play.events.extend(_uncertain(handoff.undelivered))
            agent_id = handoff.agent.id if handoff.agent else ""
            play.events.append(e.LiveAgentLeft(agent_id=agent_id, reason=getattr(command, "reason", "")))
        case Step.FAILED:
            returned = tuple(m.message_id for m in _returned(handoff))
            play.events.append(e.HandoffFailed(reason=_why(command), returned=returned))
        case Step.TIMED_OUT:
            returned = tuple(m.message_id for m in _returned(handoff))
            play.events.append(e.HandoffTimedOut(reason="queue_timeout", returned=returned))
        case Step.FORWARD:
            assert isinstance(command, c.PostUserMessage)
            play.effects.append(
                ForwardMessage(
                    handoff_id=handoff.id,
                    connection_id=handoff.connection_id,
                    message_id=command.message_id,
                    text=command.text,
                    at=command.at,
                )
            )
        case Step.CLOSE:
            play.effects.append(_close(handoff, _why(command)))
        case Step.ARM_QUEUE:
            _arm_queue(handoff, command, play)
        case Step.DISARM:
            play.timers.append(Disarm(kind=DEADLINE))
        case Step.RESUME:
            _resume(session, handoff, play)
        case Step.CONCLUDE:
            _conclude(session, handoff, play)
        case _:
            assert_never(step)


def _queue_status(to: HandoffState, command: c.Command) -> e.QueueStatusChanged:
    requeued = to is HandoffState.TRANSFERRING
    if isinstance(command, c.ConversationQueued):
        return e.QueueStatusChanged(
            queue_name=command.queue_name,
            position=command.position,
            wait_seconds=command.wait_seconds,
            provider_at=command.provider_at,
            requeued=requeued,
        )
    provider_at = command.provider_at if isinstance(command, c.ProviderCommand) else 0
    return e.QueueStatusChanged(provider_at=provider_at, requeued=requeued)


def _joined(command: c.Command) -> e.LiveAgentJoined:
    assert isinstance(command, c.AgentJoined | c.AgentMessage)
    return e.LiveAgentJoined(agent=command.agent or LiveAgent(id=""), provider_at=command.provider_at)


def _received(handoff: Handoff, command: c.Command, play: Play) -> None:
    assert isinstance(command, c.MessageConfirmed)
    if any(m.message_id == command.message_id for m in handoff.undelivered):
        play.events.append(e.MessageReceived(message_id=command.message_id, stored_text=command.stored_text))
        if command.note:
            play.events.append(e.SystemNotice(level=e.NoticeLevel.WARNING, text=command.note))


def _uncertain(undelivered: tuple[PendingMessage, ...]) -> list[e.Event]:
    if not undelivered:
        return []
    return [e.SystemNotice(level=e.NoticeLevel.WARNING, text=texts.LAST_MESSAGES_UNCERTAIN)]


def _returned(handoff: Handoff) -> tuple[PendingMessage, ...]:
    """Customer messages that nobody got: the virtual agent answers them if it comes back."""
    return handoff.undelivered if handoff.on_failure is e.OnFailure.RESUME else ()


def _why(command: c.Command) -> str:
    if isinstance(command, c.OpenFailed | c.ConversationEnded):
        return command.reason
    if isinstance(command, c.DeadlineReached):
        return "no_answer_in_time"
    return ""


def _close(handoff: Handoff, reason: str) -> CloseConversation:
    return CloseConversation(handoff_id=handoff.id, connection_id=handoff.connection_id, reason=reason)


def _arm_queue(handoff: Handoff, command: c.Command, play: Play) -> None:
    if handoff.queue_timeout_s:
        due = command.at + handoff.queue_timeout_s * 1000
        play.timers.append(Arm(kind=DEADLINE, due=due, handoff_id=handoff.id))
    else:
        play.timers.append(Disarm(kind=DEADLINE))


def _resume(session: Session, handoff: Handoff, play: Play) -> None:
    timed_out = any(isinstance(event, e.HandoffTimedOut) for event in play.events)
    if handoff.on_failure is e.OnFailure.END:
        text = texts.HANDOFF_TIMED_OUT_END if timed_out else texts.HANDOFF_FAILED
        play.events.append(e.SystemNotice(level=e.NoticeLevel.ERROR, text=text))
        _end_session(play)
        return
    text = texts.HANDOFF_TIMED_OUT if timed_out else texts.HANDOFF_FAILED
    play.events.append(e.SystemNotice(level=e.NoticeLevel.ERROR, text=text))
    _return_to_virtual_agent(session, _returned(handoff), play)


def _conclude(session: Session, handoff: Handoff, play: Play) -> None:
    if handoff.return_after_live:
        _return_to_virtual_agent(session, (), play)
    else:
        _end_session(play)


def _return_to_virtual_agent(session: Session, returned: tuple[PendingMessage, ...], play: Play) -> None:
    play.events.append(e.VirtualAgentJoined(agent_name=session.agent_name, agent_avatar_url=session.agent_avatar_url))
    play.effects.extend(
        RunTurn(turn_id=m.message_id, kind=TurnKind.MESSAGE, sequence=m.sequence, text=m.text) for m in returned
    )


def _end_session(play: Play) -> None:
    play.events.append(e.SessionEnded(reason=e.EndReason.NATURAL_END))
    play.effects.append(RunTurn(turn_id="end", kind=TurnKind.END))
