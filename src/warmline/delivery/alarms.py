"""Points in time at which somebody wants to be called."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

import structlog

from warmline.ports import Clock

_log = structlog.get_logger(__name__)


class Alarms:
    """Calls functions when their time has come, with one sleeper for all of them.

    An alarm cannot be taken back: whoever is called checks whether it still matters.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._sleeper: asyncio.Task[None] | None = None
        self._wakes_at = 0.0
        self._stopped = False

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` (synchronous, quick) in that many seconds."""
        if self._stopped:
            return
        due = self._clock.monotonic() + max(0.0, seconds)
        heapq.heappush(self._heap, (due, next(self._order), call))
        if self._sleeper is None:
            self._begin()
        elif due < self._wakes_at:
            self._sleeper.cancel()
            self._begin()

    def stop(self) -> None:
        """Forget all alarms and set no new ones."""
        self._stopped = True
        self._heap.clear()
        if self._sleeper is not None:
            self._sleeper.cancel()
            self._sleeper = None

    def _begin(self) -> None:
        self._wakes_at = self._heap[0][0]
        self._sleeper = asyncio.create_task(self._sleep(), name="alarms")

    async def _sleep(self) -> None:
        while self._heap:
            self._wakes_at = self._heap[0][0]
            wait = self._wakes_at - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
            self._ring()
        self._sleeper = None

    def _ring(self) -> None:
        now = self._clock.monotonic()
        # While calls run, a new alarm must not cancel this very task: nothing is earlier than now.
        self._wakes_at = now
        while self._heap and self._heap[0][0] <= now:
            _, _, call = heapq.heappop(self._heap)
            try:
                call()
            except Exception:
                _log.exception("alarms.call_failed")
