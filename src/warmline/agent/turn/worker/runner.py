"""Runs one function after the other inside a worker and turns every way to fail into a reply."""

import importlib
import inspect
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from warmline.agent.turn import protocol
from warmline.agent.turn.worker.conv import Conversation
from warmline.agent.turn.worker.flow import Flow
from warmline.agent.turn.worker.guard import Guard, ProcessRefused
from warmline.agent.turn.worker.namespaces import Namespaces
from warmline.agent.turn.worker.plain import WHOLE, plain, plain_text
from warmline.agent.turn.worker.printed import Printed
from warmline.agent.turn.worker.state import (
    StateNotKept,
    changed_keys,
    dump_state,
    load_state,
    state_texts,
)
from warmline.agent.turn.worker.wire import Wire


class OutputTooLarge(Exception):
    """A function asked for more than a reply may hold."""


class Runner:
    """The project's functions in this process, ready to be called."""

    def __init__(self, setup: protocol.Setup) -> None:
        """Make the project of `setup` importable, capture what it prints and keep it from starting processes."""
        self._setup = setup
        self._root = Path(setup.root)
        self._namespaces = Namespaces(self._root)
        self._namespaces.install()
        self._printed = Printed(self._current_place)
        sys.stdout = sys.stderr = self._printed
        for module in setup.preload:
            importlib.import_module(module)
        self.guard = Guard(self._current_place)

    def warm(self, file: str) -> protocol.Reply:
        """Import a function file; a failure comes back as the reply."""
        reply = protocol.Reply()
        try:
            self._namespaces.function(file)
        except BaseException as error:
            reply.failure = self._failure(error, file)
            reply.spent = isinstance(error, MemoryError | RecursionError)
        self._printed.take()
        self._namespaces.logs.clear()
        return reply

    def run(self, call: protocol.Call, wire: Wire) -> protocol.Reply:
        """Run a function; every failure of the project's code comes back in the reply."""
        started = time.perf_counter()
        self._namespaces.logs.clear()
        self.guard.take_refused()
        reply = protocol.Reply()
        try:
            self._call(call, wire, reply)
        except BaseException as error:
            reply.failure = self._failure(error, call.file)
            reply.state, reply.value, reply.effects, reply.kept = None, None, protocol.Effects(), {}
            reply.spent = isinstance(error, MemoryError | RecursionError | SystemExit)
        self._note_oddities(reply)
        reply.duration_ms = round((time.perf_counter() - started) * 1000)
        return reply

    def _call(self, call: protocol.Call, wire: Wire, reply: protocol.Reply) -> None:
        function = self._namespaces.function(call.file)
        state, lost = load_state(call.state)
        reply.warnings += [
            protocol.Failure(rule="state-lost", text=f"conv.state[{key!r}] cannot be read: {why}.", file=call.file)
            for key, why in lost.items()
        ]
        conv = Conversation(self._setup, call.conversation, state, self._namespaces.function, wire)
        reply.logs = conv.logs
        given: list[Any] = [conv]
        if call.in_flow and len(inspect.signature(function).parameters) > 1:
            given.append(Flow(conv))
        value = function(*given, **self._arguments(function, len(given), call.arguments))
        if value is not None and not isinstance(value, str | dict):
            reply.odd = type(value).__name__
        reply.value = plain(value, longest=WHOLE)
        reply.effects = conv.collect()
        self._limit_output(reply)
        reply.state = dump_state(conv.state, self._setup.state_kb)
        reply.texts = state_texts(conv.state)
        reply.kept = {key: plain(conv.state[key]) for key in self._setup.memory_keys if key in conv.state}
        reply.changes = changed_keys(call.state, reply.state)

    def _arguments(self, function: Callable[..., Any], skip: int, given: dict[str, Any]) -> dict[str, Any]:
        """Add None for parameters that nobody fills, such as `reason` of an end function (§6)."""
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        missing = [
            p.name
            for p in parameters
            if p.name not in given and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        return {**given, **dict.fromkeys(missing)}

    def _limit_output(self, reply: protocol.Reply) -> None:
        size = protocol.size_of((reply.value, reply.effects))
        if size > self._setup.output_kb * 1024:
            raise OutputTooLarge(f"It returned {size // 1024} kB; {self._setup.output_kb} kB is the limit.")

    def _failure(self, error: BaseException, file: str) -> protocol.Failure:
        place, line = self._place(error)
        match error:
            case StateNotKept():
                rule, text = "state-not-kept", plain_text(error)
            case OutputTooLarge():
                rule, text = "function-output", plain_text(error)
            case ProcessRefused():
                rule, text = "function-process", f"{plain_text(error).capitalize()}."
            case MemoryError():
                rule, text = "function-memory", f"It needed more than {self._setup.memory_mb} MB."
            case SystemExit():
                rule, text = "function-exit", "It tried to end the process."
            case _:
                rule, text = "function-error", f"{type(error).__name__}: {plain_text(error)[:500]}"
        return protocol.Failure(rule=rule, text=text, file=place or file, line=line)

    def _place(self, error: BaseException) -> tuple[str, int]:
        """Give the innermost place in the project's own files."""
        if isinstance(error, SyntaxError) and error.filename:
            return self._relative(error.filename), error.lineno or 0
        for entry in reversed(traceback.extract_tb(error.__traceback__)):
            file = self._relative(entry.filename)
            if file:
                return file, entry.lineno or 0
        return "", 0

    def _current_place(self) -> tuple[str, int]:
        """Give the innermost place in the project's own files that runs now."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            file = self._relative(frame.f_code.co_filename)
            if file:
                return file, frame.f_lineno
            frame = frame.f_back
        return "", 0

    def _relative(self, filename: str) -> str:
        try:
            return Path(filename).relative_to(self._root).as_posix()
        except ValueError:
            return ""

    def _note_oddities(self, reply: protocol.Reply) -> None:
        """Add what the function printed, and what it tried in vain."""
        reply.logs = [*reply.logs, *self._namespaces.logs]
        refused = self.guard.take_refused()
        if refused and not (reply.failure and reply.failure.rule == "function-process"):
            text = "Functions may not start or stop processes; it was refused."
            reply.warnings.append(
                protocol.Failure(rule="function-process", text=text, file=refused[0][0], line=refused[0][1])
            )
        printed, place = self._printed.take()
        if printed:
            reply.logs.append({"level": "print", "content": printed, "logger": "print"})
        if place is not None:
            text = f"It printed more than {Printed.MOST} characters; the rest is not kept."
            reply.warnings.append(protocol.Failure(rule="function-prints", text=text, file=place[0], line=place[1]))
