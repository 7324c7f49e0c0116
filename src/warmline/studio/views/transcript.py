"""A conversation's log as lines for people: who said what when, what arrived, and what happened in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from warmline.domain import events as e
from warmline.domain.catalog import HandoffFacts
from warmline.domain.messages import Attachment, CallAction


class Who(StrEnum):
    """Whose line it is."""

    CUSTOMER = "customer"
    VIRTUAL_AGENT = "virtual_agent"
    LIVE_AGENT = "live_agent"
    CONTACT_CENTRE = "contact_centre"
    SYSTEM = "system"
    NEWS = "news"
    """Nobody said it: something happened."""


class Tick(StrEnum):
    """What is known of a customer's message under a handoff."""

    NONE = ""
    WAITING = "waiting"
    ARRIVED = "arrived"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. `news` names the event of a NEWS line; `masked`: the contact centre replaced parts of it.

    `sequence` is the event's that began it.
    """

    at: int
    who: Who
    text: str = ""
    name: str = ""
    news: str = ""
    tick: Tick = Tick.NONE
    masked: bool = False
    attachments: tuple[Attachment, ...] = ()
    message_id: str = ""
    suggestions: tuple[str, ...] = ()
    call_actions: tuple[CallAction, ...] = ()
    sequence: int = 0


_NEWS: dict[type[e.Event], str] = {
    e.SessionStarted: "started",
    e.VirtualAgentJoined: "virtual_agent_joined",
    e.HandoffTriggered: "handoff_requested",
    e.HandoffAccepted: "handoff_accepted",
    e.QueueStatusChanged: "queued",
    e.LiveAgentJoined: "live_agent_joined",
    e.LiveAgentLeft: "live_agent_left",
    e.HandoffFailed: "handoff_failed",
    e.HandoffTimedOut: "handoff_timed_out",
    e.UserEndRequested: "customer_ended",
    e.SessionEnded: "ended",
}


def lines(log: Sequence[e.Recorded]) -> list[Line]:
    """Give the lines of a whole log, in order."""
    made: list[Line] = []
    place: dict[str, int] = {}
    handed_over = False
    for recorded in log:
        event, at = recorded.event, recorded.at
        before = len(made)
        match event:
            case e.UserMessage():
                place[event.message_id] = len(made)
                made.append(_said(at, Who.CUSTOMER, event, Tick.WAITING if handed_over else Tick.NONE))
            case e.VirtualAgentMessage():
                said = _said(at, Who.VIRTUAL_AGENT, event)
                made.append(replace(said, suggestions=event.suggestions, call_actions=event.call_actions))
            case e.VirtualAgentChunk():
                _add_chunk(made, place, at, event)
            case e.LiveAgentMessage():
                who = Who.LIVE_AGENT if event.agent else Who.CONTACT_CENTRE
                made.append(replace(_said(at, who, event), name=event.agent.name if event.agent else ""))
            case e.MessageReceived():
                _mark(made, place, event.message_id, Tick.ARRIVED, event.stored_text)
            case e.SystemNotice():
                _mark(made, place, event.undelivered, Tick.FAILED, None)
                _mark(made, place, event.retried, Tick.WAITING, None)
                made.append(Line(at=at, who=Who.SYSTEM, text=event.text))
            case _:
                if type(event) in _NEWS:
                    made.append(_news(at, event))
        if len(made) > before:
            made[-1] = replace(made[-1], sequence=recorded.sequence)
        if isinstance(event, e.HandoffTriggered):
            handed_over = True
        elif isinstance(event, e.HandoffFailed | e.HandoffTimedOut | e.LiveAgentLeft):
            handed_over = False
    return made


def _said(
    at: int, who: Who, event: e.UserMessage | e.VirtualAgentMessage | e.LiveAgentMessage, tick: Tick = Tick.NONE
) -> Line:
    return Line(at=at, who=who, text=event.text, tick=tick, attachments=event.attachments, message_id=event.message_id)


def _add_chunk(made: list[Line], place: dict[str, int], at: int, event: e.VirtualAgentChunk) -> None:
    index = place.setdefault(event.message_id, len(made))
    if index == len(made):
        made.append(Line(at=at, who=Who.VIRTUAL_AGENT, message_id=event.message_id))
    made[index] = replace(
        made[index],
        text=made[index].text + event.text,
        attachments=made[index].attachments + event.attachments,
        suggestions=event.suggestions or made[index].suggestions,
    )


def _mark(made: list[Line], place: dict[str, int], message_id: str, tick: Tick, masked: str | None) -> None:
    index = place.get(message_id)
    if index is None:
        return
    line = replace(made[index], tick=tick)
    made[index] = line if masked is None else replace(line, text=masked, masked=masked != line.text)


def queued(handoffs: Sequence[HandoffFacts], log: Sequence[e.Recorded]) -> dict[str, int]:
    """When each handoff came into a queue before an agent joined, by its id; without those that none told of."""
    found: dict[str, int] = {}
    for recorded in log:
        if isinstance(recorded.event, e.QueueStatusChanged):
            for one in handoffs:
                if one.requested_at <= recorded.at <= (one.joined_at or one.ended_at or recorded.at):
                    found.setdefault(one.id, recorded.at)
    return found


def _news(at: int, event: e.Event) -> Line:
    name = text = ""
    match event:
        case e.LiveAgentJoined():
            name = event.agent.name
        case e.VirtualAgentJoined():
            name = event.agent_name
        case e.HandoffTriggered():
            text = " · ".join(part for part in (event.destination, event.reason) if part)
        case e.QueueStatusChanged():
            text = event.queue_name or ""
        case e.HandoffFailed() | e.HandoffTimedOut() | e.LiveAgentLeft():
            text = event.reason
        case e.SessionEnded():
            text = event.reason.value
    return Line(at=at, who=Who.NEWS, news=_NEWS[type(event)], name=name, text=text)
