"""What the engine says to a project's template and workers and what they say to it: MessagePack frames.

A frame is a 4-byte big-endian length and one message, on a stream socket of its own for each process. The module is
imported by every worker and stays small.
"""

from typing import Any

import msgspec

HEADER = 4
"""Bytes of a frame's length."""
MAX_FRAME = 16 * 1024 * 1024
"""Bytes that a frame may hold; a larger one means that something went wrong on the other side."""


class Setup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """The first frame to a template: the project that it serves.

    `files` are the function files, relative to `root`. `functions` maps a global function's name to its file, `flows`
    a flow's name to its transition functions and their files. `preload` are modules to import beforehand.
    `memory_mb` limits the address space of every process, `state_kb` what a session's state may take, `output_kb`
    what one call may return.
    """

    root: str
    project_id: str
    account_id: str
    files: list[str]
    functions: dict[str, str]
    memory_mb: int
    state_kb: int
    output_kb: int
    flows: dict[str, dict[str, str]] = {}
    preload: list[str] = []
    variants: dict[str, dict[str, Any]] = {}
    translations: dict[str, dict[str, str]] = {}
    handoffs: dict[str, dict[str, Any]] = {}
    sms_templates: dict[str, dict[str, Any]] = {}
    entities: dict[str, str] = {}
    apis: dict[str, list[str]] = {}
    real_time_config: dict[str, dict[str, Any]] = {}
    memory_keys: list[str] = []


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """What a function may know of the conversation.

    `history` holds (role, text). `env_settings` is the environment whose settings count in `env`. `entities` are the
    valid values; `memory` is what is remembered of the customer; `at_ms` is the time, now when None; `started_at_ms`
    is when the session began.
    """

    id: str = ""
    env: str = "live"
    env_settings: str = "live"
    channel_type: str = "webchat.polyai"
    caller_number: str | None = None
    callee_number: str | None = None
    started_at_ms: int | None = None
    language: str | None = None
    variant: str | None = None
    integration_attributes: dict[str, str] = {}
    context: dict[str, Any] = {}
    history: list[tuple[str, str]] = []
    metrics: list[tuple[str, Any]] = []
    flow: str | None = None
    step: str | None = None
    entities: dict[str, str] = {}
    disabled_topics: list[str] = []
    memory: dict[str, Any] = {}
    at_ms: int | None = None


class Warm(msgspec.Struct, frozen=True, kw_only=True, tag="warm"):
    """To a template: import the function file `file`, so that workers start with it."""

    file: str
    limit_s: float


class Fork(msgspec.Struct, frozen=True, tag="fork"):
    """To a template: make a worker. With it come two descriptors: the worker's socket and where its last words go."""


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """From a template: the worker that was asked for."""

    pid: int


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """From a template: a worker ended, with this status of `wait`."""

    pid: int
    status: int


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    """To a worker: run the function in `file`. `state` holds the pickled value of each key of `conv.state`.

    `in_flow` tells that the function is a transition function or a function step, which get `flow` too.
    """

    file: str
    limit_s: float
    in_flow: bool = False
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
    sms: list[dict[str, str]] = []


class Reply(msgspec.Struct, kw_only=True, tag="reply"):
    """How a call ended.

    `value` is what the function returned, reduced to plain data; `odd` names its type when it is none that a
    function may return. `state` is the whole new state, or None when the call failed: then nothing that the
    function wrote counts. `texts` holds the state as text, for use in the project's texts, and `kept` what is
    remembered of the customer. `spent` means that the worker must not be used again.
    """

    value: Any = None
    odd: str = ""
    effects: Effects = msgspec.field(default_factory=Effects)
    state: dict[str, bytes] | None = None
    texts: dict[str, str] = {}
    kept: dict[str, Any] = {}
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


Request = Setup | Warm | Fork | Call | Answer
Message = Reply | Ask | Forked | Ended

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_messages = msgspec.msgpack.Decoder(Message)


def frame(message: Request | Message) -> bytes:
    """Give the bytes of a frame.

    Raises:
        ValueError: the message is larger than MAX_FRAME.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ValueError(f"a message of {len(body)} bytes is larger than {MAX_FRAME}")
    return len(body).to_bytes(HEADER, "big") + body


def size_of(value: object) -> int:
    """Give the bytes that plain data takes in a frame."""
    return len(_encoder.encode(value))


def read_request(body: bytes) -> Request:
    """Give the request in a frame's body."""
    request: Request = _requests.decode(body)
    return request


def read_message(body: bytes) -> Message:
    """Give what a template or worker said in a frame's body.

    Raises:
        msgspec.MsgspecError: it is nothing of the kind; the process must not be trusted any more.
    """
    message: Message = _messages.decode(body)
    return message
