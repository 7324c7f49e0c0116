"""The emulator's time and its timers; time can be moved forward by hand."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable


class Timer:
    """A callback that waits for its time. `cancel()` may be called at any moment."""

    __slots__ = ("callback", "cancelled", "due_ms", "handle")

    def __init__(self, due_ms: float, callback: Callable[[], None]) -> None:
        self.due_ms = due_ms
        self.callback = callback
        self.handle: asyncio.TimerHandle | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Make sure that the callback does not run any more."""
        self.cancelled = True
        if self.handle is not None:
            self.handle.cancel()


class SimClock:
    """Epoch milliseconds, real or virtual.

    Args:
        virtual_start_ms: where a virtual clock starts; None follows the machine's clock.
    """

    def __init__(self, virtual_start_ms: int | None = None) -> None:
        self._virtual_ms: float | None = virtual_start_ms
        self._offset_ms = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._counter = itertools.count()

    def now_ms(self) -> int:
        """Return the current time in epoch milliseconds."""
        if self._virtual_ms is not None:
            return int(self._virtual_ms)
        return int(time.time() * 1000 + self._offset_ms)

    @property
    def position_ms(self) -> float:
        """What has to be kept of this clock: where a virtual one stands, how far ahead a real one was moved."""
        return self._virtual_ms if self._virtual_ms is not None else self._offset_ms

    def go_on(self, position_ms: float) -> None:
        """Go on where the clock of a former start stood."""
        if self._virtual_ms is not None:
            self._virtual_ms = position_ms
        else:
            self._offset_ms = position_ms

    def after(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once `delay_ms` have passed on this clock."""
        timer = Timer(self.now_ms() + delay_ms, callback)
        heapq.heappush(self._timers, (timer.due_ms, next(self._counter), timer))
        if self._virtual_ms is None or delay_ms <= 0:
            self._arm(timer)
        return timer

    def advance(self, delta_ms: float) -> None:
        """Move time forward and run, in order, every timer that falls due on the way."""
        target = self.now_ms() + delta_ms
        while self._timers and self._timers[0][0] <= target:
            timer = heapq.heappop(self._timers)[2]
            self._move_to(max(timer.due_ms, self.now_ms()))
            self._fire(timer)
        self._move_to(target)
        if self._virtual_ms is None:
            for _, _, timer in self._timers:
                self._arm(timer)

    def cancel_all(self) -> None:
        """Forget every timer."""
        for _, _, timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _move_to(self, now_ms: float) -> None:
        if self._virtual_ms is not None:
            self._virtual_ms = now_ms
        else:
            self._offset_ms += now_ms - self.now_ms()

    def _arm(self, timer: Timer) -> None:
        if timer.cancelled:
            return
        if timer.handle is not None:
            timer.handle.cancel()
        delay = max(0.0, (timer.due_ms - self.now_ms()) / 1000)
        timer.handle = asyncio.get_running_loop().call_later(delay, self._fire, timer)

    def _fire(self, timer: Timer) -> None:
        if timer.cancelled:
            return
        timer.cancel()
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        timer.callback()
