"""The inbox worker: stored webhooks are processed per conversation in order, each exactly once (`news`)."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from warmline.conversation.service import Conversations
from warmline.delivery.agent_files import AgentFiles
from warmline.delivery.alarms import Alarms
from warmline.delivery.backoff import STORE_BACKOFF
from warmline.delivery.calls import Providers
from warmline.delivery.holding import HoldSettings
from warmline.delivery.lines import Line, Lines
from warmline.delivery.links import Links
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.news import News, NewsSettings
from warmline.delivery.reconcile import Reconciler
from warmline.delivery.transcripts import Transcripts
from warmline.delivery.views import SessionViews
from warmline.domain.errors import StoreUnavailable
from warmline.handoff.contract import Receipt
from warmline.ports import TEXTS_ENDPOINT, Clock, InboxRow, Leg, Link, Store
from warmline.ports.uses import DAY_MS, KEPT_DAYS

_log = structlog.get_logger(__name__)

_HOLD = HoldSettings()
_NEWS = NewsSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSettings:
    """Seconds and counts of the inbox worker."""

    sweep_s: float = 5.0
    """How often parked rows and rows of a node that died are looked for."""
    adopt_after_s: float = 10.0
    park_for_s: float = 600.0
    """News of a conversation that nobody knows are dropped after so long (webex-byoc.md §16.4)."""
    remember_s: float = 8 * 24 * 3600.0
    """How long a delivery is recognised when it comes again; at least seven days (webex-byoc.md §11.4)."""
    crashes: int = 5
    """Attempts of a row whose processing raises what nobody expected; then it is dead."""
    hold: HoldSettings = _HOLD
    news: NewsSettings = _NEWS


class Inbox:
    """Takes verified webhooks in durably, then turns them into commands.

    Args:
        wake: wakes a stream of the outbox.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        conversations: Conversations,
        links: Links,
        views: SessionViews,
        clock: Clock,
        alarms: Alarms,
        metrics: DeliveryMetrics,
        wake: Callable[[str], None],
        reconciler: Reconciler,
        files: AgentFiles,
        transcripts: Transcripts,
        settings: InboxSettings | None = None,
    ) -> None:
        self._settings = settings or InboxSettings()
        self._store = store
        self._links = links
        self._clock = clock
        self._alarms = alarms
        self._metrics = metrics
        self._files = files
        self._news = News(
            store,
            providers,
            conversations,
            links,
            views,
            clock,
            wake,
            reconciler,
            files,
            transcripts,
            self._settings.news,
            self._finish,
            self._note,
        )
        self._lines = Lines(links, views, clock, alarms, metrics, self._settings.hold, self._begin)
        self._finished: set[int] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._prune_at = 0.0
        links.watch(self._linked)
        metrics.gauge("warmline_inbox_depth", "Webhooks stored and not processed; parked ones included.", self._depth)
        metrics.gauge("warmline_inbox_oldest_seconds", "Age of the oldest one that is not parked.", self._oldest_s)

    async def start(self) -> None:
        """Take up what was left unprocessed. Raises StoreUnavailable."""
        self._lines.distrust(await self._store.last_webhooks())
        await self._take_up(age_s=0.0)
        self._lines.open()
        self._sweeper = asyncio.create_task(self._sweep(), name="inbox-sweeper")

    async def stop(self) -> None:
        """Stop where it is: rows stay in the store."""
        self._stopping = True
        tasks = [line.task for line in self._lines if line.task is not None]
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._files.stop()

    async def accept(self, connection_id: str, endpoint: str, receipt: Receipt, body: bytes) -> bool:
        """Store a verified webhook; durable on return. False: it is here already. Raises StoreUnavailable."""
        row = InboxRow(
            id=0,
            connection_id=connection_id,
            endpoint=endpoint,
            key=receipt.key,
            remote_id=receipt.remote_id,
            received_at=self._clock.now(),
            event_at=receipt.event_at,
            body=body,
        )
        with self._lines.arriving(row):
            row_id = await self._store.accept(row)
            if row_id is None:
                return False
            self._lines.add(replace(row, id=row_id), receipt)
        return True

    # --- processing ------------------------------------------------------------------------------------------

    def _linked(self, link: Link) -> None:
        """A conversation over there is known now: its parked news go on."""
        line = self._lines.get((link.connection_id, link.remote_id))
        if line is not None and line.task is None:
            self._unpark(line)

    def _unpark(self, line: Line) -> None:
        """Put the parked news in front. Not while the line's task is at the first one of them."""
        parked, line.parked = line.parked, []
        parked.sort(key=lambda item: item.place)
        line.ready.extendleft(reversed(parked))
        self._begin(line)

    def _begin(self, line: Line) -> None:
        if line.task is None and line.ready and not self._stopping:
            line.task = asyncio.create_task(self._run(line))

    async def _run(self, line: Line) -> None:
        again_s = None
        try:
            while line.ready:
                link = await self._links.by_remote(*line.key)
                if link is None:
                    await self._park(line)
                    break
                if line.parked:
                    self._unpark(line)
                await self._news.take(line.ready[0].row, link)
                line.ready.popleft()
                line.failures = 0
        except StoreUnavailable:
            line.failures += 1
            again_s = STORE_BACKOFF.delay(line.failures, 0.5)
            _log.warning("inbox.store_unavailable", failures=line.failures)
        except Exception:
            _log.exception("inbox.failed", connection_id=line.connection_id)
            again_s = await self._failed(line)
        finally:
            line.task = None
        if again_s is not None:
            self._alarms.after(again_s, partial(self._begin, line))
            return
        if self._links.known(*line.key) is not None:
            self._unpark(line)
        self._begin(line)
        self._lines.forget_if_idle(line)

    async def _park(self, line: Line) -> None:
        """Its link is not known: it may be on its way, or the conversation is none of ours."""
        while line.ready:
            item = line.ready[0]
            if not item.row.parked:
                await self._store.finish_inbox(item.row.id, state="parked", attempts=item.row.attempts)
                item = replace(item, row=replace(item.row, parked=True))
                self._metrics.inbox_rows.labels("parked").inc()
            line.ready.popleft()
            line.parked.append(item)
        line.look_at = self._clock.monotonic() + line.look_wait_s

    async def _failed(self, line: Line) -> float | None:
        """Count a failure of the first row against it; returns when to try again, None: at once (it is dead)."""
        item = line.ready[0]
        attempts = item.row.attempts + 1
        dead = attempts >= self._settings.crashes
        line.ready[0] = replace(item, row=replace(item.row, attempts=attempts))
        with contextlib.suppress(StoreUnavailable):
            if dead:
                await self._finish(item.row, "dead")
                line.ready.popleft()
                return None
            await self._store.finish_inbox(item.row.id, state="new", attempts=attempts)
        return STORE_BACKOFF.delay(attempts, 0.5)

    async def _finish(self, row: InboxRow, state: str, result: str = "") -> None:
        await self._store.finish_inbox(row.id, state=state, attempts=row.attempts)
        self._note(row, result or state)

    def _note(self, row: InboxRow, result: str) -> None:
        self._lines.ids.discard(row.id)
        self._finished.add(row.id)
        self._metrics.inbox_rows.labels(result).inc()
        if result == "applied":
            self._metrics.relayed(row.connection_id, Leg.DOWN, row.received_at)

    # --- looking after what waits ------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(self._settings.sweep_s)
            try:
                await self._take_up(age_s=self._settings.adopt_after_s)
                for line in [line for line in self._lines if line.parked and line.task is None]:
                    await self._look_again(line)
                await self._prune()
            except StoreUnavailable:
                _log.warning("inbox.sweep_failed")
            except Exception:
                _log.exception("inbox.sweep_failed")

    async def _prune(self) -> None:
        """Forget, once an hour, by what duplicates of long ago would be recognised, and which topics were used then."""
        if self._clock.monotonic() < self._prune_at:
            return
        self._prune_at = self._clock.monotonic() + 3600
        await self._store.prune(inbox_before=self._clock.now() - round(self._settings.remember_s * 1000))
        await self._store.forget_uses(before=self._clock.now() - KEPT_DAYS * DAY_MS)

    async def _take_up(self, *, age_s: float) -> None:
        """Take rows that nobody in this process has: left by a crash, here or on another node."""
        self._finished.clear()
        before = self._clock.now() - round(age_s * 1000)
        for row in await self._store.inbox_pending():
            if row.endpoint == TEXTS_ENDPOINT:
                continue
            if row.received_at <= before and row.id not in self._lines.ids and row.id not in self._finished:
                self._lines.take_up(row)

    async def _look_again(self, line: Line) -> None:
        oldest_allowed = self._clock.now() - round(self._settings.park_for_s * 1000)
        for item in [item for item in line.parked if item.row.received_at <= oldest_allowed]:
            await self._finish(item.row, "dead")
            line.parked.remove(item)
        if line.parked and self._clock.monotonic() >= line.look_at:
            # Another node may have saved the link.
            line.look_wait_s = min(line.look_wait_s * 2, 60.0)
            line.look_at = self._clock.monotonic() + line.look_wait_s
            if await self._links.by_remote(*line.key) is not None and line.task is None:
                self._unpark(line)
        self._lines.forget_if_idle(line)

    def _depth(self) -> float:
        return len(self._lines.ids)

    def _oldest_s(self) -> float:
        waiting = (item.row.received_at for line in self._lines for item in (*line.ready, *line.hold.items))
        oldest = min(waiting, default=None)
        return 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / 1000)
