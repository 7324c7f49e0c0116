"""The warm workers of one version of one project. A bad function costs its own session only."""

import asyncio
import os
from collections import deque
from dataclasses import dataclass

import structlog

from warmline.agent.turn import protocol
from warmline.agent.turn.process import START_LIMIT_S, Worker, WorkerLost

_SLOW_S = 0.05
"""Seconds after which a busy worker no longer counts: another one takes its place."""
_IDLE_S = 60.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How functions run.

    `size` workers are meant to be free for short calls; while calls take long there may be up to `most`.
    `limit_s` is what one call may take, `wait_s` how long a call waits for a free worker, in seconds.
    """

    size: int = max(2, os.cpu_count() or 2)
    most: int = 4 * max(2, os.cpu_count() or 2)
    limit_s: float = 10.0
    wait_s: float = 10.0
    memory_mb: int = 1024
    state_kb: int = 1024
    asks: int = 10


class WorkerPool:
    """Runs function calls, each in a worker that nobody else uses meanwhile."""

    def __init__(self, setup: protocol.Setup, settings: PoolSettings) -> None:
        """Serve the project of `setup`; nothing starts before `start` or the first call."""
        self._setup = setup
        self._settings = settings
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._retire: dict[Worker, asyncio.TimerHandle] = {}
        self._warm: dict[str, protocol.Failure | None] = {}
        self._closed = False

    @property
    def limit_s(self) -> float:
        """Seconds that one call may take."""
        return self._settings.limit_s

    @property
    def asks(self) -> int:
        """How often the functions of one turn may ask something of the server."""
        return self._settings.asks

    @property
    def broken(self) -> dict[str, protocol.Failure]:
        """The functions whose file does not import, with the reason; known once a worker is warm."""
        return {name: failure for name, failure in self._warm.items() if failure is not None}

    async def start(self) -> None:
        """Bring up the first worker and import the project's functions in it."""
        if not self._setup.functions:
            return
        await self._start_one()
        self._fill()

    async def call(self, call: protocol.Call) -> protocol.Reply:
        """Run a function; a failure of any kind comes back in the reply."""
        known = self._warm.get(call.function)
        if known is not None:
            return protocol.Reply(failure=known)
        try:
            worker = await self._take()
        except TimeoutError:
            text = f"No worker came free within {self._settings.wait_s:g} s."
            return protocol.Reply(failure=protocol.Failure(rule="function-busy", text=text))
        slow = asyncio.get_running_loop().call_later(_SLOW_S, self._mark_slow, worker)
        try:
            reply = await worker.request(call, self._settings.limit_s)
        except WorkerLost as lost:
            self._drop(worker)
            _log.warning("function_worker_lost", function=call.function, rule=lost.failure.rule)
            return protocol.Reply(failure=lost.failure)
        except BaseException:
            self._drop(worker)
            raise
        finally:
            slow.cancel()
        if reply.spent:
            self._drop(worker)
        else:
            self._give_back(worker)
        return reply

    async def close(self) -> None:
        """Kill all workers."""
        self._closed = True
        for handle in self._retire.values():
            handle.cancel()
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for worker in list(self._workers):
            self._discard(worker)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker in self._retire:
                self._retire.pop(worker).cancel()
            if worker.alive:
                return worker
            self._drop(worker)
        future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._fill()
        try:
            return await asyncio.wait_for(future, self._settings.wait_s)
        except BaseException:
            if future.done() and not future.cancelled():
                self._give_back(future.result())
            raise

    def _give_back(self, worker: Worker) -> None:
        worker.slow = False
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(worker)
                return
        self._idle.append(worker)
        if len(self._workers) > self._settings.size:
            loop = asyncio.get_running_loop()
            self._retire[worker] = loop.call_later(_IDLE_S, self._retire_idle, worker)

    def _retire_idle(self, worker: Worker) -> None:
        self._retire.pop(worker, None)
        if worker in self._idle and len(self._workers) > self._settings.size:
            self._idle.remove(worker)
            self._drop(worker)

    def _mark_slow(self, worker: Worker) -> None:
        worker.slow = True
        self._fill()

    def _drop(self, worker: Worker) -> None:
        self._discard(worker)
        self._fill()

    def _discard(self, worker: Worker) -> None:
        self._workers.discard(worker)
        task = asyncio.create_task(worker.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _fill(self) -> None:
        """Start workers until enough of them are not stuck in a slow call."""
        if self._closed:
            return
        useful = sum(not worker.slow for worker in self._workers) + len(self._starting)
        total = len(self._workers) + len(self._starting)
        for _ in range(min(self._settings.size - useful, self._settings.most - total)):
            task = asyncio.create_task(self._start_one())
            self._starting.add(task)
            task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("function_worker_did_not_start", error=type(task.exception()).__name__)

    async def _start_one(self) -> None:
        """Start a worker and import every function file in it, each under the limit of a call."""
        worker = await self._new_worker()
        try:
            for name in self._setup.functions:
                if self._warm.get(name) is not None:
                    continue
                try:
                    warm = protocol.Warm(name, self._settings.limit_s)
                    self._warm[name] = (await worker.request(warm, self._settings.limit_s)).failure
                except WorkerLost as lost:
                    # A file that hangs or ends the process when imported must not keep the others out.
                    self._warm[name] = lost.failure
                    self._discard(worker)
                    worker = await self._new_worker()
        except BaseException:
            self._discard(worker)
            raise
        self._workers.add(worker)
        self._give_back(worker)

    async def _new_worker(self) -> Worker:
        worker = await Worker.start(self._setup.root)
        try:
            await worker.request(self._setup, START_LIMIT_S)
        except BaseException:
            self._discard(worker)
            raise
        return worker
