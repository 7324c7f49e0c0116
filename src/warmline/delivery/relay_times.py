"""How long messages take between customers and contact centres, counted in memory and added to the store now and then.

A crash loses the counts of the last seconds, never a message: these are for the dashboard.
"""

import asyncio
import contextlib
import math
from collections import Counter

import structlog

from warmline.domain.errors import StoreUnavailable
from warmline.ports import HOUR_MS, Clock, Leg, RelayCount, StatisticsStore

_log = structlog.get_logger(__name__)

PACE_S = 10.0
"""Seconds between two additions to the store."""
KEPT_MS = 90 * 24 * HOUR_MS
"""Hours older than that are forgotten."""
_LAST_BUCKET = 120
"""Everything from 2 ^ 30 ms (12 days) on."""


class RelayTimes:
    """Counts deliveries by connection, hour and length."""

    def __init__(self, store: StatisticsStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counts: Counter[tuple[str, int, Leg, int]] = Counter()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to add to the store."""
        self._task = asyncio.create_task(self._run(), name="relay-times")

    async def stop(self) -> None:
        """Add the rest."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(StoreUnavailable):
            await self.write()

    def note(self, connection_id: str, leg: Leg, since: int) -> None:
        """A message got there, or failed, now; it was on its way `since` then (epoch milliseconds)."""
        now = self._clock.now()
        self._counts[connection_id, now // HOUR_MS, leg, bucket_of(now - since)] += 1

    async def write(self) -> None:
        """Add what was counted to the store. Raises StoreUnavailable; then it is added the next time."""
        counts, self._counts = self._counts, Counter()
        try:
            await self._store.add_relay_counts(
                [
                    RelayCount(connection_id=connection_id, hour=hour, leg=leg, bucket=bucket, messages=messages)
                    for (connection_id, hour, leg, bucket), messages in counts.items()
                ]
            )
        except StoreUnavailable as error:
            # A write in doubt may count these twice, which is better than a quiet hour that was none.
            self._counts += counts
            _log.warning("relay_times.not_written", code=error.code)
            raise

    async def _run(self) -> None:
        forget_at = 0.0
        while True:
            await self._clock.sleep(PACE_S)
            with contextlib.suppress(StoreUnavailable):
                await self.write()
                if self._clock.monotonic() >= forget_at:
                    await self._store.forget_relay_counts(before=self._clock.now() - KEPT_MS)
                    forget_at = self._clock.monotonic() + 3600


def bucket_of(milliseconds: int) -> int:
    """The smallest n for which 2 ^ (n / 4) is not less than that."""
    return min(_LAST_BUCKET, math.ceil(4 * math.log2(milliseconds))) if milliseconds > 1 else 0
