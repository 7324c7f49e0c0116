"""How long to wait before the next attempt."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from warmline.domain.errors import StoreUnavailable
from warmline.ports import Clock

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow. `steps` are seconds after the first, second … failure; the last one repeats.

    `jitter` spreads each wait by up to that part of itself in both directions, so that many streams that failed
    together do not come back together.
    """

    steps: tuple[float, ...]
    jitter: float = 0.2

    @property
    def longest(self) -> float:
        """The longest wait, in seconds."""
        return max(self.steps) * (1 + self.jitter)

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` (at least 1) failed attempts; `chance` is random in [0, 1)."""
        step = self.steps[min(max(failures, 1), len(self.steps)) - 1]
        return step * (1 + self.jitter * (2 * chance - 1))


STORE_BACKOFF = Backoff((0.1, 0.5, 1.0, 2.0), jitter=0.0)


async def until_stored(clock: Clock, write: Callable[[], Awaitable[T]], *, within_s: float = math.inf) -> T:
    """Repeat `write` while the store is unavailable; raises StoreUnavailable when that lasts longer than `within_s`.

    For what must not be forgotten once it happened outside; `write` must be fenced or idempotent, because a
    write in doubt is repeated too.
    """
    failures, until = 0, clock.monotonic() + within_s
    while True:
        try:
            return await write()
        except StoreUnavailable:
            failures += 1
            _log.warning("delivery.store_unavailable", failures=failures)
            wait = STORE_BACKOFF.delay(failures, 0.5)
            if clock.monotonic() + wait > until:
                raise
            await clock.sleep(wait)
