"""One budget of calls per Service App, shared by all its connections (webex-byoc.md §6)."""

import asyncio
import heapq
import itertools
from collections import deque
from enum import IntEnum
from weakref import WeakKeyDictionary

import aiohttp

from warmline.handoff.contract import CallUse, ProviderThrottled
from warmline.ports import Clock


class Priority(IntEnum):
    """Who goes first when calls have to wait."""

    APPEND = 0
    CREATE = 1
    END = 2
    OTHER = 3


_BURST_PART = 4
"""The bucket holds a quarter of a minute's calls: 240 a minute never become more than 300 in any minute."""

_PATIENCE_S = 15.0
"""Who would wait longer is sent back to the outbox, where waiting costs nothing."""


class Limiter:
    """A token bucket whose waiters are served by priority, then in order of arrival."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._serving: asyncio.Task[None] | None = None
        self._paused_until = 0.0
        self._made: deque[float] = deque()
        """When the calls of the last minute were let through."""
        self._at = clock.monotonic()
        self.set_rate(per_minute)
        self._tokens = self._capacity

    def set_rate(self, per_minute: int) -> None:
        """Change how many calls a minute are allowed."""
        self._per_minute = per_minute
        self._rate = per_minute / 60
        self._capacity = max(1.0, per_minute / _BURST_PART)

    def use(self) -> CallUse:
        """How much is used now."""
        self._forget_old()
        held = max(0.0, self._paused_until - self._clock.monotonic())
        return CallUse(made=len(self._made), allowed=self._per_minute, held_s=round(held))

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long: the platform said so. Who waits is sent back to the outbox."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
        waiting, self._waiting = self._waiting, []
        for _, _, turn in waiting:
            if not turn.done():
                turn.set_exception(_throttled(seconds))

    async def acquire(self, priority: Priority) -> None:
        """Wait for permission to make one call.

        Raises:
            ProviderThrottled: it would take too long; nothing was sent.
        """
        now = self._clock.monotonic()
        self._refill(now)
        if now < self._paused_until:
            raise _throttled(self._paused_until - now)
        if not self._waiting and self._tokens >= 1:
            self._spend()
            return
        wait = (len(self._waiting) + 1 - self._tokens) / self._rate
        if wait > _PATIENCE_S:
            raise ProviderThrottled("throttled", wait, "more calls than this Service App may make")
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), turn))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        await turn

    def _spend(self) -> None:
        self._tokens -= 1
        self._forget_old()
        self._made.append(self._clock.monotonic())

    def _forget_old(self) -> None:
        while self._made and self._made[0] <= self._clock.monotonic() - 60:
            self._made.popleft()

    def _refill(self, now: float) -> None:
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._rate)
        self._at = now

    async def _serve(self) -> None:
        try:
            while self._waiting:
                if self._tokens < 1:
                    await self._clock.sleep((1 - self._tokens) / self._rate)
                    self._refill(self._clock.monotonic())
                    continue
                turn = heapq.heappop(self._waiting)[2]
                if not turn.done():
                    self._spend()
                    turn.set_result(None)
        finally:
            self._serving = None


def _throttled(seconds: float) -> ProviderThrottled:
    return ProviderThrottled("throttled", seconds, "Webex asked to wait")


_limiters: WeakKeyDictionary[aiohttp.ClientSession, dict[str, Limiter]] = WeakKeyDictionary()


def limiter_for(http: aiohttp.ClientSession, client_id: str, clock: Clock, per_minute: int) -> Limiter:
    """The limiter of a Service App within this process: one for all connections that share the HTTP client."""
    limiters = _limiters.setdefault(http, {})
    if client_id in limiters:
        limiters[client_id].set_rate(per_minute)
    else:
        limiters[client_id] = Limiter(clock, per_minute)
    return limiters[client_id]
