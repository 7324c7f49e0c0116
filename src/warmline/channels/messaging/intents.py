"""What a client's frame asks for (messaging-protocol.md §5). Pure."""

import hashlib
from dataclasses import dataclass

import msgspec

from warmline.channels.messaging.wire import EVENTS, PREFIX, Payload
from warmline.domain.events import Custom

INVALID_FRAME = "Unknown event type or invalid message format"
NOT_ALLOWED = "Event type not allowed: "
TOO_LARGE = "Message too large"

MAX_CUSTOM_BYTES = 16_384
"""`metadata.custom` is stored and echoed, so it is bounded: with it the largest echo stays below 1 MiB (§3.4)."""
_MAX_CUSTOM_DEPTH = 16

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a client's frame asks for; `custom` is its `metadata.custom`, to be echoed as it is."""

    custom: Custom | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Intent):
    """REQUEST_POLY_AGENT_JOIN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post(Intent):
    """USER_MESSAGE. The same `client_ref` means the same message ("": none was given, §5.2)."""

    text: str
    client_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing(Intent):
    """USER_TYPING."""

    started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Intent):
    """USER_END_SESSION."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Intent):
    """HEARTBEAT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored(Intent):
    """Nothing to do and nothing to answer (§5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Intent):
    """To be answered with the error `message`; the socket stays open."""

    message: str


_NOT_FOR_CLIENTS = frozenset(name for name, _ in EVENTS.values()).union(
    (
        "EVENT_BATCH",
        "SESSION_IDLE_WARNING",
        "POLY_AGENT_THINKING",
        "LIVE_AGENT_TYPING",
        "CLIENT_HANDOFF_REQUIRED",
        "REQUEST_POLY_AGENT_JOIN_WITH_GREETING_MESSAGE",
        "USER_RECEIVED_MESSAGE",
        "USER_READ_MESSAGE",
        "POLY_AGENT_RECEIVED_MESSAGE",
        "POLY_AGENT_READ_MESSAGE",
        "LIVE_AGENT_READ_MESSAGE",
        "SHOW_CSAT_REQUEST",
        "CSAT_RESPONSE",
    )
)
"""Types of the protocol that only the server sends (§6); what clients may send is looked up before."""

_TYPING = {"TYPING_STATE_STARTED": True, "TYPING_STATE_STOPPED": False}


def decode_frame(data: bytes, *, max_text_bytes: int = 131_072) -> Intent:
    """Understand one text frame of a client (§5); never raises.

    `max_text_bytes` limits a message's UTF-8 text, as advertised in SESSION_START (§3.4).
    """
    try:
        frame = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Refused(message=INVALID_FRAME)
    if not isinstance(frame, dict):
        return Refused(message=INVALID_FRAME)
    metadata = frame.get("metadata")
    custom = metadata.get("custom") if isinstance(metadata, dict) else None
    if not isinstance(custom, dict):
        custom = None
    elif _too_deep(custom, _MAX_CUSTOM_DEPTH):
        return Refused(message=INVALID_FRAME)
    elif len(data) > MAX_CUSTOM_BYTES and len(_encode(custom)) > MAX_CUSTOM_BYTES:
        return Refused(message=TOO_LARGE)
    kind = frame.get("type")
    if not isinstance(kind, str) or not kind.startswith(PREFIX):
        return Refused(message=INVALID_FRAME, custom=custom)
    payload = frame.get("payload")
    return _intent(kind[len(PREFIX) :], payload if isinstance(payload, dict) else {}, custom, max_text_bytes)


def _intent(name: str, payload: Payload, custom: Custom | None, max_text_bytes: int) -> Intent:
    match name:
        case "USER_MESSAGE":
            return _post(payload.get("text"), custom, max_text_bytes)
        case "HEARTBEAT":
            return Heartbeat(custom=custom)
        case "USER_TYPING":
            started = _TYPING.get(str(payload.get("state")))
            return Ignored() if started is None else Typing(started=started)
        case "REQUEST_POLY_AGENT_JOIN":
            return Join(custom=custom)
        case "USER_END_SESSION":
            return End(custom=custom)
        case "LINK_TO_WEBRTC_CONVERSATION":
            return Ignored()
        case _ if name in _NOT_FOR_CLIENTS:
            return Refused(message=NOT_ALLOWED + PREFIX + name, custom=custom)
        case _:
            return Refused(message=INVALID_FRAME, custom=custom)


def _post(text: object, custom: Custom | None, max_text_bytes: int) -> Intent:
    if not isinstance(text, str) or not text.strip():
        return Refused(message=INVALID_FRAME, custom=custom)
    if len(text) * 4 > max_text_bytes and len(text.encode()) > max_text_bytes:
        return Refused(message=TOO_LARGE, custom=custom)
    return Post(text=text, client_ref=_client_ref(custom or {}), custom=custom)


def _client_ref(custom: Custom) -> str:
    for key in ("local_id", "client_event_id"):
        ref = custom.get(key)
        if isinstance(ref, str) and ref:
            return ref if len(ref) <= 128 else hashlib.sha256(ref.encode()).hexdigest()
    return ""


def _too_deep(value: object, left: int) -> bool:
    if isinstance(value, dict):
        return left == 0 or any(_too_deep(item, left - 1) for item in value.values())
    if isinstance(value, list):
        return left == 0 or any(_too_deep(item, left - 1) for item in value)
    return False
