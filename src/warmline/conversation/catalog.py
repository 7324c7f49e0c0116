"""Keeps the catalog of conversations behind the logs: beside the hot path, and made up for after a crash."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from warmline.domain.catalog import Entry, Followed, follow
from warmline.domain.errors import StoreUnavailable
from warmline.domain.events import Recorded
from warmline.ports import Clock, Committed, Receiver, Store

PACE_S = 0.5
"""Seconds that a list may lag behind."""
_REMEMBERED = 5_000
_PAGE = 200
_log = structlog.get_logger(__name__)


class Catalog:
    """Follows what is committed here, and at the start what the last run had not come to."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        receivers: Callable[[], Sequence[Receiver]] = tuple,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """What `receivers` want of new events is queued with the entries; `told` is called after that."""
        self._receivers = receivers
        self._told = told
        self._store = store
        self._clock = clock
        self._news: dict[str, list[Recorded]] = {}
        self._entries: dict[str, Entry] = {}
        self._dated_since = ""
        self._task: asyncio.Task[None] | None = None
        self._watchers: list[Callable[[Sequence[Entry]], None]] = []

    def watch(self, callback: Callable[[Sequence[Entry]], None]) -> None:
        """Call `callback` with the entries that were brought up to date. It must not block."""
        self._watchers.append(callback)

    def observe(self, committed: Committed) -> None:
        """A change was committed (`Conversations.watch`)."""
        if committed.events:
            self._news.setdefault(committed.session.id, []).extend(committed.events)

    async def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._follow(), name="catalog")

    async def stop(self) -> None:
        """Write what is known, then stop. What cannot be written is made up for at the next start."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self.write()
        except StoreUnavailable as error:
            _log.warning("catalog.not_written", code=error.code)

    async def _follow(self) -> None:
        caught_up = dated = False
        while True:
            try:
                if not caught_up:
                    caught_up = await self.catch_up()
                elif not dated:
                    dated = await self._date_texts()
                await self.write()
            except StoreUnavailable as error:
                _log.warning("catalog.behind", code=error.code)
            except Exception:
                # One log that cannot be read must not end the following of all others.
                _log.exception("catalog.failed")
                caught_up = dated = True
            await self._clock.sleep(PACE_S if caught_up and dated else PACE_S / 10)

    async def _date_texts(self) -> bool:
        """Give texts from before an upgrade their days, for a while; True when none are left."""
        since = await self._store.date_texts()
        day = datetime.fromtimestamp(since / 1000, UTC).date().isoformat() if since else ""
        if day != self._dated_since:
            _log.info("catalog.texts_dated", since=day or "the beginning")
            self._dated_since = day
        return not since

    async def catch_up(self) -> bool:
        """Follow some sessions whose entry is behind their log; True when there were none left."""
        behind = await self._store.catalog_behind(_PAGE)
        for session_id in behind:
            await self._save([await self._read_on(session_id)])
        return len(behind) < _PAGE

    async def write(self) -> None:
        """Bring the entries of all sessions that changed since the last time up to date."""
        news, self._news = self._news, {}
        followed: list[Followed | None] = []
        try:
            for session_id, log in news.items():
                entry = self._entries.get(session_id)
                if entry is None and log[0].sequence == 1:
                    entry = await self._begun(session_id)
                whole = log[-1].sequence - log[0].sequence + 1 == len(log)
                if entry is None or not whole or log[0].sequence > entry.sequence + 1:
                    # Another node wrote in between, or the session is new here.
                    followed.append(await self._read_on(session_id))
                else:
                    followed.append(follow(entry, log))
            await self._save(followed)
        except StoreUnavailable:
            for session_id, log in news.items():
                self._news[session_id] = log + self._news.get(session_id, [])
            raise

    async def _save(self, followed: list[Followed | None]) -> None:
        known = [item for item in followed if item is not None]
        receivers = self._receivers()
        await self._store.save_catalog(known, receivers)
        if receivers and known:
            self._told()
        for watcher in self._watchers:
            watcher([item.entry for item in known])
        for item in known:
            self._entries.pop(item.entry.session_id, None)
            if not item.entry.ended_at:
                self._entries[item.entry.session_id] = item.entry
        while len(self._entries) > _REMEMBERED:
            del self._entries[next(iter(self._entries))]

    async def _read_on(self, session_id: str) -> Followed | None:
        """Follow a session from where its stored entry stands; None when it is gone."""
        entry = await self._store.catalog_entry(session_id)
        if entry is None:
            entry = await self._begun(session_id)
            if entry is None:
                return None
        log: list[Recorded] = []
        while page := await self._store.events(session_id, log[-1].sequence if log else entry.sequence):
            log += page
        return follow(entry, log)

    async def _begun(self, session_id: str) -> Entry | None:
        """The entry of a session of which no event was followed; None when it is gone."""
        stored = await self._store.session(session_id)
        if stored is None:
            return None
        return Entry(session_id=session_id, project_id=stored.info.project_id, environment=stored.info.environment)
