"""The real time, in which some of it may be skipped."""

import asyncio
import heapq
import itertools
import time


class JumpClock:
    """Implements `ports.Clock`: runs like the machine's clock until `jump` moves it on. Sleepers wake then if due."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._ahead = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch."""
        return round((time.time() + self._skipped + self._ahead) * 1000)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self._skipped

    async def sleep(self, seconds: float) -> None:
        """Wait that long on this clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.monotonic() + seconds, next(self._numbers), woken))
        timer = asyncio.get_running_loop().call_later(seconds, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()

    def wall_ns(self) -> int:
        """The same as `now`, nanoseconds."""
        return time.time_ns() + round((self._skipped + self._ahead) * 1e9)

    def leap(self, seconds: float) -> None:
        """Set the wall clock forward, or back: no time goes by."""
        self._ahead += seconds

    def jump(self, seconds: float) -> None:
        """Skip some time."""
        self._skipped += seconds
        while self._sleepers and self._sleepers[0][0] <= self.monotonic():
            _wake(heapq.heappop(self._sleepers)[2])


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
