"""How the program logs: structured, to standard error, without anything a customer wrote."""

import io
import logging
import sys
import traceback
from typing import TextIO, cast

import structlog

from warmline.telemetry import add_trace_id

_DEPTH = 10
"""So many exceptions of a chain or group are told."""


class _StandardError(io.TextIOBase):
    """Standard error as it is when something is written, not as it was when logging was set up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def told(error: BaseException) -> str:
    """A traceback without what exceptions say and without values: they may be a customer's words (design.md §10).

    Types, files, lines and functions remain, of the exception, its causes and the members of a group.
    """
    return "\n".join(_told(error, _DEPTH))


def _told(error: BaseException, depth: int) -> list[str]:
    lines: list[str] = []
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and depth:
        lines += [*_told(before, depth - 1), "", "Then:", ""]
    lines.append("Traceback (most recent call last):")
    for frame in traceback.extract_tb(error.__traceback__):
        lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}')
    lines.append(f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."))
    if isinstance(error, BaseExceptionGroup) and depth:
        for member in error.exceptions[:_DEPTH]:
            lines += ["", "Of the group:", "", *_told(member, depth - 1)]
    return lines


def private_exceptions(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """The structlog processor that puts `told` in the place of an exception."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else None
    if isinstance(given, tuple):
        error = given[1]
    elif given and error is None:
        error = sys.exc_info()[1]
    if error is not None:
        event["exception"] = told(error)
    return event


class PrivateFormatter(logging.Formatter):
    """What libraries log: their first line, which asyncio continues with the values at hand, and `told`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = f"{record.levelname} {record.name} {record.getMessage().partition(chr(10))[0]}"
        error = record.exc_info[1] if record.exc_info else None
        return text if error is None else f"{text}\n{told(error)}"


def quiet_logging() -> None:
    """For commands that tell everything themselves."""
    configure_logging("console", level=logging.CRITICAL, lasting=False)


def configure_logging(log_format: str, *, level: int = logging.INFO, lasting: bool = True) -> None:
    """Set up logging once per process.

    Args:
        log_format: "console" (for people) or "json" (for collectors).
        level: the lowest that is written.
        lasting: it is never set up again, so loggers need not look.
    """
    renderer: structlog.types.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_trace_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            private_exceptions,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=lasting,
    )
    handler = logging.StreamHandler(cast(TextIO, _StandardError()))
    handler.setFormatter(PrivateFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # It shows stacks of a connection that broke while it was closed; that the bus is lost is told by the bus.
    logging.getLogger("nats.aio.client").setLevel(logging.CRITICAL)
