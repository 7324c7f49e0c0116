"""The inbox worker: stored webhooks are processed per conversation in order, each exactly once (`news`)."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

import structlog

from warmline.conversation.service import Conversations
from warmline.delivery.agent_files import AgentFiles
from warmline.delivery.alarms import Alarms
from warmline.delivery.backoff import STORE_BACKOFF, until_stored
from warmline.delivery.calls import Providers
from warmline.delivery.holding import Held, HoldSettings
from warmline.delivery.leases import Leases
from warmline.delivery.lines import Line, Lines
from warmline.delivery.links import Links
from warmline.delivery.metrics import INBOX_DEPTH, INBOX_OLDEST, DeliveryMetrics
from warmline.delivery.news import News, NewsSettings
from warmline.delivery.reconcile import Reconciler
from warmline.delivery.transcripts import Transcripts
from warmline.delivery.views import SessionViews
from warmline.domain.copies import replace
from warmline.domain.errors import LeaseLost, StoreUnavailable
from warmline.handoff.contract import Receipt
from warmline.ports import EVERYTHING, TEXTS_ENDPOINT, Bus, Clock, InboxRow, Leg, Link, Poke, Store, Wake

_log = structlog.get_logger(__name__)

_HOLD = HoldSettings()
_NEWS = NewsSettings()
_OTHERS_S = 30.0
"""After a signal of another node: so long it is believed to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSettings:
    """Seconds and counts of the inbox worker."""

    accept_within_s: float = 1.0
    """So long a webhook waits for a store that is being found again; its sender has 5 s (webex-byoc.md §11.3)."""
    announce_after_s: float = 0.01
    """What takes longer to be stored for another node is announced to it."""
    sweep_s: float = 5.0
    """How often parked rows and rows that nobody told of are looked for."""
    adopt_after_s: float = 10.0
    """Those that are younger are known to be on their way while no other node takes in any."""
    park_for_s: float = 600.0
    """News of a conversation that nobody knows are dropped after so long (webex-byoc.md §16.4)."""
    remember_s: float = 8 * 24 * 3600.0
    """How long a delivery is recognised when it comes again; at least seven days (webex-byoc.md §11.4)."""
    crashes: int = 5
    """Attempts of a row whose processing raises what nobody expected; then it is dead."""
    hold: HoldSettings = _HOLD
    news: NewsSettings = _NEWS


class Inbox:
    """Takes verified webhooks in durably; those of its partitions it turns into commands, whichever node took them in.

    Args:
        leases: which partitions are ours.
        bus: tells the owner that something waits, and this node what others took in.
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
        leases: Leases,
        bus: Bus,
        settings: InboxSettings | None = None,
    ) -> None:
        self._settings = settings or InboxSettings()
        self._leases = leases
        self._bus = bus
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
        self._lines = Lines(
            links,
            views,
            clock,
            alarms,
            metrics,
            self._settings.hold,
            self._begin,
            self._shared,
            lambda connection_id: bus.send(Wake("unordered", (connection_id,))),
            lambda partition: partition in self._asked or partition in self._being_read,
            lambda partition: self._ask((partition,)),
            lambda: max(self._failed_at, leases.failed_at),
        )
        self._under_way: set[str] = set()
        """What is being stored here for other nodes, by its key."""
        self._finished: set[int] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._asked: set[int] = set()
        self._being_read: set[int] = set()
        self._unread: set[int] = set()
        """Partitions that became ours and whose rows were not read since."""
        self._reading = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._others_until = 0.0
        self._failed_at = -math.inf
        """When the store was last found out of reach."""
        self._stopping = False
        self._prune_at = 0.0
        links.watch(self._linked)
        leases.watch(self._moved)
        self._stop_watching = bus.watch(self._hear)
        metrics.gauge("warmline_inbox_depth", INBOX_DEPTH, self._lines.depth)
        metrics.gauge("warmline_inbox_oldest_seconds", INBOX_OLDEST, self._lines.oldest_s)

    async def start(self) -> None:
        """Take up what was left unprocessed. Raises StoreUnavailable."""
        self._lines.distrust(await self._store.last_webhooks())
        await self._take_up(self._leases.held)
        self._lines.open()
        self._sweeper = asyncio.create_task(self._sweep(), name="inbox-sweeper")

    async def stop(self) -> None:
        """Stop where it is: rows stay in the store."""
        self._stopping = True
        tasks = [line.task for line in self._lines if line.task is not None]
        tasks += [task for task in (self._sweeper, self._reader) if task is not None]
        self._stop_watching()
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
            rank=receipt.rank,
            hold=receipt.hold,
            terminal=receipt.terminal,
        )
        if not self._leases.owns(row.partition):
            if await self._keep_for_another(row) is None:
                return False
            self._tell({row.partition})
            return True
        with self._lines.arriving(row):
            free = row.partition not in self._unread and self._lines.free(row)
            if free and await self._news.confirm(row, self._leases.epoch(row.partition)):
                self._count(row, "applied")
                return True
            row_id = await self._keep(row)
            if row_id is None:
                return False
            if not self._leases.owns(row.partition):
                self._tell({row.partition})
            elif self._shared() or row.partition in self._unread:
                # What another node took in before comes before.
                self._ask({row.partition})
            else:
                self._lines.add(replace(row, id=row_id))
        return True

    async def _keep(self, row: InboxRow) -> int | None:
        """Store a row; its sender may never deliver again what is refused because a connection broke."""

        async def accept() -> int | None:
            try:
                return await self._store.accept(row)
            except StoreUnavailable:
                self._failed_at = self._clock.monotonic()
                self._bus.send(Wake("outage"))
                raise

        return await until_stored(self._clock, accept, within_s=self._settings.accept_within_s)

    async def _keep_for_another(self, row: InboxRow) -> int | None:
        """Store a row of another node's partition. When that takes long the other node is told, and waits for it."""

        def announce() -> None:
            if row.key in self._under_way:
                self._bus.send(Wake("arriving", ("\n".join((row.connection_id, row.remote_id, row.key)),)))

        self._under_way.add(row.key)
        self._alarms.after(self._settings.announce_after_s, announce)
        try:
            return await self._keep(row)
        finally:
            self._under_way.discard(row.key)

    def _tell(self, partitions: Collection[int]) -> None:
        """Something waits for the owner, or for this node if it is that after all."""
        self._bus.send(Wake("inbox", tuple(map(str, sorted(partitions)))))
        self._ask(partitions)

    # --- ownership -------------------------------------------------------------------------------------------

    def _shared(self) -> bool:
        """Other nodes take webhooks in, too, as far as is known."""
        return not self._leases.alone or self._clock.monotonic() < self._others_until

    def _moved(self, gained: set[int], lost: set[int]) -> None:
        self._lines.drop(lost)
        if lost:
            # A node that was frozen may have taken something in as if it were still the owner.
            self._tell(lost)
        if gained and self._sweeper is not None:
            self._unread |= gained
            self._ask(gained)

    def _hear(self, signal: Poke | Wake) -> None:
        self._others_until = self._clock.monotonic() + _OTHERS_S
        match signal:
            case Wake(topic="inbox", keys=keys):
                self._ask({int(key) for key in keys})
            case Wake(topic="unordered", keys=keys):
                for connection_id in keys:
                    self._lines.expect_disorder(connection_id)
            case Wake(topic="arriving", keys=keys):
                for key in keys:
                    self._lines.expect(*key.split("\n", 2))
            case Wake(topic="outage"):
                self._failed_at = self._clock.monotonic()
            case Wake(topic="links"):
                self._look_for_parked()
            case Wake(topic=topic) if topic == EVERYTHING:
                self._ask(self._leases.held)
                self._look_for_parked()
            case _:
                pass

    def _look_for_parked(self) -> None:
        """Links were saved: perhaps that of a conversation whose news are parked here."""
        for line in self._lines:
            if line.parked:
                line.look_at, line.look_wait_s = 0.0, 1.0
                self._ask({line.partition})

    def _ask(self, partitions: Iterable[int]) -> None:
        """Read the rows of these partitions, as far as they are ours."""
        self._asked |= {partition for partition in partitions if self._leases.holds(partition)}
        if self._asked and not self._stopping and (self._reader is None or self._reader.done()):
            self._reader = asyncio.create_task(self._read_asked(), name="inbox-reader")

    async def _read_asked(self) -> None:
        while self._asked:
            self._being_read = asked = self._asked
            self._asked = set()
            unread: set[int] = set()
            try:
                await self._take_up(asked)
                for line in [line for line in self._lines if line.parked and line.task is None]:
                    await self._look_again(line)
            except StoreUnavailable:
                # The sweeper reads everything that is ours.
                _log.warning("inbox.read_failed", partitions=len(asked))
                self._failed_at = self._clock.monotonic()
                unread = asked
            finally:
                self._being_read = set()
                self._lines.were_read(asked - unread)
                self._lines.were_not_read(unread)

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
        if line.task is None and line.ready and not self._stopping and not line.gone():
            line.task = asyncio.create_task(self._run(line))

    async def _run(self, line: Line) -> None:
        again_s = None
        try:
            while line.ready:
                if not self._leases.certain:
                    again_s = self._leases.ttl_s / 3
                    break
                epoch = self._leases.epoch(line.partition)
                link = await self._links.by_remote(*line.key)
                if line.gone():
                    break
                if link is None:
                    await self._park(line)
                    break
                if line.parked:
                    self._unpark(line)
                await self._news.take(line.ready[0].row, link, epoch)
                if line.gone():
                    break
                line.ready.popleft()
                line.failures = 0
        except LeaseLost:
            self._lines.drop({line.partition})
        except StoreUnavailable:
            line.failures += 1
            again_s = STORE_BACKOFF.delay(line.failures, 0.5)
            _log.warning("inbox.store_unavailable", failures=line.failures)
        except Exception:
            _log.exception("inbox.failed", connection_id=line.connection_id)
            again_s = None if line.gone() else await self._failed(line)
        finally:
            line.task = None
        if line.gone():
            if line.left_at_work is not None:
                self._lines.ids.discard(line.left_at_work)
            self._ask({line.partition})
            return
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
                if line.gone():
                    return
                item = Held(replace(item.row, parked=True))
                self._metrics.inbox_rows.labels("parked").inc()
            line.ready.popleft()
            line.parked.append(item)
        line.look_at = self._clock.monotonic() + line.look_wait_s

    async def _failed(self, line: Line) -> float | None:
        """Count a failure of the first row against it; returns when to try again, None: at once (it is dead)."""
        item = line.ready[0]
        attempts = item.row.attempts + 1
        dead = attempts >= self._settings.crashes
        line.ready[0] = Held(replace(item.row, attempts=attempts))
        with contextlib.suppress(StoreUnavailable):
            if dead:
                await self._finish(item.row, "dead")
                if not line.gone():
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
        self._count(row, result)

    def _count(self, row: InboxRow, result: str) -> None:
        self._metrics.inbox_rows.labels(result).inc()
        if result == "applied":
            self._metrics.relayed(row.connection_id, Leg.DOWN, row.received_at)

    # --- looking after what waits ------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(self._settings.sweep_s)
            try:
                await self._take_up(self._leases.held, age_s=0.0 if self._shared() else self._settings.adopt_after_s)
                for line in [line for line in self._lines if line.parked and line.task is None]:
                    await self._look_again(line)
                await self._prune()
            except StoreUnavailable:
                _log.warning("inbox.sweep_failed")
            except Exception:
                _log.exception("inbox.sweep_failed")

    async def _prune(self) -> None:
        """Forget, hourly and on one node, what duplicates of long ago would be known by, and which topics were used."""
        if self._clock.monotonic() < self._prune_at or not self._leases.owns(0):
            return
        self._prune_at = self._clock.monotonic() + 3600
        await self._store.prune(inbox_before=self._clock.now() - round(self._settings.remember_s * 1000))
        await self._store.tidy_uses(self._clock.now())

    async def _take_up(self, partitions: Collection[int], *, age_s: float = 0.0) -> None:
        """Take rows of our partitions that are not in memory: of a crash, of another node, or just stored."""
        async with self._reading:
            self._finished.clear()
            asked = {p: self._leases.epoch(p) for p in partitions if self._leases.holds(p)}
            # Not even those that another node received later than now: its clock may be ahead.
            before = self._clock.now() - round(age_s * 1000) if age_s else math.inf
            rows = await self._store.inbox_pending(asked) if asked else ()
            # What was read before a partition went away and came back is older than what another node did to it.
            ours = {p for p, epoch in asked.items() if self._leases.unchanged(p, epoch)}
            for row in rows:
                if row.endpoint == TEXTS_ENDPOINT or row.partition not in ours:
                    continue
                if row.received_at <= before and row.id not in self._lines.ids and row.id not in self._finished:
                    self._take(row, fresh=row.partition not in self._unread)
            self._unread -= ours

    def _take(self, row: InboxRow, *, fresh: bool) -> None:
        if fresh and self._sweeper is not None and not row.parked and self._shared():
            self._lines.add(row)
        else:
            self._lines.take_up(row)

    async def _look_again(self, line: Line) -> None:
        # The sweeper and the reader may look at the same time.
        async with self._looking:
            oldest_allowed = self._clock.now() - round(self._settings.park_for_s * 1000)
            for item in [item for item in line.parked if item.row.received_at <= oldest_allowed]:
                await self._finish(item.row, "dead")
                # Its conversation may have become known meanwhile.
                if item in line.parked:
                    line.parked.remove(item)
            if line.parked and self._clock.monotonic() >= line.look_at:
                # Another node may have saved the link.
                line.look_wait_s = min(line.look_wait_s * 2, 60.0)
                line.look_at = self._clock.monotonic() + line.look_wait_s
                if await self._links.by_remote(*line.key) is not None and line.task is None:
                    self._unpark(line)
            self._lines.forget_if_idle(line)
