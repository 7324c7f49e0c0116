"""What keeps a function inside its process: limits of the system, refused calls, and last words at its end.

This stops accidents and careless code. It is no sandbox: whoever may write the project's files is trusted.
"""

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NICE = 5
_STARTS = frozenset(
    {
        *("os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "os.system", "pty.spawn"),
        *("subprocess.Popen", "os.startfile"),
    }
)
_leave = os._exit


class ProcessRefused(PermissionError):
    """A function tried to start or stop a process."""


class Guard:
    """Refuses processes to the project's code. There is one in a process."""

    def __init__(self, place: Callable[[], tuple[str, int]]) -> None:
        """Watch from now on; `place` gives the file and line of the project's code that runs."""
        self._place = place
        self._own_work = False
        self.refused: list[tuple[str, int]] = []
        os._exit = self._exit
        sys.addaudithook(self._look)

    @contextlib.contextmanager
    def own_work(self) -> Iterator[None]:
        """Let the worker itself do inside what functions may not."""
        self._own_work = True
        try:
            yield
        finally:
            self._own_work = False

    def take_refused(self) -> list[tuple[str, int]]:
        """Give the places where something was refused since the last time."""
        refused, self.refused = self.refused, []
        return refused

    def _look(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _STARTS and not self._own_work:
            self._refuse("functions may not start processes")
        elif event in ("os.kill", "os.killpg") and not self._own_work and args[0] != os.getpid():
            self._refuse("functions may not send signals to other processes")

    def _refuse(self, why: str) -> NoReturn:
        self.refused.append(self._place())
        raise ProcessRefused(why)

    def _exit(self, status: int) -> NoReturn:
        raise SystemExit(status)


def leave(code: int = 0) -> NoReturn:
    """End this process at once."""
    _leave(code)


def limit_resources(memory_mb: int) -> None:
    """Limit the memory of this process and of its children; let the server's own loop come first."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 1024 * 1024,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
    # When the machine itself runs out of memory, a function's process goes before the server.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def adopt_orphans() -> None:
    """Become the parent of what children of this process leave behind, where the system can do that."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Let the system kill this process when its parent ends, where it can do that."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def children() -> list[int]:
    """Give the children of this process; none where the system does not tell."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def speak_last_words(descriptor: int) -> None:
    """Let the interpreter say where it was when a signal ends it."""
    faulthandler.enable(file=descriptor)


@contextlib.contextmanager
def time_limit(limit_s: float, descriptor: int) -> Iterator[None]:
    """End the process when the limit passes, with the place in the source on `descriptor`.

    The engine kills late workers too; this one also works when the engine is gone, and tells the line.
    """
    faulthandler.dump_traceback_later(limit_s, exit=True, file=descriptor)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
