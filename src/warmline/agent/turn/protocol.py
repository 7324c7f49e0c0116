"""What the engine and a function worker say to each other: length-prefixed MessagePack frames.

A frame is a 4-byte big-endian length and one message. The module is imported by every worker and stays small.
"""

from typing import Any

import msgspec

HEADER = 4
"""Bytes of a frame's length."""
MAX_FRAME = 16 * 1024 * 1024
"""Bytes that a frame may hold; a larger one means that something went wrong on the other side."""


class Setup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """The first frame to a worker: the project that it serves.

    `functions` maps a global function's name to its file, relative to `root`. `memory_mb` limits the worker's
    address space, `state_kb` what a session's state may take.
    """

    root: str
    project_id: str
    account_id: str
    functions: dict[str, str]
    memory_mb: int
    state_kb: int
    variants: dict[str, dict[str, str]] = {}
    translations: dict[str, dict[str, str]] = {}
    handoffs: dict[str, dict[str, Any]] = {}
    sms_templates: dict[str, dict[str, Any]] = {}
    flows: list[str] = []


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """What a function may know of the conversation. `history` holds (role, text)."""

    id: str = ""
    env: str = "live"
    channel_type: str = "webchat.polyai"
    caller_number: str | None = None
    language: str | None = None
    variant: str | None = None
    integration_attributes: dict[str, str] = {}
    history: list[tuple[str, str]] = []
    metrics: list[tuple[str, Any]] = []
    flow: str | None = None
    step: str | None = None


class Warm(msgspec.Struct, frozen=True, tag="warm"):
    """Import the file of a function, so that its first call is fast."""

    function: str
    limit_s: float


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    """Run a function. `state` holds the pickled value of each key of `conv.state`."""

    function: str
    limit_s: float
    arguments: dict[str, Any] = {}
    conversation: Conversation = Conversation()
    state: dict[str, bytes] = {}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a function did not do its work, and where; `file` is relative to the project."""

    rule: str
    text: str
    file: str = ""
    line: int = 0


class Effects(msgspec.Struct, kw_only=True):
    """What a function asked for through `conv`, beside its return value."""

    say: str | None = None
    handoff: dict[str, Any] | None = None
    metrics: list[tuple[str, Any]] = []
    language: str | None = None
    variant: str | None = None
    attachments: list[dict[str, str]] = []
    suggestions: list[str] | None = None
    call_actions: list[dict[str, str]] = []
    goto_flow: str | None = None
    goto_step: str | None = None
    exit_flow: bool = False
    disabled_topics: list[str] | None = None


class Reply(msgspec.Struct, kw_only=True):
    """How a call ended.

    `value` is what the function returned, reduced to plain data; `odd` names its type when it is none that a
    function may return. `state` is the whole new state, or None when the call failed: then nothing that the
    function wrote counts. `texts` holds the state as text, for use in the project's texts. `spent` means that
    the worker must not be used again.
    """

    value: Any = None
    odd: str = ""
    effects: Effects = msgspec.field(default_factory=Effects)
    state: dict[str, bytes] | None = None
    texts: dict[str, str] = {}
    changes: dict[str, list[str]] = {}
    logs: list[dict[str, Any]] = []
    failure: Failure | None = None
    warnings: list[Failure] = []
    duration_ms: int = 0
    spent: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """What a running function needs of the server: a model's answer, a secret, an API's response.

    The worker waits for the `Answer` before it sends anything else. `kind` says who answers (`turn/asks.py`).
    """

    kind: str
    payload: dict[str, Any] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """The answer to an ask. `error` names the exception that the function gets instead, `text` its message."""

    value: Any = None
    error: str = ""
    text: str = ""


Request = Setup | Warm | Call

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


def frame(message: Request | Reply) -> bytes:
    """Give the bytes of a frame.

    Raises:
        ValueError: the message is larger than MAX_FRAME.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ValueError(f"a message of {len(body)} bytes is larger than {MAX_FRAME}")
    return len(body).to_bytes(HEADER, "big") + body


def read_request(body: bytes) -> Request:
    """Give the request in a frame's body."""
    request: Request = _requests.decode(body)
    return request


def read_reply(body: bytes) -> Reply:
    """Give the reply in a frame's body.

    Raises:
        msgspec.MsgspecError: it is none; the worker must not be trusted any more.
    """
    return _replies.decode(body)
