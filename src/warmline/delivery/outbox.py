"""The outbox worker: owns partitions by lease, gives committed rows to their streams, settles what came of them."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import structlog

from warmline import telemetry
from warmline.delivery.alarms import Alarms
from warmline.delivery.backoff import Backoff, until_stored
from warmline.delivery.continuity import Continuity
from warmline.delivery.doubts import Doubts
from warmline.delivery.leases import Leases
from warmline.delivery.metrics import OUTBOX_DEPTH, OUTBOX_OLDEST, DeliveryMetrics
from warmline.delivery.streams import Paused, Streams
from warmline.domain.effects import Effect, ForwardMessage, RunTurn, provider_stream
from warmline.domain.errors import LeaseLost, RuleViolation, StoreUnavailable
from warmline.domain.turn import TurnKind
from warmline.ports import (
    EVERYTHING,
    Bus,
    Change,
    Clock,
    Committed,
    Done,
    GiveUp,
    Handler,
    LateDelivery,
    OutboxRow,
    Outcome,
    Poke,
    Retry,
    Settled,
    Settlement,
    Store,
    Waiting,
    Wake,
    partition_of,
)

_log = structlog.get_logger(__name__)

_BACKOFF = Backoff((1.0, 3.0, 8.0, 20.0, 60.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """Seconds and counts of the outbox worker."""

    per_connection: int = 256
    """Calls of one connection (and turns of virtual agents) at once."""
    rows_per_stream: int = 200
    backoff: Backoff = _BACKOFF
    crashes: int = 8
    """Attempts of a row whose handler raises what nobody expected; then it is a dead letter."""
    drain_s: float = 10.0
    handover_s: float = 0.3
    """Between leaving partitions to another node and giving them back."""
    recovery_wait_s: float = 6.0
    """How long a predecessor's message waits for its confirmation: longer than a platform's first redeliveries."""


class Outbox:
    """Delivers effects: per stream oldest first and one in flight, whatever fails, also after a crash.

    Args:
        handlers: who carries out which kind of effect.
        leases: which partitions are ours.
        bus: tells the other nodes that something of their partitions waits.
        chance: random in [0, 1), for jitter.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        handlers: Mapping[type[Effect], Handler],
        leases: Leases,
        alarms: Alarms,
        metrics: DeliveryMetrics,
        bus: Bus,
        *,
        settings: OutboxSettings | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings or OutboxSettings()
        self._store = store
        self._clock = clock
        self._handlers = handlers
        self._leases = leases
        self._metrics = metrics
        self._chance = chance
        self._bus = bus
        self._renew_now = asyncio.Event()
        self._leaving: set[int] = set()
        self._streams = Streams(
            self._deliver,
            alarms,
            self._read_again,
            per_lane=self._settings.per_connection,
            bound=self._settings.rows_per_stream,
        )
        self._continuity = Continuity()
        self._reading = asyncio.Lock()
        self._asked: set[int] = set()
        self._doubts = Doubts(clock, self._settings.recovery_wait_s)
        self._reader: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stop_watching = bus.watch(self._hear)
        metrics.gauge("warmline_outbox_depth", OUTBOX_DEPTH, self._depth)
        metrics.gauge("warmline_outbox_oldest_seconds", OUTBOX_OLDEST, self._oldest_s)

    async def start(self) -> None:
        """Take leases, load what was left undone, begin. Raises StoreUnavailable."""
        await self._renew()
        # The other nodes give a newcomer its share.
        self._bus.send(Wake("leases"))
        self._keeper = asyncio.create_task(self._keep(), name="outbox-leases")

    async def stop(self) -> None:
        """Finish what is in flight; give each lease back as soon as nothing of it is under way."""
        self._streams.close()
        self._stop_watching()
        for task in (self._keeper, self._reader):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        time = asyncio.get_running_loop().time
        until = time() + self._settings.drain_s
        while (busy := self._streams.busy()) and (left := until - time()) > 0:
            await self._release(busy)
            await self._streams.ended(min(left, self._leases.ttl_s / 3))
        await self._streams.drain(0.0)
        await self._release()

    async def _release(self, busy: Collection[int] = ()) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._leases.release(keep=busy)
            self._bus.send(Wake("leases"))

    def offer(self, committed: Committed) -> None:
        """Take new rows after their commit, and let the session's handoff see what changed.

        Rows of other nodes' partitions are left to them.
        """
        self._continuity.observe(committed)
        others: set[int] = set()
        for row in committed.outbox:
            if self._leases.holds(row.partition):
                self._streams.add(row, next_in_line=self._continuity.next_in_line(row))
            else:
                others.add(row.partition)
        if others:
            self._bus.send(Wake("outbox", tuple(map(str, sorted(others)))))
        handoff = committed.session.handoff
        if handoff is not None:
            self.wake(provider_stream(handoff.connection_id, committed.session.id))

    def wake(self, stream_key: str) -> None:
        """What a stream waits for may have happened, here or on the node that has it."""
        if self._leases.holds(partition_of(stream_key)):
            self._streams.wake(stream_key)
        else:
            self._bus.send(Wake("streams", (stream_key,)))

    def _hear(self, signal: Poke | Wake) -> None:
        """Another node told something."""
        match signal:
            case Wake(topic="outbox", keys=keys):
                for partition in map(int, keys):
                    if self._leases.holds(partition):
                        self._read_again(partition)
            case Wake(topic="streams", keys=keys):
                for key in keys:
                    self._streams.wake(key)
            case Wake(topic="leases"):
                self._renew_now.set()
            case Wake(topic=topic) if topic == EVERYTHING:
                self._doubts.deaf()
                self._renew_now.set()
                self._streams.wake_all()
            case _:
                pass

    async def revive(self, row_id: int, *, at: int = 0) -> bool:
        """Try a dead letter again, for as long as if it had been decided `at` (0: when it was).

        False when there is none with this id.
        """
        row = await self._store.revive(row_id, at=at)
        if row is not None and self._leases.holds(row.partition):
            self._streams.revive(row)
        elif row is not None:
            self._bus.send(Wake("outbox", (str(row.partition),)))
        return row is not None

    # --- ownership -------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await self._until_renewal()
            try:
                await self._renew()
            except StoreUnavailable:
                self._doubts.deaf()
                _log.warning("outbox.lease_renewal_failed", node=self._leases.node)
            except Exception:
                _log.exception("outbox.lease_renewal_failed", node=self._leases.node)

    async def _until_renewal(self) -> None:
        """Wait for a third of a lease's time, less when there is reason to."""
        if self._leaving:
            # What is under way there may still be settled; then the other node need not wait.
            await self._clock.sleep(self._settings.handover_s)
            if not self._leaving & self._streams.busy():
                return
        sleep = asyncio.ensure_future(self._clock.sleep(self._leases.ttl_s / 3))
        wake = asyncio.ensure_future(self._renew_now.wait())
        try:
            await asyncio.wait((sleep, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            wake.cancel()

    async def _renew(self) -> None:
        self._renew_now.clear()
        leaving, self._leaving = self._leaving, set()
        gained, lost = await self._leases.renew()
        if leaving:
            self._bus.send(Wake("leases"))
        if gained & lost:
            _log.warning(
                "outbox.partitions_were_elsewhere",
                node=self._leases.node,
                hint="this node was away for a while; if it was not, another one has the same name (WARMLINE_NODE)",
            )
        self._doubts.moved(gained, lost)
        if lost:
            self._leaving = lost - gained
            self._streams.drop(lost)
            # A node that was frozen may have kept rows as if it were still the owner.
            self._bus.send(Wake("outbox", tuple(map(str, sorted(lost)))))
        if gained:
            self._streams.expect(gained)
        if gained or lost:
            _log.info("outbox.partitions", node=self._leases.node, gained=len(gained), lost=len(lost))
        # Also without news: the backstop for rows whose commit nobody here has seen.
        await self._read(self._leases.held)

    async def _read(self, partitions: Iterable[int]) -> None:
        async with self._reading:
            epochs = {p: self._leases.epoch(p) for p in partitions if self._leases.holds(p)}
            if not epochs:
                return
            self._streams.begin_read(epochs.keys())
            rows = await self._store.pending(epochs)
            # What was read before a partition went away and came back is older than what another node did to it.
            ours = {p for p, epoch in epochs.items() if self._leases.unchanged(p, epoch)}
            self._streams.refill(ours, self._doubts.marked([row for row in rows if row.partition in ours]))
            self._doubts.was_read(ours)

    def _read_again(self, partition: int) -> None:
        self._asked.add(partition)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_asked(), name="outbox-reader")

    async def _read_asked(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, set()
            try:
                await self._read(asked)
            except StoreUnavailable:
                self._doubts.deaf()
                # The next renewal reads everything that is ours.
                _log.warning("outbox.read_failed", partitions=len(asked))

    # --- one row ---------------------------------------------------------------------------------------------

    async def _deliver(self, row: OutboxRow) -> Paused | None:
        if row.attempts:
            row = self._doubts.given_time(row)
        late = self._late(row) if row.attempts or row.last_error else None
        epoch = self._leases.epoch(row.partition)
        settlement = Settlement(row_id=row.id, partition=row.partition, epoch=epoch, late=late)
        if not self._leases.certain:
            return Paused(row, self._leases.ttl_s / 3, wakeable=False)
        effect = type(row.effect).__name__
        waited_ms = self._clock.now() - row.created_at
        with telemetry.follow(
            "effect.attempt", _message_of(row.effect), effect=effect, row=row.id, waited_ms=waited_ms
        ):
            try:
                return await self._deliver_now(row, settlement, effect)
            finally:
                if not self._leases.unchanged(settlement.partition, settlement.epoch):
                    self._doubts.interrupted(row)

    def _late(self, row: OutboxRow) -> LateDelivery:
        """What is remembered of it if this attempt succeeds. One that was given up before counts its attempts anew."""
        return LateDelivery(
            row_id=row.id,
            kind=type(row.effect).__name__,
            message_id=_message_of(row.effect),
            attempts=max(1, row.attempts),
            error=row.last_error,
            created_at=row.created_at,
            delivered_at=self._clock.now(),
        )

    async def _deliver_now(self, row: OutboxRow, settlement: Settlement, effect: str) -> Paused | None:
        outcome = await self._attempt(row, settlement)
        match outcome:
            case Done():
                await self._settle(row, settlement)
                self._count(effect, "done")
            case Settled():
                self._count(effect, "done")
            case GiveUp(error=error):
                await self._settle(row, replace(settlement, dead=True, error=error))
                self._count(effect, "dead")
                _log.error("outbox.dead_letter", effect=effect, session_id=row.session_id, row=row.id, error=error)
            case Waiting(recheck_s=seconds):
                self._count(effect, "waiting")
                return Paused(row, seconds, wakeable=True)
            case Retry():
                self._count(effect, "retry")
                return await self._reschedule(row, outcome)
        return None

    async def _attempt(self, row: OutboxRow, settlement: Settlement) -> Outcome:
        handler = self._handlers.get(type(row.effect))
        if handler is None:
            return GiveUp("no_handler")
        try:
            return await handler(row, settlement)
        except LeaseLost:
            _log.warning("outbox.lease_lost", effect=type(row.effect).__name__, row=row.id)
            raise
        except StoreUnavailable:
            self._doubts.deaf()
            return Waiting(1.0)
        except RuleViolation as error:
            return GiveUp(error.code)
        except Exception:
            _log.exception("outbox.handler_failed", effect=type(row.effect).__name__, row=row.id)
            return Retry("internal_error") if row.attempts + 1 < self._settings.crashes else GiveUp("internal_error")

    async def _settle(self, row: OutboxRow, settlement: Settlement) -> None:
        change = Change(session_id=row.session_id, settle=settlement)
        try:
            await until_stored(self._clock, partial(self._store.transact, change))
        except RuleViolation:
            _log.warning("outbox.session_missing", session_id=row.session_id, row=row.id)

    async def _reschedule(self, row: OutboxRow, retry: Retry) -> Paused:
        attempts = row.attempts + 1
        after = retry.after
        if after is None:
            after = self._settings.backoff.delay(attempts, self._chance())
        row = replace(row, attempts=attempts, next_at=self._clock.now() + round(after * 1000), last_error=retry.error)
        _log.info("outbox.retry", effect=type(row.effect).__name__, row=row.id, attempts=attempts, error=retry.error)
        try:
            await self._store.reschedule(row.id, attempts=attempts, next_at=row.next_at, error=retry.error)
        except StoreUnavailable:
            self._doubts.deaf()
            _log.warning("outbox.attempt_not_noted", row=row.id)
        return Paused(row, after, wakeable=not retry.certain)

    # --- metrics ---------------------------------------------------------------------------------------------

    def _count(self, effect: str, outcome: str) -> None:
        self._metrics.outbox_outcomes.labels(effect, outcome).inc()

    def _depth(self) -> float:
        return sum(1 for _ in self._streams.rows())

    def _oldest_s(self) -> float:
        oldest = min((row.created_at for row in self._streams.rows()), default=None)
        return 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / 1000)


def _message_of(effect: Effect) -> str:
    """The customer's message that an effect is for; "": none."""
    match effect:
        case ForwardMessage(message_id=message_id) | RunTurn(turn_id=message_id, kind=TurnKind.MESSAGE):
            return message_id
        case _:
            return ""
