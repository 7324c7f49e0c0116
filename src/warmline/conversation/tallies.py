"""Counts for good what the dashboard shows of hours that are over: beside the hot path, on every node."""

import asyncio
from collections.abc import Collection

import structlog

from warmline.domain.errors import StoreUnavailable
from warmline.ports import COUNTED_DAYS, HOUR_MS, Clock, StatisticsStore

_log = structlog.get_logger(__name__)

EVERY_S = 60.0
BREATH_S = 0.1
"""Between two steps, while there is more."""
SETTLED_MS = HOUR_MS
"""An hour is left alone for so long: the conversations that began in it are still going on."""
_DAY_MS = 24 * HOUR_MS
_TOLD_EVERY = 100
"""Steps, while many hours are counted after an upgrade."""


class Tallies:
    """Looks every minute what is not counted, be it new, changed or from before an upgrade."""

    def __init__(self, store: StatisticsStore, clock: Clock, projects: Collection[str]) -> None:
        self._store = store
        self._clock = clock
        self._projects = projects
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="tallies")

    async def stop(self) -> None:
        """Stop between two steps."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.round()
            except StoreUnavailable as error:
                _log.info("tallies.not_now", code=error.code)
            except Exception:
                _log.exception("tallies.failed")
            await self._clock.sleep(EVERY_S)

    async def round(self) -> None:
        """Count all that is not counted. Raises StoreUnavailable."""
        now = self._clock.now()
        await self._store.forget_hours(before=now - (COUNTED_DAYS + 1) * _DAY_MS)
        for project_id in self._projects:
            steps = 0
            while left := await self._store.count_hours(project_id, until=now - SETTLED_MS):
                if steps % _TOLD_EVERY == 0 and steps:
                    _log.info("tallies.counting", project=project_id, hours_left=left)
                steps += 1
                await self._clock.sleep(BREATH_S)
