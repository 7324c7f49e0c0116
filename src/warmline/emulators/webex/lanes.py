"""Serial execution per key: work of one key runs in order, different keys never wait for each other."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Background:
    """Holds the emulator's running coroutines, so that none is lost and all can be stopped."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside everything else; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call `call` once `delay_s` seconds have passed by the machine's clock, unless it is stopped before."""

        async def wait() -> None:
            await asyncio.sleep(delay_s)
            call()

        self.spawn(wait())

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background work failed", exc_info=task.exception())

    async def stop(self) -> None:
        """Cancel what still runs and wait until it is gone."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Lanes:
    """One queue of work per key."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._queues: dict[Hashable, deque[Work]] = {}
        self._workers: dict[Hashable, asyncio.Task[None]] = {}

    def submit(self, key: Hashable, work: Work) -> None:
        """Run `work` after everything submitted before under the same `key`."""
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(work)
            return
        self._queues[key] = deque([work])
        self._workers[key] = self._background.spawn(self._run(key))

    async def _run(self, key: Hashable) -> None:
        queue = self._queues[key]
        try:
            while queue:
                try:
                    await queue[0]()
                except Exception:
                    log.exception("work in a lane failed")
                queue.popleft()
        finally:
            del self._queues[key], self._workers[key]

    async def drained(self, keys: Callable[[Hashable], bool], timeout_s: float) -> None:
        """Wait until the lanes whose keys match have done their present work, at most `timeout_s` seconds."""
        busy = [worker for key, worker in self._workers.items() if keys(key)]
        if busy:
            await asyncio.wait(busy, timeout=timeout_s)
