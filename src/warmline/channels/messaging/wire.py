"""Events as the JSON that customers' clients read (messaging-protocol.md §4, §6, §7, §11). Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from warmline.domain import events as e
from warmline.domain.messages import Attachment, AttachmentKind, CallAction

PREFIX = "EVENT_TYPE_"

BATCH_EVENTS = 100
BATCH_BYTES = 100_000

Payload = dict[str, Any]

_encode = msgspec.json.Encoder().encode


def timestamp(at: int) -> str:
    """`at` (milliseconds since the epoch) as ISO 8601 UTC with exactly three fraction digits (§4.1)."""
    return f"{_second(at // 1000)}.{at % 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def encode_event(recorded: e.Recorded) -> bytes:
    """The frame of a journaled event. The same event always gives the same bytes."""
    name, payload_of = EVENTS[type(recorded.event)]
    frame = _envelope(recorded.id, recorded.sequence, recorded.at, name, payload_of(recorded.event))
    custom: e.Custom | None = getattr(recorded.event, "custom", None)
    if custom is not None:
        frame["metadata"] = {"custom": custom}
    return _encode(frame)


def encode_transient(
    name: str, payload: Mapping[str, object], *, event_id: str, at: int, custom: e.Custom | None = None
) -> bytes:
    """The frame of something that is shown only now (`sequence` null, §4.2). `name` lacks the prefix."""
    frame = _envelope(event_id, None, at, name, payload)
    if custom is not None:
        frame["metadata"] = {"custom": custom}
    return _encode(frame)


def encode_notice(level: e.NoticeLevel, text: str, *, event_id: str, at: int, custom: e.Custom | None = None) -> bytes:
    """A SYSTEM_MESSAGE that answers one frame of one socket; `custom` is that frame's (§5, §10)."""
    return encode_transient("SYSTEM_MESSAGE", _notice(level, text), event_id=event_id, at=at, custom=custom)


def encode_batch(frames: Sequence[bytes], *, event_id: str, at: int) -> bytes:
    """An EVENT_BATCH of frames made by `encode_event` (§3.2)."""
    events = [msgspec.Raw(frame) for frame in frames]
    return _encode(_envelope(event_id, None, at, "EVENT_BATCH", {"events": events}))


def batches(frames: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut a replay into lists of at most 100 frames and 100 KB; a larger single frame goes alone (§3.2)."""
    batch: list[bytes] = []
    size = 0
    for frame in frames:
        if batch and (len(batch) == BATCH_EVENTS or size + len(frame) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(frame)
        size += len(frame)
    if batch:
        yield batch


def encode_url(url: str) -> str:
    """`url` with everything percent-encoded that RFC 3986 does not allow as it is: strict clients drop it (§4.3)."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    except ValueError:
        return _quote(url)
    rest = (_quote(part) for part in (parts.path, parts.query, parts.fragment))
    return urlunsplit((parts.scheme, quote(host, safe="[]:@%!$&'()*+,;=~"), *rest))


_STRAY_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")


def _quote(text: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe="%/:?@!$&'()*+,;=~")


def _envelope(event_id: str, sequence: int | None, at: int, name: str, payload: Mapping[str, object]) -> Payload:
    return {
        "id": event_id,
        "sequence": sequence,
        "timestamp": timestamp(at),
        "type": PREFIX + name,
        "payload": payload,
    }


def _session_start(event: e.SessionStarted) -> Payload:
    capabilities = {
        "streaming": event.streaming,
        "max_message_size_bytes": event.max_message_bytes,
        "heartbeat_interval_seconds": event.heartbeat_seconds,
        "max_reconnect_attempts": event.max_reconnect_attempts,
    }
    return {"capabilities": capabilities} | ({"context_id": event.context_id} if event.context_id else {})


def _virtual_joined(event: e.VirtualAgentJoined) -> Payload:
    return {"agent_name": event.agent_name, "agent_avatar_url": encode_url(event.agent_avatar_url)}


def _user_message(event: e.UserMessage) -> Payload:
    payload: Payload = {"text": event.text, "message_id": event.message_id}
    if event.attachments:
        payload["attachments"] = [_attachment(attachment) for attachment in event.attachments]
    return payload


def _virtual_message(event: e.VirtualAgentMessage) -> Payload:
    payload = _said(event.message_id, event.text, event.attachments, event.suggestions)
    if event.call_actions:
        payload["chat_call_actions"] = [_call_action(action) for action in event.call_actions]
    return payload


def _virtual_chunk(event: e.VirtualAgentChunk) -> Payload:
    return {
        **_said(event.message_id, event.text, event.attachments, event.suggestions),
        "chunk_index": event.index,
        "is_complete": event.complete,
    }


def _client_handoff(event: e.ClientHandoffRequired) -> Payload:
    return {"reason": event.reason.value, "queue_name": event.queue_name, "route": event.route}


def _accepted(event: e.HandoffAccepted) -> Payload:
    """An extension that other clients ignore: which files the customer can send until the handoff is over."""
    rules = event.files
    if rules is None:
        return {}
    limits = {"max_count": rules.max_count, "max_size_bytes": rules.max_bytes, "types": rules.types}
    return {"capabilities": {"attachments": limits}}


def _queue_status(event: e.QueueStatusChanged) -> Payload:
    payload = {
        "queue_name": event.queue_name,
        "position_in_queue": event.position,
        "estimated_wait_seconds": event.wait_seconds,
    }
    return {key: value for key, value in payload.items() if value is not None}


def _live_joined(event: e.LiveAgentJoined) -> Payload:
    agent = event.agent
    avatar = encode_url(agent.avatar_url)
    return {
        "agent": {"id": agent.id, "name": agent.name, "avatar_url": avatar},
        "agent_id": agent.id,
        "agent_name": agent.name,
        "avatar_url": avatar,
    }


def _live_message(event: e.LiveAgentMessage) -> Payload:
    payload = _said(event.message_id, event.text, event.attachments, ())
    if event.agent is not None:
        payload["agent_id"] = event.agent.id
        payload["agent_name"] = event.agent.name
        payload["avatar_url"] = encode_url(event.agent.avatar_url)
    return payload


def _live_left(event: e.LiveAgentLeft) -> Payload:
    payload = {"agent_id": event.agent_id, "reason": event.reason}
    return {key: value for key, value in payload.items() if value}


def _reason(event: e.HandoffFailed | e.HandoffTimedOut) -> Payload:
    return {"reason": event.reason} if event.reason else {}


def _notice(level: e.NoticeLevel, text: str) -> Payload:
    return {"level": f"SYSTEM_MESSAGE_LEVEL_{level.value}", "message": text}


def _nothing(_: e.Event) -> Payload:
    return {}


def _said(message_id: str, text: str, attachments: tuple[Attachment, ...], suggestions: tuple[str, ...]) -> Payload:
    return {
        "message_id": message_id,
        "text": text,
        "attachments": [_attachment(attachment) for attachment in attachments],
        "response_suggestions": [{"message_text": text} for text in suggestions],
    }


_CONTENT_TYPES = {
    AttachmentKind.URL: "ATTACHMENT_CONTENT_TYPE_URL",
    AttachmentKind.IMAGE: "ATTACHMENT_CONTENT_TYPE_IMAGE",
}


def _attachment(attachment: Attachment) -> Payload:
    return {
        "title": attachment.title,
        "preview_image_url": encode_url(attachment.preview_image_url),
        "content_url": encode_url(attachment.content_url),
        "content_type": _CONTENT_TYPES[attachment.kind],
        "call_to_action_text": attachment.call_to_action,
    }


def _call_action(action: CallAction) -> Payload:
    return {"title": action.title, "contact_number": action.contact_number}


EVENTS: Mapping[type[e.Event], tuple[str, Callable[[Any], Payload]]] = {
    e.SessionStarted: ("SESSION_START", _session_start),
    e.JoinRequested: ("REQUEST_POLY_AGENT_JOIN", _nothing),
    e.VirtualAgentJoined: ("POLY_AGENT_JOINED", _virtual_joined),
    e.UserMessage: ("USER_MESSAGE", _user_message),
    e.VirtualAgentMessage: ("POLY_AGENT_MESSAGE", _virtual_message),
    e.VirtualAgentChunk: ("POLY_AGENT_MESSAGE_CHUNK", _virtual_chunk),
    e.HandoffTriggered: ("POLY_AGENT_TRIGGERED_HANDOFF", _nothing),
    e.ClientHandoffRequired: ("CLIENT_HANDOFF_REQUIRED", _client_handoff),
    e.VirtualAgentLeft: ("POLY_AGENT_LEFT", _nothing),
    e.HandoffAccepted: ("HANDOFF_ACCEPTED", _accepted),
    e.QueueStatusChanged: ("HANDOFF_QUEUE_STATUS", _queue_status),
    e.LiveAgentJoined: ("LIVE_AGENT_JOINED", _live_joined),
    e.LiveAgentMessage: ("LIVE_AGENT_MESSAGE", _live_message),
    e.MessageReceived: ("LIVE_AGENT_RECEIVED_MESSAGE", lambda event: {"message_id": event.message_id}),
    e.LiveAgentLeft: ("LIVE_AGENT_LEFT", _live_left),
    e.HandoffFailed: ("HANDOFF_FAILED", _reason),
    e.HandoffTimedOut: ("HANDOFF_TIMEOUT", _reason),
    e.SystemNotice: ("SYSTEM_MESSAGE", lambda event: _notice(event.level, event.text)),
    e.LanguageChanged: ("LANGUAGE_CHANGED", lambda event: {"language_code": event.language_code}),
    e.UserEndRequested: ("USER_END_SESSION", _nothing),
    e.SessionEnded: ("SESSION_END", lambda event: {"reason": event.reason.value}),
}
"""Name on the wire (without the prefix) and payload of every event."""
