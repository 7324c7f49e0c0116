"""The template: a process that has imported the project once and makes workers by forking itself.

A worker so costs a few milliseconds, whatever the project imports, and begins as clean as the project was after its
import. The template itself never runs a function.
"""

import contextlib
import gc
import os
import select
import signal
import threading
from typing import NoReturn

from warmline.agent.turn import protocol
from warmline.agent.turn.worker import guard
from warmline.agent.turn.worker.runner import Runner
from warmline.agent.turn.worker.wire import Wire


class Template:
    """Serves the engine on `control` until it is gone."""

    def __init__(self, control: Wire, last_words: int) -> None:
        """Begin; what an ending interpreter says goes to `last_words`."""
        self._control = control
        self._last_words = last_words
        self._workers: set[int] = set()
        self._runner: Runner | None = None
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda number, stack: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        guard.adopt_orphans()

    def serve(self) -> NoReturn:
        """Do what the engine asks; ends with it, and takes all workers along."""
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll()}
                if self._woken in ready:
                    self._reap()
                if self._control.fileno() in ready:
                    request, descriptors = self._control.receive()
                    if request is None:
                        break
                    self._do(request, descriptors)
        except OSError:
            # The engine went away in the middle of a word.
            pass
        self._end_workers()
        guard.leave()

    def _do(self, request: protocol.Request, descriptors: list[int]) -> None:
        match request:
            case protocol.Setup():
                guard.limit_resources(request.memory_mb)
                self._runner = Runner(request)
                self._control.send(protocol.Reply())
            case protocol.Warm() if self._runner is not None:
                with guard.time_limit(request.limit_s, self._last_words):
                    reply = self._runner.warm(request.file)
                self._control.send(reply)
            case protocol.Fork() if self._runner is not None:
                self._fork(self._runner, *descriptors)

    def _fork(self, runner: Runner, connection: int, last_words: int) -> None:
        # What the import made is shared by all workers; a collection would copy it into each of them.
        gc.freeze()
        with runner.guard.own_work():
            pid = os.fork()
        if pid == 0:
            self._become_worker(runner, connection, last_words)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        os.close(connection)
        os.close(last_words)
        self._workers.add(pid)
        self._control.send(protocol.Forked(pid))

    def _become_worker(self, runner: Runner, connection: int, last_words: int) -> NoReturn:
        template = os.getppid()
        os.setpgid(0, 0)
        guard.die_with_parent()
        guard.adopt_orphans()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        for descriptor in (self._woken, self._waker, self._last_words):
            os.close(descriptor)
        guard.speak_last_words(last_words)
        if os.getppid() == template:
            _serve_calls(Wire(connection), runner, last_words)
        guard.leave()

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken, 4096):
                pass
        while (ended := _next_ended()) is not None:
            pid, status = ended
            if pid in self._workers:
                self._workers.discard(pid)
                self._kill_group(pid)
                self._control.send(protocol.Ended(pid, status))
        # What a dead worker had started is ours now, whatever group it is in.
        for pid in guard.children():
            if pid not in self._workers:
                self._kill(pid)

    def _end_workers(self) -> None:
        for pid in self._workers:
            self._kill_group(pid)
            self._kill(pid)

    def _kill_group(self, pid: int) -> None:
        with self._own_work(), contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)

    def _kill(self, pid: int) -> None:
        with self._own_work(), contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)

    def _own_work(self) -> contextlib.AbstractContextManager[None]:
        return self._runner.guard.own_work() if self._runner else contextlib.nullcontext()


def _next_ended() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _serve_calls(wire: Wire, runner: Runner, last_words: int) -> None:
    """Run one call after the other until the engine closes the connection."""
    owner = os.getpid()
    while True:
        request, _ = wire.receive()
        if not isinstance(request, protocol.Call):
            return
        with guard.time_limit(request.limit_s, last_words):
            reply = runner.run(request, wire)
        if os.getpid() != owner:
            # A function forked past the guard: the copy must never speak to the engine.
            guard.leave()
        reply.spent = reply.spent or _left_something_running()
        wire.send(reply)


def _left_something_running() -> bool:
    if threading.active_count() > 1:
        return True
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
