"""What programs outside are told of a conversation: each event of the log by a public kind and a few plain fields."""

from collections.abc import Iterable, Mapping

from warmline.domain import events as e
from warmline.domain.messages import Attachment, LiveAgent

KINDS: Mapping[type[e.Event], str] = {
    e.SessionStarted: "session.started",
    e.VirtualAgentJoined: "virtual_agent.joined",
    e.VirtualAgentMessage: "virtual_agent.message",
    e.VirtualAgentChunk: "virtual_agent.chunk",
    e.VirtualAgentLeft: "virtual_agent.left",
    e.UserMessage: "customer.message",
    e.MessageReceived: "customer.message_delivered",
    e.HandoffTriggered: "handoff.requested",
    e.HandoffAccepted: "handoff.accepted",
    e.QueueStatusChanged: "handoff.queue",
    e.HandoffFailed: "handoff.failed",
    e.HandoffTimedOut: "handoff.timed_out",
    e.LiveAgentJoined: "live_agent.joined",
    e.LiveAgentMessage: "live_agent.message",
    e.LiveAgentLeft: "live_agent.left",
    e.SystemNotice: "system.message",
    e.SessionEnded: "session.ended",
}
"""The public kinds, by the event that they tell of; events without one are not told."""


def kind_of(event: e.Event) -> str:
    """The public kind of an event; "" when it is not told."""
    return KINDS.get(type(event), "")


def fields_of(event: e.Event) -> dict[str, object]:
    """What is told of an event; fields that say nothing are left out."""
    return {name: value for name, value in _fields(event) if value not in (None, "", 0, [], {})}


def _fields(event: e.Event) -> Iterable[tuple[str, object]]:
    match event:
        case e.SessionStarted():
            yield "channel", event.channel
        case e.VirtualAgentJoined():
            yield "agent", {"name": event.agent_name} if event.agent_name else {}
        case e.UserMessage() | e.VirtualAgentMessage() | e.VirtualAgentChunk() | e.LiveAgentMessage():
            yield from _message(event)
        case e.MessageReceived():
            yield "message_id", event.message_id
        case e.HandoffTriggered():
            yield "handoff_id", event.handoff_id
            yield "connection_id", event.connection_id
            yield "destination", event.destination
            yield "reason", event.reason
        case e.QueueStatusChanged():
            yield "queue_name", event.queue_name
            yield "position", event.position
            yield "wait_seconds", event.wait_seconds
        case e.LiveAgentJoined():
            yield "agent", _agent(event.agent)
        case e.LiveAgentLeft() | e.HandoffFailed() | e.HandoffTimedOut():
            yield "reason", event.reason
        case e.SystemNotice():
            yield "text", event.text
            yield "level", event.level.value
            yield "undelivered_message_id", event.undelivered
        case e.SessionEnded():
            yield "reason", event.reason.value


def _message(
    event: e.UserMessage | e.VirtualAgentMessage | e.VirtualAgentChunk | e.LiveAgentMessage,
) -> Iterable[tuple[str, object]]:
    yield "message_id", event.message_id
    yield "text", event.text
    yield "attachments", [_attachment(attachment) for attachment in event.attachments]
    if isinstance(event, e.VirtualAgentMessage | e.VirtualAgentChunk):
        yield "suggestions", list(event.suggestions)
    if isinstance(event, e.VirtualAgentChunk):
        yield "index", event.index
        yield "complete", event.complete
    if isinstance(event, e.LiveAgentMessage) and event.agent is not None:
        yield "agent", _agent(event.agent)


def _agent(agent: LiveAgent) -> dict[str, str]:
    return {"id": agent.id, "name": agent.name} if agent.name else {"id": agent.id}


def _attachment(attachment: Attachment) -> dict[str, object]:
    told = {"url": attachment.content_url, "title": attachment.title, "mime_type": attachment.mime_type}
    return {name: value for name, value in told.items() if value}
