"""`warmline serve --workers N`: several nodes on one machine that share its port."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping

import aiohttp
import structlog

from warmline.config import Settings
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.system import node_name

_log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1
"""linux/prctl.h: a signal for this process when its parent dies."""
_STEADY_S = 60.0
"""A worker that lived for so long starts again without a pause."""
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
_STOP_S = 30.0
_READY_S = 60.0

Command = Callable[[int], tuple[list[str], Mapping[str, str]]]
"""The command line of a worker, by its number from 1, and what is added to its environment."""


def worker_command(settings: Settings) -> Command:
    """How workers of `warmline serve` are started: each is a node with a name and a port for metrics of its own."""

    def command(number: int) -> tuple[list[str], Mapping[str, str]]:
        return [sys.executable, "-m", "warmline", "serve"], {
            "WARMLINE_NODE": f"{node_name(settings)}/{number}",
            "WARMLINE_METRICS_PORT": str(metrics_port(settings, number)),
            "WARMLINE_SHARE_PORT": "yes",
        }

    return command


def metrics_port(settings: Settings, number: int) -> int:
    """Where worker `number` (from 1) answers /metrics and /readyz."""
    return (settings.metrics_port or settings.port + 1) + number - 1


def require_shared_database(settings: Settings, what: str) -> None:
    """Raises ConfigError when several processes cannot use the database."""
    if settings.database_url.startswith("sqlite:"):
        raise ConfigError(
            "WARMLINE_DATABASE_URL", f"{what} needs PostgreSQL (postgresql://…): one process at a time may use SQLite"
        )


class Supervisor:
    """Keeps workers running: starts those again that end, with pauses that grow.

    Args:
        command: how a worker is started.
        ready_url: where a worker, by its number, says whether it is ready.
        count: how many workers.
    """

    def __init__(self, command: Command, ready_url: Callable[[int], str], count: int) -> None:
        self._command = command
        self._ready_url = ready_url
        self._numbers = range(1, count + 1)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()
        self._rolling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP replaces one worker after the other.

        Raises:
            WarmlineError: the first worker does not start; it has said why.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._roll)
        await self._start(1)
        if not await self._ready(1) and not self._stop.is_set():
            await self._end(1)
            raise WarmlineError("not_started", "the first worker did not start; what it said stands above")
        keepers = [asyncio.create_task(self._keep(number)) for number in self._numbers]
        await self._stop.wait()
        if self._rolling is not None:
            self._rolling.cancel()
        await asyncio.gather(*(self._end(number) for number in self._numbers))
        await asyncio.gather(*keepers)

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stop.is_set():
            if number not in self._processes:
                await self._start(number)
            began, process = loop.time(), self._processes[number]
            code = await process.wait()
            self._processes.pop(number, None)
            if self._stop.is_set() or code == 0:
                failures = 0
                continue
            failures = 0 if loop.time() - began >= _STEADY_S else failures + 1
            pause_s = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
            _log.error("workers.died", worker=number, code=code, again_in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()

    async def _start(self, number: int) -> None:
        command, environment = self._command(number)
        self._processes[number] = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environment}, preexec_fn=_end_with_parent
        )
        _log.info("workers.started", worker=number, pid=self._processes[number].pid)

    async def _end(self, number: int) -> None:
        """Stop a worker in order; one that does not within the time is killed."""
        process = self._processes.get(number)
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                _log.error("workers.killed", worker=number)
                process.kill()

    def _roll(self) -> None:
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.create_task(self._replace_all())

    async def _replace_all(self) -> None:
        for number in self._numbers:
            _log.info("workers.replacing", worker=number)
            await self._end(number)
            if not await self._ready(number):
                _log.error("workers.not_replaced", worker=number)
                return

    async def _ready(self, number: int) -> bool:
        """Wait until a worker is ready; False when it ends or takes too long."""
        until = asyncio.get_running_loop().time() + _READY_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while asyncio.get_running_loop().time() < until and not self._stop.is_set():
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(self._ready_url(number)) as answer:
                        if answer.status == 200:
                            return True
                process = self._processes.get(number)
                if process is not None and process.returncode not in (None, 0):
                    return False
                await asyncio.sleep(0.1)
        return False


def _end_with_parent() -> None:
    """In the worker's process: stop in order when the supervisor dies, however that is."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
