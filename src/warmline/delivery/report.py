"""Compares each day with the contact centres' own record of it (webex-byoc.md §18.2, nightly). Counts only."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec
import structlog

from warmline.delivery.calls import Providers
from warmline.delivery.leases import Leases
from warmline.domain.errors import StoreUnavailable
from warmline.domain.handoff import HandoffState
from warmline.handoff.contract import ListsConversations, ProviderError, RemoteState, RemoteStatus
from warmline.ports import Clock, Store, partition_of

_log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
_SETTLED_MS = 3 * 3600_000
"""So long after its end a day is compared: the platform's index lags, and conversations come to their ends."""
_TICK_S = 900.0
_APART_MS = 5 * 60_000

PREFIX = "report/"
"""Of the settings that hold reports; then the connection's id and the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """One day (UTC) of one connection.

    Attributes:
        conversations: that the contact centre had from us.
        unknown: of these, not known here.
        open_there: over here, open there.
        open_here: over there, not here.
        ended_apart: over on both sides, at times that differ by more than five minutes.
    """

    day: str
    conversations: int
    unknown: int = 0
    open_there: int = 0
    open_here: int = 0
    ended_apart: int = 0

    @property
    def clean(self) -> bool:
        """Both sides agree."""
        return not (self.unknown or self.open_there or self.open_here or self.ended_apart)


async def reports(store: Store, connection_id: str) -> list[DayReport]:
    """The stored reports of a connection, newest first. Raises StoreUnavailable."""
    stored = await store.settings(f"{PREFIX}{connection_id}/")
    return [msgspec.json.decode(stored[key], type=DayReport) for key in sorted(stored, reverse=True)]


class DailyReports:
    """Makes the report of each day once, also over restarts, on one node."""

    def __init__(self, store: Store, providers: Providers, clock: Clock, leases: Leases) -> None:
        self._store = store
        self._providers = providers
        self._clock = clock
        self._leases = leases
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="daily-reports")

    async def stop(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(_TICK_S)
            try:
                await self.make()
            except StoreUnavailable:
                _log.warning("report.store_unavailable")
            except Exception:
                _log.exception("report.failed")

    async def make(self) -> None:
        """Make the reports of the last whole day that are not there yet. Raises StoreUnavailable."""
        end = (self._clock.now() - _SETTLED_MS) // DAY_MS * DAY_MS
        day = datetime.fromtimestamp((end - DAY_MS) / 1000, UTC).date().isoformat()
        for connection in await self._store.connections():
            provider = self._able(connection.id)
            key = f"{PREFIX}{connection.id}/{day}"
            mine = self._leases.owns(partition_of(connection.id))
            if provider is None or not mine or await self._store.settings(key):
                continue
            try:
                listed = await provider.listed(end - DAY_MS, end)
            except ProviderError as error:
                _log.warning("report.not_listed", connection_id=connection.id, code=error.code, hint=error.hint)
                continue
            made = await self._compared(connection.id, day, listed)
            await self._store.setting(key, partial(_encoded, made))
            tell = _log.info if made.clean else _log.warning
            tell("report.made", connection_id=connection.id, **_fields(made))

    def _able(self, connection_id: str) -> ListsConversations | None:
        provider = self._providers.get(connection_id)
        return provider if provider is not None and isinstance(provider, ListsConversations) else None

    async def _compared(self, connection_id: str, day: str, listed: Sequence[RemoteState]) -> DayReport:
        unknown = open_there = open_here = ended_apart = 0
        for state in listed:
            # Of sessions that shared the conversation any one tells: all are over with it.
            link = next(iter(await self._store.links_by_remote(connection_id, state.remote_id)), None)
            stored = None if link is None else await self._store.session(link.session_id)
            if link is None or stored is None:
                unknown += 1
                continue
            handoff = stored.session.handoff
            current = handoff is not None and handoff.id == link.handoff_id
            over = not current or handoff is None or handoff.state is HandoffState.ENDED
            over_there = state.status is RemoteStatus.ENDED
            if over != over_there:
                open_there += over
                open_here += over_there
            elif over and current and handoff is not None and state.ended_at:
                ended_apart += abs(handoff.ended_at - state.ended_at) > _APART_MS
        return DayReport(
            day=day,
            conversations=len(listed),
            unknown=unknown,
            open_there=open_there,
            open_here=open_here,
            ended_apart=ended_apart,
        )


def _encoded(report: DayReport) -> str:
    return msgspec.json.encode(report).decode()


def _fields(report: DayReport) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(report)
    return fields
