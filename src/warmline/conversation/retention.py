"""Deletes what has been kept long enough: beside the hot path, in small steps, on one node at a time."""

import asyncio
from collections.abc import Collection, Mapping

import structlog

from warmline.domain.errors import StoreUnavailable
from warmline.ports import HOLD_S, AuditEntry, Clock, Erasure, Store

_log = structlog.get_logger(__name__)

PERIODS: Mapping[str, str] = {
    "conversations": "retention/conversations",
    "dead": "retention/dead",
    "audit": "retention/audit",
}
"""What has a period of its own, and the key of its setting: days, 0 to keep it for good."""

EVERY_S = 3600.0
STEP = 20
"""Conversations deleted in one transaction: some 10 ms on SQLite, in which nothing else is written."""
BREATH_S = 0.25
"""Between two of them."""
_FEW = 500
"""Dead letters, or entries of the audit log, deleted in one transaction."""
_DAY_MS = 86_400_000
_WAIT_S = 1.0
_ROUND_S = HOLD_S / 3
"""A round lasts no longer; what is left is for the next one, which follows at once."""


class Retention:
    """Looks every hour what is due."""

    def __init__(self, store: Store, clock: Clock, projects: Collection[str]) -> None:
        """Delete conversations of these `projects`."""
        self._store = store
        self._clock = clock
        self._projects = projects
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    async def settings(store: Store) -> dict[str, int]:
        """The periods in days, by what they are for; 0: kept for good."""
        stored = await store.settings("retention/")
        return {name: int(stored.get(key, "0")) for name, key in PERIODS.items()}

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """Stop between two steps."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            more = False
            try:
                more = await self.round()
            except StoreUnavailable as error:
                # Also when another node is at it.
                _log.info("retention.not_now", code=error.code)
            except Exception:
                _log.exception("retention.failed")
            await self._clock.sleep(BREATH_S if more else EVERY_S)

    async def round(self) -> bool:
        """Delete for a while what is due; True when something is left. Raises StoreUnavailable."""
        periods = await self.settings(self._store)
        if not any(periods.values()):
            return False
        async with self._store.exclusive("retention", wait_s=_WAIT_S):
            until = self._clock.now() + round(_ROUND_S * 1000)
            counts = dict.fromkeys(PERIODS, 0)
            more = False
            for name, days in periods.items():
                before = self._clock.now() - days * _DAY_MS
                while days and not (more := self._clock.now() >= until):
                    count, full = await self._step(name, before)
                    counts[name] += count
                    if not full:
                        break
                    await self._clock.sleep(BREATH_S)
            await self._tell(counts)
        return more

    async def _step(self, name: str, before: int) -> tuple[int, bool]:
        """Delete a few; how many, and whether there may be more."""
        match name:
            case "conversations":
                return await self._conversations(before)
            case "dead":
                count = await self._store.forget_dead(before=before, limit=_FEW)
            case _:
                count = await self._store.forget_audit(before=before, limit=_FEW)
        return count, count == _FEW

    async def _conversations(self, before: int) -> tuple[int, bool]:
        for project_id in self._projects:
            sessions = await self._store.ended_before(project_id, before, STEP)
            if sessions:
                await self._store.erase(Erasure(sessions=tuple(sessions)))
                return len(sessions), True
        return 0, False

    async def _tell(self, counts: Mapping[str, int]) -> None:
        if not any(counts.values()):
            return
        subject = " ".join(f"{name}={count}" for name, count in counts.items())
        _log.info("retention.deleted", **counts)
        entry = AuditEntry(at=self._clock.now(), user_id="", user_name="Warmline", act="retention", subject=subject)
        await self._store.record(entry)
