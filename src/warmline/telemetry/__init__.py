"""Follows a message through tasks and nodes: every message has one trace, whose id is made of the message's own id.

So nothing is stored or passed on for it: whoever handles a message, on whichever node and after whichever crash, knows
its trace, and the Studio shows it. Logs carry it as `trace_id`. Spans are made only while somebody collects them
(`collected`); without that, a step costs half a microsecond. Attributes are ids, kinds and counts, never what
customers wrote, their names or numbers, or addresses of files.

Span names and attributes: docs/guide/operating.md. Ids: W3C Trace Context (https://www.w3.org/TR/trace-context/).
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from hashlib import blake2b
from types import TracebackType
from typing import Protocol

from structlog.typing import EventDict

from warmline.domain.errors import ConfigError

Attributes = dict[str, str | int]


class Recorder(Protocol):
    """Makes spans (`export.Spans`)."""

    def message(
        self, name: str, message_id: str, since_ms: int, *, first: bool, attributes: Attributes
    ) -> AbstractContextManager[object]:
        """A span in the trace of a message; `first`: the root of all others of it."""
        ...

    def part(self, name: str, attributes: Attributes) -> AbstractContextManager[object]:
        """A span under the one that is current."""
        ...


_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_recorder: Recorder | None = None
_message: ContextVar[str] = ContextVar("warmline_message", default="")
_NOTHING: AbstractContextManager[object] = nullcontext()


def record_with(recorder: Recorder | None) -> None:
    """Make spans with this from now on; None: none."""
    global _recorder
    _recorder = recorder


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether OTEL_* asks for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)


@contextmanager
def collected(environment: Mapping[str, str], node: str) -> Iterator[None]:
    """Meanwhile, spans go where OTEL_* says; nowhere when it says nothing.

    Args:
        environment: the process's; the SDK reads the rest of OTEL_* from `os.environ` itself.
        node: names this process.

    Raises:
        ConfigError: it asks for what is not installed or not supported.
    """
    if not wanted(environment):
        yield
        return
    try:
        from warmline.telemetry.export import configure

        spans = configure(environment, node)
    except ModuleNotFoundError as error:
        raise ConfigError("OTEL_EXPORTER_OTLP_ENDPOINT", "traces need: pip install 'warmline[otel]'") from error
    record_with(spans)
    try:
        yield
    finally:
        record_with(None)
        spans.close()


def ids_of(message_id: str) -> tuple[int, int]:
    """The trace of a message and its first span."""
    digest = blake2b(message_id.encode(), digest_size=24, person=b"warmline trace").digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:])


def trace_id_of(message_id: str) -> str:
    """The id of a message's trace, 32 hexadecimal digits."""
    return f"{ids_of(message_id)[0]:032x}"


def add_trace_id(_: object, __: str, event: EventDict) -> EventDict:
    """The structlog processor that says which message something was logged for."""
    if message_id := _message.get():
        event.setdefault("trace_id", trace_id_of(message_id))
    return event


class _Marked:
    """While it lasts, what is logged carries the message's trace."""

    __slots__ = ("_message_id", "_token")

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id

    def __enter__(self) -> None:
        self._token: Token[str] = _message.set(self._message_id)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _message.reset(self._token)


@contextmanager
def _recorded(
    recorder: Recorder, name: str, message_id: str, since_ms: int, first: bool, attributes: Attributes
) -> Iterator[None]:
    with _Marked(message_id), recorder.message(name, message_id, since_ms, first=first, attributes=attributes):
        yield


def begin(name: str, message_id: str, *, since_ms: int = 0, **attributes: str | int) -> AbstractContextManager[None]:
    """The first that is done for a message.

    Args:
        name: of the span.
        message_id: of the message in the log; "" follows nothing.
        since_ms: when it came, epoch milliseconds; 0: now.
        attributes: ids, kinds and counts.
    """
    return _following(name, message_id, since_ms, True, attributes)


def follow(name: str, message_id: str, **attributes: str | int) -> AbstractContextManager[None]:
    """Something that is done for a message later, by another task or node; see `begin`."""
    return _following(name, message_id, 0, False, attributes)


def part(name: str, **attributes: str | int) -> AbstractContextManager[object]:
    """A part of what is being done for the message; nothing when nothing is followed."""
    if _recorder is None or not _message.get():
        return _NOTHING
    return _recorder.part(name, attributes)


def _following(
    name: str, message_id: str, since_ms: int, first: bool, attributes: Attributes
) -> AbstractContextManager[None]:
    if _recorder is None or not message_id:
        # Also for "": a task begins with what was followed where it was made.
        return _Marked(message_id)
    return _recorded(_recorder, name, message_id, since_ms, first, attributes)
