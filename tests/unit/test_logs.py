"""Logs tell types, files and lines of what broke, and nothing that an exception says (design.md §10)."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable

import pytest
import structlog

from warmline.cli.logs import PrivateFormatter, private_exceptions, told

SECRET = "Wilhelmina Quux +44 7700 900123"


def _break(secret: str) -> None:
    try:
        {}[secret]
    except KeyError as error:
        raise ValueError(f"not for {secret}") from error


def _group(secret: str) -> None:
    try:
        _break(secret)
    except ValueError as error:
        raise ExceptionGroup(secret, [error, RuntimeError(secret)]) from None


def caught(work: Callable[[str], None]) -> BaseException:
    with pytest.raises(BaseException) as found:
        work(SECRET)
    return found.value


@pytest.mark.parametrize(("work", "types"), [(_break, ["KeyError", "ValueError"]), (_group, ["RuntimeError"])])
def test_a_traceback_names_types_files_and_lines_but_no_values(work: Callable[[str], None], types: list[str]) -> None:
    text = told(caught(work))
    assert "Quux" not in text
    assert "7700" not in text
    assert 'test_logs.py", line ' in text
    assert set(types) <= set(text.splitlines())


@pytest.mark.parametrize("how", ["true", "error", "tuple"])
def test_A84_structlog_tells_exceptions_without_their_words(how: str) -> None:
    stream = io.StringIO()
    processors = [private_exceptions, structlog.processors.JSONRenderer()]
    log = structlog.wrap_logger(structlog.PrintLogger(stream), processors=processors)
    try:
        _break(SECRET)
    except ValueError as error:
        log.error("it.broke", exc_info={"true": True, "error": error, "tuple": (type(error), error, None)}[how])
    record = json.loads(stream.getvalue())
    assert record["exception"].endswith("ValueError")
    assert "Quux" not in stream.getvalue()


def test_no_exception_no_traceback() -> None:
    assert private_exceptions(None, "info", {"event": "x", "exc_info": True}) == {"event": "x"}


def test_A84_libraries_tell_exceptions_without_their_words() -> None:
    error = caught(_break)
    message = "Task exception was never retrieved\nfuture: <Task exception=%r>"
    record = logging.LogRecord("asyncio", logging.ERROR, "x", 1, message, (error,), (type(error), error, None))
    text = PrivateFormatter().format(record)
    assert text.startswith("ERROR asyncio Task exception was never retrieved\n")
    assert "Quux" not in text


def test_that_the_bus_is_lost_is_told_once_and_not_by_its_client_with_a_stack() -> None:
    script = (
        "import logging\n"
        "from warmline.cli.logs import configure_logging\n"
        "configure_logging('console')\n"
        "for name in ('nats.aio.client', 'another'):\n"
        "    logging.getLogger(name).error('encountered error', exc_info=RuntimeError('closed'))\n"
    )
    lines = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr
    assert "nats" not in lines
    assert lines.startswith("ERROR another encountered error")
