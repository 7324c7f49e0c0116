"""The warm workers of one version of one project. A bad function costs its own session only."""

import asyncio
from collections import deque

import structlog

from warmline.agent.turn import protocol
from warmline.agent.turn.limits import PoolSettings
from warmline.agent.turn.process import Answerer, Worker, WorkerLost
from warmline.agent.turn.template import Template

_SLOW_S = 0.02
"""Seconds after which a busy worker no longer counts: another one takes its place."""
_LOOK_S = 0.1
"""Seconds between two looks at how much a busy worker computes."""
_IDLE_S = 60.0
_log = structlog.get_logger(__name__)


class WorkerPool:
    """Runs function calls, each in a worker that nobody else uses meanwhile."""

    def __init__(self, setup: protocol.Setup, settings: PoolSettings) -> None:
        """Serve the project of `setup`; nothing starts before `start` or the first call."""
        self._setup = setup
        self.settings = settings
        self._template: asyncio.Task[Template] | None = None
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._retire: dict[Worker, asyncio.TimerHandle] = {}
        self._broken: dict[str, protocol.Failure] = {}
        self._closed = False

    @property
    def broken(self) -> dict[str, protocol.Failure]:
        """The function files that do not import, with the reason; known once the pool has started."""
        return dict(self._broken)

    def use(self) -> dict[str, int]:
        """How many workers are idle and busy, and how many calls wait for one."""
        waiting = sum(1 for future in self._waiting if not future.done())
        return {"idle": len(self._idle), "busy": len(self._workers) - len(self._idle), "waiting": waiting}

    async def start(self) -> None:
        """Import the project's functions and bring up the first worker.

        Raises:
            OSError, WorkerLost: no process comes up; later calls try again.
        """
        if not self._setup.files:
            return
        await self._start_one()
        self._fill()

    async def call(self, call: protocol.Call, answer: Answerer) -> protocol.Reply:
        """Run a function, whose asks go to `answer`; a failure of any kind comes back in the reply."""
        known = self._broken.get(call.file)
        if known is not None:
            return protocol.Reply(failure=known)
        try:
            worker = await self._take()
        except TimeoutError:
            text = f"No worker came free within {self.settings.wait_s:g} s."
            return protocol.Reply(failure=protocol.Failure(rule="function-busy", text=text))
        watching = asyncio.create_task(self._watch(worker))
        try:
            reply = await worker.request(call, answer)
        except WorkerLost as lost:
            self._drop(worker)
            _log.warning("function_worker_lost", file=call.file, rule=lost.failure.rule)
            return protocol.Reply(failure=lost.failure)
        except BaseException:
            self._drop(worker)
            raise
        finally:
            watching.cancel()
        if reply.spent or worker.hungry:
            self._drop(worker)
        else:
            self._give_back(worker)
        return reply

    async def close(self) -> None:
        """Kill all processes."""
        self._closed = True
        for handle in self._retire.values():
            handle.cancel()
        if self._template is not None:
            self._template.cancel()
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for worker in list(self._workers):
            self._discard(worker)
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._template is not None:
            (template,) = await asyncio.gather(self._template, return_exceptions=True)
            if isinstance(template, Template):
                await template.close()

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
            async with asyncio.timeout(self.settings.wait_s):
                return await future
        except BaseException:
            if future.done() and not future.cancelled():
                self._give_back(future.result())
            raise

    def _give_back(self, worker: Worker) -> None:
        if not worker.alive:
            self._drop(worker)
            return
        worker.slow = False
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(worker)
                return
        self._idle.append(worker)
        if len(self._workers) > self.settings.size:
            loop = asyncio.get_running_loop()
            self._retire[worker] = loop.call_later(_IDLE_S, self._retire_idle, worker)

    def _retire_idle(self, worker: Worker) -> None:
        self._retire.pop(worker, None)
        if worker in self._idle and len(self._workers) > self.settings.size:
            self._idle.remove(worker)
            self._drop(worker)

    async def _watch(self, worker: Worker) -> None:
        """Replace a worker that is busy for long, and let it give way to others while it computes."""
        await asyncio.sleep(_SLOW_S)
        worker.slow = True
        self._fill()
        while not worker.hungry:
            await asyncio.sleep(_LOOK_S)
            worker.yield_if_hungry()

    def _drop(self, worker: Worker) -> None:
        self._discard(worker)
        self._fill()

    def _discard(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._close_later(worker)

    def _close_later(self, process: Worker | Template) -> None:
        task = asyncio.create_task(process.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _fill(self) -> None:
        """Start workers until enough of them are not stuck in a slow call."""
        if self._closed:
            return
        useful = sum(not worker.slow for worker in self._workers) + len(self._starting)
        total = len(self._workers) + len(self._starting)
        for _ in range(min(self.settings.size - useful, self.settings.most - total)):
            task = asyncio.create_task(self._start_one())
            self._starting.add(task)
            task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("function_worker_did_not_start", error=type(task.exception()).__name__)

    async def _start_one(self) -> None:
        """Fork a worker; once more when the template was lost meanwhile."""
        template = await self._usable_template()
        try:
            worker = await template.fork()
        except WorkerLost:
            worker = await (await self._usable_template()).fork()
        self._workers.add(worker)
        self._give_back(worker)

    async def _usable_template(self) -> Template:
        """The template, a new one when there is none."""
        if self._template is None or (self._template.done() and not _usable(self._template)):
            self._template = asyncio.create_task(self._new_template())
        # Many forks may wait for one template: none of them may cancel it.
        return await asyncio.shield(self._template)

    async def _new_template(self) -> Template:
        """Start a template and import every function file in it, each under the limit of a call."""
        template = await Template.start(self._setup)
        try:
            while not await self._import_all(template):
                # A file that hangs or ends the process when imported must not keep the others out.
                await template.close()
                template = await Template.start(self._setup)
        except BaseException:
            await template.close()
            raise
        template.when_lost(self._template_lost)
        return template

    async def _import_all(self, template: Template) -> bool:
        """Import every file that is not known to be broken; False when that spoiled the template."""
        for file in self._setup.files:
            if file in self._broken:
                continue
            try:
                reply = await template.warm(file, self.settings.limit_s)
            except WorkerLost as lost:
                self._broken[file] = lost.failure
                return False
            if reply.failure is not None:
                self._broken[file] = reply.failure
            if reply.spent:
                return False
        return True

    def _template_lost(self) -> None:
        if self._closed:
            return
        _log.error("function_template_lost", project=self._setup.project_id)
        if self._template is not None and self._template.done():
            self._close_later(self._template.result())
            self._template = None
        for worker in self._idle:
            self._discard(worker)
        self._idle.clear()
        self._fill()


def _usable(template: "asyncio.Task[Template]") -> bool:
    return not template.cancelled() and template.exception() is None and template.result().alive
