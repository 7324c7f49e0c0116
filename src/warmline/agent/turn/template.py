"""The template of a project's workers as seen by the engine (`warmline.agent.turn.worker.template`)."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from warmline.agent.turn import protocol
from warmline.agent.turn.channel import Channel
from warmline.agent.turn.last_words import LastWords
from warmline.agent.turn.process import Worker, WorkerLost, hung

_COMMAND = ("-P", "-B", "-X", "utf8", "-m", "warmline.agent.turn.worker")
START_LIMIT_S = 30.0
"""Seconds that a process may take to come up and answer the setup, or to fork."""
_GRACE_S = 0.5
# A project's code must not find the server's secrets in its environment.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE")
# glibc reserves 64 MB of address space for every thread otherwise, which counts against the limit.
_ALLOCATION = {"MALLOC_ARENA_MAX": "2"}


class Template:
    """A process that has imported the project and makes workers."""

    def __init__(
        self, process: asyncio.subprocess.Process, channel: Channel, last_words: LastWords, root: Path
    ) -> None:
        """Wrap a started process; `start` does that."""
        self._process = process
        self._channel = channel
        self._last_words = last_words
        self._root = root
        self._workers: dict[int, Worker] = {}
        self._unborn: Worker | None = None
        self._expected: asyncio.Future[protocol.Reply | protocol.Forked] | None = None
        self._turn = asyncio.Lock()
        self._lost = False
        self._on_lost: Callable[[], None] = lambda: None
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, setup: protocol.Setup) -> "Template":
        """Start the process for the project of `setup`; nothing of the project is imported yet.

        Raises:
            OSError: it cannot be started.
            WorkerLost: it did not come up.
        """
        ours, theirs = socket.socketpair()
        last_words = LastWords()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *_COMMAND,
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=last_words.write_end,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _ALLOCATION,
            )
        except BaseException:
            ours.close()
            last_words.close()
            raise
        finally:
            theirs.close()
            last_words.give_away()
        template = cls(process, Channel(ours), last_words, Path(setup.root))
        try:
            await template._request(setup, START_LIMIT_S)
        except BaseException:
            await template.close()
            raise
        return template

    @property
    def alive(self) -> bool:
        """False once it cannot make workers any more."""
        return not self._lost

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call `tell` once when the process ends by itself."""
        self._on_lost = tell

    async def warm(self, file: str, limit_s: float) -> protocol.Reply:
        """Import a function file.

        Raises:
            WorkerLost: the import hung or ended the process, which is dead now.
        """
        reply = await self._request(protocol.Warm(file=file, limit_s=limit_s), limit_s)
        assert isinstance(reply, protocol.Reply)
        return reply

    async def fork(self) -> Worker:
        """Make a worker.

        Raises:
            WorkerLost: the template is dead, or the worker is already.
        """
        ours, theirs = socket.socketpair()
        last_words = LastWords()
        worker = Worker(Channel(ours), last_words, self._root)
        try:
            await self._request(protocol.Fork(), START_LIMIT_S, worker, (theirs.fileno(), last_words.write_end))
            if not worker.alive:
                raise WorkerLost(self._ended())
        except BaseException:
            worker.let_go()
            raise
        finally:
            theirs.close()
            last_words.give_away()
        return worker

    async def _request(
        self,
        request: protocol.Request,
        limit_s: float,
        unborn: Worker | None = None,
        descriptors: tuple[int, ...] = (),
    ) -> protocol.Reply | protocol.Forked:
        async with self._turn:
            if self._lost:
                raise WorkerLost(self._ended())
            self._expected = asyncio.get_running_loop().create_future()
            self._unborn = unborn
            try:
                await self._channel.send(request, descriptors)
                async with asyncio.timeout(limit_s + _GRACE_S):
                    return await self._expected
            except TimeoutError:
                self._kill()
                raise WorkerLost(hung(self._last_words, self._root, limit_s)) from None
            except (EOFError, OSError, msgspec.MsgspecError):
                self._kill()
                if self._last_words.timed_out():
                    raise WorkerLost(hung(self._last_words, self._root, limit_s)) from None
                raise WorkerLost(self._ended()) from None
            except BaseException:
                # Nobody would know what its next word answers.
                self._kill()
                raise
            finally:
                self._expected = None

    def _ended(self) -> protocol.Failure:
        file, line = self._last_words.place(self._root)
        return protocol.Failure(rule="function-crash", text="Its process ended.", file=file, line=line)

    async def _listen(self) -> None:
        """Take what the process says; ends with it."""
        try:
            while True:
                self._hear(await self._channel.receive())
        except (EOFError, OSError, msgspec.MsgspecError) as error:
            self._lost = True
            if self._expected is not None and not self._expected.done():
                self._expected.set_exception(error)
            self._end_workers()
            self._on_lost()

    def _hear(self, message: protocol.Message) -> None:
        match message:
            case protocol.Ended():
                worker = self._workers.pop(message.pid, None)
                if worker is not None:
                    worker.ended(message.status)
            case protocol.Reply() | protocol.Forked() if self._expected is not None and not self._expected.done():
                if isinstance(message, protocol.Forked) and self._unborn is not None:
                    self._workers[message.pid] = self._unborn
                    self._unborn.born(message.pid)
                self._expected.set_result(message)
            case _:
                raise msgspec.ValidationError("a template cannot say that now")

    def _end_workers(self) -> None:
        """Kill what the template's end alone might leave running."""
        for worker in self._workers.values():
            worker.kill()
            worker.ended(signal.SIGKILL)
        self._workers.clear()

    def _kill(self) -> None:
        self._lost = True
        for end in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                end(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End it and all its workers, and wait until they are gone."""
        self._on_lost = lambda: None
        self._end_workers()
        self._kill()
        await self._process.wait()
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._channel.close()
        self._last_words.close()
