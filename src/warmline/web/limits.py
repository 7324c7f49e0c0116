"""Rate limits in memory: one number per key."""

import math
from dataclasses import dataclass

from warmline.ports import Clock

_SWEEP_AT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`count` at once, and on average `count` per `seconds`."""

    count: int
    seconds: float


class RateLimiter:
    """Counts by key (an address, a session) with the generic cell rate algorithm."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._interval = limit.seconds / limit.count
        self._burst = limit.seconds
        self._clock = clock
        self._due: dict[str, float] = {}
        self._sweep_at = _SWEEP_AT

    def take(self, key: str = "") -> float:
        """Count one. Returns 0 when it is within the limit, else the seconds after which it would be."""
        now = self._clock.monotonic()
        due = max(self._due.get(key, now), now) + self._interval
        wait = due - now - self._burst
        if wait > 1e-9:
            return wait
        self._due[key] = due
        if len(self._due) > self._sweep_at:
            self._due = {name: at for name, at in self._due.items() if at > now}
            self._sweep_at = max(_SWEEP_AT, 2 * len(self._due))
        return 0.0

    def give_back(self, key: str = "") -> None:
        """Take back one that was counted and should not have been."""
        if key in self._due:
            self._due[key] -= self._interval


def retry_after(seconds: float) -> str:
    """The value of a Retry-After header: whole seconds from 1 to 30 (messaging-protocol.md §2.3, R20)."""
    return str(min(30, max(1, math.ceil(seconds))))
