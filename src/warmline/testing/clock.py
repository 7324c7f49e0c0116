"""A clock that moves only when it is told to."""

import asyncio
import heapq
import itertools

START_MS = 1_700_000_000_000
"""Where a ManualClock begins, milliseconds since the epoch."""

_TURNS_OF_THE_LOOP = 20
"""How often the event loop may turn between two sleepers, so that the woken one can go to sleep again."""


class ManualClock:
    """Implements `ports.Clock`. Sleepers wake in the order of their due times while `advance` passes them."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._start = now_ms
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch."""
        return self._start + round(self._elapsed * 1000)

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    def leap(self, seconds: float) -> None:
        """Set the wall clock forward, or back: no time goes by."""
        self._start += round(seconds * 1000)

    @property
    def sleepers(self) -> int:
        """How many tasks wait in `sleep`."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by that much."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`. Each sleeper that is due wakes at its own time and runs before the next one."""
        target = self._elapsed + seconds
        await _let_others_run()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, due)
            if not future.done():
                future.set_result(None)
                await _let_others_run()
        self._elapsed = target
        await _let_others_run()


async def _let_others_run() -> None:
    for _ in range(_TURNS_OF_THE_LOOP):
        await asyncio.sleep(0)
