"""Servers in processes of their own that need not import everything anew: a third of what starting them costs.

One process for each run of pytest has imported the program, started nothing of it, and forks for each server.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from warmline.testing import server

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["warmline.testing.server", "warmline.store.postgres", "warmline.store.sqlite"])


def _serve(given: Connection, told: Connection, log: Path | None, folder: Path) -> None:
    """Be `python -m warmline.testing.server`: standard input, output and error are these."""
    os.chdir(folder)
    os.dup2(given.fileno(), 0)
    os.dup2(told.fileno(), 1)
    if log is not None:
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
    given.close()
    told.close()
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    server.main()


class ForkedServer:
    """`python -m warmline.testing.server` with the order `order` (JSON); started when made.

    Args:
        log: takes what it writes to standard error; None leaves that where the tests' own goes.
        folder: where it runs.
    """

    def __init__(self, order: bytes, log: Path | None, folder: Path) -> None:
        given, self._given = _FORKS.Pipe(duplex=False)
        self._told, told = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(target=_serve, args=(given, told, log, folder), daemon=True)
        self._process.start()
        given.close()
        told.close()
        os.write(self._given.fileno(), order + b"\n")
        self._gone = asyncio.Event()
        self._reading: asyncio.ReadTransport | None = None
        asyncio.get_running_loop().add_reader(self._process.sentinel, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        if self._reading is not None:
            self._reading.close()
        self._told.close()
        self._given.close()
        self._gone.set()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        """It has not ended yet."""
        return not self._gone.is_set()

    async def told(self) -> bytes:
        """The first line that it writes; empty when it ends without one."""
        reader = asyncio.StreamReader()
        pipe = os.fdopen(os.dup(self._told.fileno()))
        loop = asyncio.get_running_loop()
        self._reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        return await reader.readline()

    async def wait(self) -> None:
        """Until it has ended."""
        await self._gone.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.lives:
            os.kill(self.pid, number)

    def stop(self) -> None:
        """Let it stop in order."""
        self._given.close()
