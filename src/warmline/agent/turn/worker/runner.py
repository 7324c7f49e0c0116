"""Runs one function after the other inside a worker and turns every way to fail into a reply."""

import inspect
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmline.agent.turn import protocol
from warmline.agent.turn.worker.conv import Conversation
from warmline.agent.turn.worker.namespaces import Namespaces
from warmline.agent.turn.worker.plain import plain, plain_text
from warmline.agent.turn.worker.state import (
    StateNotKept,
    changed_keys,
    dump_state,
    load_state,
    state_texts,
)

_MOST_PRINTED = 16_000
"""Characters of what a function prints that are kept for the record of its call."""


class Printed:
    """Stands in for `sys.stdout`: keeps the first characters, counts the rest."""

    encoding = "utf-8"

    def __init__(self) -> None:
        """Start empty."""
        self._parts: list[str] = []
        self._room = _MOST_PRINTED
        self.dropped = 0

    def write(self, text: str) -> int:
        """Take a piece of text."""
        kept = text[: self._room]
        if kept:
            self._parts.append(kept)
            self._room -= len(kept)
        self.dropped += len(text) - len(kept)
        return len(text)

    def flush(self) -> None:
        """Do nothing: there is nothing to wait for."""

    def isatty(self) -> bool:
        """Say that nobody is watching."""
        return False

    def take(self) -> str:
        """Give what was kept, and start anew."""
        text = "".join(self._parts)
        if self.dropped:
            text += f"… ({self.dropped} more characters)"
        self._parts, self._room, self.dropped = [], _MOST_PRINTED, 0
        return text


class Runner:
    """The project's functions in this process, ready to be called."""

    def __init__(self, setup: protocol.Setup) -> None:
        """Make the project of `setup` importable and capture what it prints."""
        self._setup = setup
        self._root = Path(setup.root)
        self._namespaces = Namespaces(self._root)
        self._namespaces.install()
        self._printed = Printed()
        sys.stdout = sys.stderr = self._printed

    def run(self, request: protocol.Request) -> protocol.Reply:
        """Do what `request` asks; every failure of the project's code comes back as a reply."""
        started = time.perf_counter()
        reply = protocol.Reply()
        try:
            if isinstance(request, protocol.Warm):
                self._find(request.function)
            elif isinstance(request, protocol.Call):
                self._call(request, reply)
        except BaseException as error:
            reply.failure = self._failure(error, getattr(request, "function", ""))
            reply.state, reply.value, reply.effects = None, None, protocol.Effects()
            reply.spent = isinstance(error, MemoryError | RecursionError | SystemExit)
        self._add_prints(reply)
        reply.duration_ms = round((time.perf_counter() - started) * 1000)
        return reply

    def _find(self, name: str) -> Callable[..., Any]:
        file = self._setup.functions.get(name)
        if file is None:
            raise AttributeError(f"the project has no function `{name}`")
        return self._namespaces.function(file)

    def _call(self, call: protocol.Call, reply: protocol.Reply) -> None:
        self._namespaces.logs.clear()
        function = self._find(call.function)
        state, lost = load_state(call.state)
        file = self._setup.functions[call.function]
        reply.warnings = [
            protocol.Failure(rule="state-lost", text=f"conv.state[{key!r}] cannot be read: {why}.", file=file)
            for key, why in lost.items()
        ]
        conv = Conversation(self._setup, call.conversation, state, self._find)
        reply.logs = conv.logs
        value = function(conv, **self._arguments(function, call.arguments))
        if value is not None and not isinstance(value, str | dict):
            reply.odd = type(value).__name__
        reply.value = plain(value)
        reply.effects = conv.collect()
        reply.state = dump_state(conv.state, self._setup.state_kb)
        reply.texts = state_texts(conv.state)
        reply.changes = changed_keys(call.state, reply.state)

    def _arguments(self, function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
        """Add None for parameters that nobody fills, such as `reason` of an end function (§6)."""
        parameters = list(inspect.signature(function).parameters.values())[1:]
        missing = [
            p.name
            for p in parameters
            if p.name not in given and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        return {**given, **dict.fromkeys(missing)}

    def _failure(self, error: BaseException, function: str) -> protocol.Failure:
        file, line = self._place(error)
        if isinstance(error, StateNotKept):
            rule, text = "state-not-kept", plain_text(error)
        elif isinstance(error, MemoryError):
            rule, text = "function-memory", f"It needed more than {self._setup.memory_mb} MB."
        elif isinstance(error, SystemExit):
            rule, text = "function-exit", "It tried to end the process."
        else:
            rule, text = "function-error", f"{type(error).__name__}: {plain_text(error)[:500]}"
        return protocol.Failure(rule=rule, text=text, file=file or self._setup.functions.get(function, ""), line=line)

    def _place(self, error: BaseException) -> tuple[str, int]:
        """Give the innermost place in the project's own files."""
        if isinstance(error, SyntaxError) and error.filename:
            return self._relative(error.filename), error.lineno or 0
        for entry in reversed(traceback.extract_tb(error.__traceback__)):
            file = self._relative(entry.filename)
            if file:
                return file, entry.lineno or 0
        return "", 0

    def _relative(self, filename: str) -> str:
        try:
            return Path(filename).relative_to(self._root).as_posix()
        except ValueError:
            return ""

    def _add_prints(self, reply: protocol.Reply) -> None:
        reply.logs = [*reply.logs, *self._namespaces.logs]
        printed = self._printed.take()
        if printed:
            reply.logs.append({"level": "print", "content": printed, "logger": "print"})
