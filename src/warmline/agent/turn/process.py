"""One function worker as seen by the engine: a process group that can be killed at any time."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from warmline.agent.turn import protocol
from warmline.agent.turn.channel import Channel
from warmline.agent.turn.last_words import LastWords

_GRACE_S = 0.5
"""Seconds that a worker gets beyond a limit to end itself, which tells the line; then it is killed."""
_LOWEST = 19
_TICKS = os.sysconf("SC_CLK_TCK")
_MUCH_CPU = 0.5

Answerer = Callable[[protocol.Ask], Awaitable[protocol.Answer]]


class WorkerLost(Exception):
    """The process ended, hung or spoke nonsense; it is dead now. `failure` says what the function did."""

    def __init__(self, failure: protocol.Failure) -> None:
        """Carry the failure."""
        super().__init__(failure.text)
        self.failure = failure


class Worker:
    """A running worker process."""

    def __init__(self, channel: Channel, last_words: LastWords, root: Path) -> None:
        """Prepare for a process of the project in `root` that has the other ends; `born` tells its number."""
        self._pid = 0
        self._channel = channel
        self._last_words = last_words
        self._root = root
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._began = 0.0
        self._cpu_before = 0.0
        self.slow = False
        self.hungry = False

    @property
    def alive(self) -> bool:
        """False once the process has ended."""
        return not self._status.done()

    def born(self, pid: int) -> None:
        """Note that the process runs now, as number `pid`."""
        self._pid = pid

    def ended(self, status: int) -> None:
        """Note that the process has ended, with this status of `wait`."""
        if not self._status.done():
            self._status.set_result(status)

    async def request(self, call: protocol.Call, answer: Answerer) -> protocol.Reply:
        """Send a call and wait for its reply, for the call's limit and a short grace at most.

        What the function asks meanwhile is given to `answer`; that time counts.

        Raises:
            WorkerLost: no good reply came; the process group is dead.
        """
        self._began, self._cpu_before = time.monotonic(), self._cpu_s()
        good = False
        try:
            # Not wait_for, which loses a cancellation that comes together with the reply.
            async with asyncio.timeout(call.limit_s + _GRACE_S):
                reply = await self._exchange(call, answer)
            good = True
            return reply
        except TimeoutError:
            raise WorkerLost(hung(self._last_words, self._root, call.limit_s)) from None
        except (EOFError, OSError):
            raise WorkerLost(await self._lost(call.limit_s)) from None
        except (msgspec.MsgspecError, ValueError):
            text = "Its process answered with something that is no reply."
            raise WorkerLost(protocol.Failure(rule="function-crash", text=text)) from None
        finally:
            if not good:
                self.kill()

    async def _exchange(self, call: protocol.Call, answer: Answerer) -> protocol.Reply:
        await self._channel.send(call)
        while True:
            message = await self._channel.receive()
            match message:
                case protocol.Reply():
                    return message
                case protocol.Ask():
                    await self._channel.send(await answer(message))
                case _:
                    raise msgspec.ValidationError("a worker cannot say that")

    async def _lost(self, limit_s: float) -> protocol.Failure:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await asyncio.shield(self._status)
        if self._last_words.timed_out():
            return hung(self._last_words, self._root, limit_s)
        file, line = self._last_words.place(self._root)
        code = os.waitstatus_to_exitcode(self._status.result()) if self._status.done() else "unknown"
        text = f"Its process ended while it was running (exit code {code})."
        return protocol.Failure(rule="function-crash", text=text, file=file, line=line)

    def yield_if_hungry(self) -> None:
        """Give way to everyone else for good when the call has been computing most of its time."""
        used = self._cpu_s() - self._cpu_before
        if not self.hungry and used > _MUCH_CPU * (time.monotonic() - self._began):
            self.hungry = True
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PGRP, self._pid, _LOWEST)

    def _cpu_s(self) -> float:
        """Give the seconds that the process has computed (proc(5), /proc/pid/stat: utime and stime)."""
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def kill(self) -> None:
        """End the process and everything that it started; safe to call twice."""
        if not self._pid:
            return
        for end in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                end(self._pid, signal.SIGKILL)

    async def close(self) -> None:
        """Kill, wait until it is gone, and let go of its connections."""
        self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await asyncio.shield(self._status)
        self.let_go()

    def let_go(self) -> None:
        """Close the connections; nobody may be waiting on them."""
        self._channel.close()
        self._last_words.close()


def hung(last_words: LastWords, root: Path, limit_s: float) -> protocol.Failure:
    """Give the failure of code that was still running after `limit_s` seconds."""
    file, line = last_words.place(root)
    text = f"It was still running after {limit_s:g} s and was stopped."
    return protocol.Failure(rule="function-timeout", text=text, file=file, line=line)
