"""What the store says of the whole installation, for whoever asks for metrics."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog
from prometheus_client import CollectorRegistry, Gauge

from warmline.domain.errors import StoreUnavailable
from warmline.ports import Clock, HealthStore, Unfinished

_log = structlog.get_logger(__name__)

_FRESH_S = 5.0
"""What was read so recently is told again."""
_PATIENCE_S = 3.0


class BacklogMetrics:
    """Gauges of what waits and what was given up, of all nodes together: every node tells the same."""

    def __init__(self, store: HealthStore, clock: Clock, registry: CollectorRegistry) -> None:
        self._store = store
        self._clock = clock
        self._read_at = -_FRESH_S
        self._rows = Gauge(
            "warmline_backlog_rows",
            "Rows in the database that are not done, by queue (outbox, inbox, parked: webhooks whose conversation "
            "nobody knows). The same on every node. When it grows: warmline_backlog_oldest_seconds.",
            ("queue",),
            registry=registry,
        )
        self._oldest = Gauge(
            "warmline_backlog_oldest_seconds",
            "Age of the oldest such row, by queue (outbox, inbox). When it is high: no node works on it "
            "(warmline_partitions_held) or a connection takes nothing (warmline_destination_state).",
            ("queue",),
            registry=registry,
        )
        self._dead = Gauge(
            "warmline_dead_letters",
            "What was given up and nobody has looked at, by queue (outbox, inbox). The same on every node. When it is "
            "not 0: Studio, Dead deliveries, retry or discard each.",
            ("queue",),
            registry=registry,
        )

    async def refresh(self) -> None:
        """Read them; what cannot be read stays as it was, and `warmline_ready{part="store"}` tells why."""
        if self._clock.monotonic() - self._read_at < _FRESH_S:
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                found = await self._store.not_done()
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("metrics.backlog_not_read", error=type(error).__name__)
            return
        self._read_at = self._clock.monotonic()
        self._show("outbox", found.outbox)
        self._show("inbox", found.inbox)
        self._rows.labels("parked").set(found.parked)
        self._dead.labels("outbox").set(found.dead_effects)
        self._dead.labels("inbox").set(found.dead_webhooks)

    def _show(self, queue: str, waiting: Unfinished) -> None:
        age_s = max(0, self._clock.now() - waiting.since) / 1000 if waiting.since else 0
        self._rows.labels(queue).set(waiting.count)
        self._oldest.labels(queue).set(age_s)


def show_workers(registry: CollectorRegistry, read: Callable[[], Sequence[Mapping[str, int]]]) -> None:
    """Add the gauge of function workers; `read` gives their use for each project (`pool.WorkerPool.use`)."""
    gauge = Gauge(
        "warmline_function_workers",
        "Function workers of this node that are idle or busy, and calls that wait for one (waiting). When waiting is "
        "not 0: functions take long (warmline_function_seconds), or WARMLINE_FUNCTION_WORKERS is too small.",
        ("state",),
        registry=registry,
    )

    def total(state: str) -> float:
        return sum(use.get(state, 0) for use in read())

    for state in ("idle", "busy", "waiting"):
        gauge.labels(state).set_function(partial(total, state))
