"""One function worker as seen by the engine: a process group that can be killed at any time."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from pathlib import Path

import msgspec

from warmline.agent.turn import protocol

_COMMAND = ("-P", "-B", "-X", "utf8", "-m", "warmline.agent.turn.worker")
START_LIMIT_S = 30.0
"""Seconds that a process may take to come up and answer the setup."""
_GRACE_S = 0.5
"""Seconds that a worker gets beyond a limit to end itself, which tells the line; then it is killed."""
_KEPT_OUTPUT = 65_536
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
# A project's code must not find the server's secrets in its environment.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE")


class WorkerLost(Exception):
    """The worker ended, hung or spoke nonsense; it is dead now. `failure` says what the function did."""

    def __init__(self, failure: protocol.Failure) -> None:
        """Carry the failure."""
        super().__init__(failure.text)
        self.failure = failure


class Worker:
    """A running worker process."""

    def __init__(self, process: asyncio.subprocess.Process, root: str) -> None:
        """Wrap a started process; `start` does that."""
        self._process = process
        self._root = Path(root)
        self._output = b""
        self._listener = asyncio.create_task(self._listen())
        self.slow = False

    @classmethod
    async def start(cls, root: str) -> "Worker":
        """Start a process for the project in the folder `root`; its first request must be the setup.

        Raises:
            OSError: it cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            start_new_session=True,
        )
        return cls(process, root)

    @property
    def alive(self) -> bool:
        """False once the process has ended."""
        return self._process.returncode is None

    async def request(self, request: protocol.Request, limit_s: float) -> protocol.Reply:
        """Send a request and wait for its reply, `limit_s` seconds and a short grace at most.

        Raises:
            WorkerLost: no good reply came; the process group is dead.
        """
        good = False
        try:
            reply = await asyncio.wait_for(self._exchange(request), limit_s + _GRACE_S)
            good = True
            return reply
        except TimeoutError:
            raise WorkerLost(self._hung(limit_s)) from None
        except (EOFError, OSError):
            await self._ended()
            raise WorkerLost(self._lost(limit_s)) from None
        except msgspec.MsgspecError:
            text = "Its process answered with something that is no reply."
            raise WorkerLost(protocol.Failure(rule="function-crash", text=text)) from None
        finally:
            if not good:
                self.kill()

    async def _exchange(self, request: protocol.Request) -> protocol.Reply:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(protocol.frame(request))
        await self._process.stdin.drain()
        header = await self._process.stdout.readexactly(protocol.HEADER)
        size = int.from_bytes(header, "big")
        if size > protocol.MAX_FRAME:
            raise msgspec.DecodeError("frame too large")
        return protocol.read_reply(await self._process.stdout.readexactly(size))

    def _hung(self, limit_s: float) -> protocol.Failure:
        file, line = self._last_place()
        text = f"It was still running after {limit_s:g} s and was stopped."
        return protocol.Failure(rule="function-timeout", text=text, file=file, line=line)

    def _lost(self, limit_s: float) -> protocol.Failure:
        if b"Timeout (" in self._output:
            return self._hung(limit_s)
        file, line = self._last_place()
        code = self._process.returncode
        text = f"Its process ended while it was running (exit code {code})."
        return protocol.Failure(rule="function-crash", text=text, file=file, line=line)

    def _last_place(self) -> tuple[str, int]:
        """Give the innermost place in the project's files that the dying process named (faulthandler)."""
        for match in _PLACE.finditer(self._output.decode("utf-8", "replace")):
            path = Path(match[1])
            if path.is_relative_to(self._root):
                return path.relative_to(self._root).as_posix(), int(match[2])
        return "", 0

    async def _listen(self) -> None:
        """Keep the last of what reaches standard error: the interpreter's own words, never logged."""
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(_KEPT_OUTPUT):
            self._output = (self._output + piece)[-_KEPT_OUTPUT:]

    async def _ended(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _GRACE_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._listener), _GRACE_S)

    def kill(self) -> None:
        """End the process and everything that it started; safe to call twice."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def close(self) -> None:
        """Kill and wait until it is gone."""
        self.kill()
        await self._process.wait()
        assert self._process.stdout is not None
        # The pipes are at their end now; reading them to it lets their transports close.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(self._listener, self._process.stdout.read()), _GRACE_S)
