"""Deadlines that survive a restart. A timer that fires is a hint: the session decides whether it still matters."""

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from dataclasses import replace

import structlog

from warmline.conversation.service import Conversations
from warmline.domain.commands import DeadlineReached, Silence
from warmline.domain.errors import SessionNotFound, StoreUnavailable, WarmlineError
from warmline.domain.texting import IDLE
from warmline.ports import EVERYTHING, Bus, Clock, Committed, Poke, Store, Timer, Wake, partition_of

_log = structlog.get_logger(__name__)

_RETRY_S = 5.0
_LEAP_MS = 5_000
"""By more than this the wall clock does not go ahead of the monotonic one by itself."""
_LOOK_S = 5.0
"""Timers that other nodes armed are looked for so often; those due before are told at once."""


class Timers:
    """Wakes up when a timer is due, reads what is due from the store, and acts on it.

    Of several nodes the owner of a session's partition acts.

    Args:
        owns: a partition is this node's as far as it knows; the session decides, whoever asks it.
        bus: between the node that arms a timer and the one that acts.
    """

    def __init__(
        self, store: Store, conversations: Conversations, clock: Clock, bus: Bus, owns: Callable[[int], bool]
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._clock = clock
        self._bus = bus
        self._owns = owns
        self._dues: list[int] = []
        """When to look, a heap."""
        self._next_look = 0
        self._resting: dict[str, float] = {}
        """Timers that could not be acted on, by key, and when they are tried again, monotonic seconds."""
        self._apart = self._clocks_apart()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; what was armed before is in the store."""
        self._conversations.watch(self._after_commit)
        self._stop_watching = self._bus.watch(self._hear)
        self._conversations.presence.start()
        self._look_at(self._clock.now())
        self._task = asyncio.create_task(self._run(), name="timers")

    async def stop(self) -> None:
        """Stop acting; rows stay."""
        if self._task is not None:
            self._stop_watching()
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._conversations.presence.stop()

    def _after_commit(self, committed: Committed) -> None:
        for change in committed.timers:
            if isinstance(change, Timer):
                self._armed(change)

    def _armed(self, timer: Timer) -> None:
        """A timer was armed here; its owner finds it in the store unless it is due before it looks."""
        partition = partition_of(timer.session_id)
        if timer.due - self._clock.now() >= 2 * _LOOK_S * 1000:
            return
        if self._owns(partition):
            self._look_at(timer.due)
        else:
            self._bus.send(Wake("timers", (str(partition),)))

    def _hear(self, signal: Poke | Wake) -> None:
        if isinstance(signal, Wake) and signal.topic in ("timers", EVERYTHING):
            self._look_at(self._clock.now())

    def _look_at(self, due: int) -> None:
        heapq.heappush(self._dues, due)
        if self._dues[0] == due:
            self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._pause(self._delay())
            self._notice_leap()
            now = self._clock.now()
            while self._dues and self._dues[0] <= now:
                heapq.heappop(self._dues)
            # From the beginning of a look, however long it takes: what it saw is as old as that.
            self._next_look = now + round(_LOOK_S * 1000)
            try:
                await self._look(now)
            except StoreUnavailable:
                _log.warning("timers.store_unavailable")
            except Exception:
                _log.exception("timers.failed")

    def _clocks_apart(self) -> float:
        """How far the wall clock is ahead of the monotonic one, milliseconds."""
        return self._clock.now() - self._clock.monotonic() * 1000

    def _notice_leap(self) -> None:
        """The wall clock was set forward, or the machine slept: clients were not silent for as long as it seems."""
        before, self._apart = self._apart, self._clocks_apart()
        if self._apart - before > _LEAP_MS:
            _log.warning("timers.clock_leapt", seconds=round((self._apart - before) / 1000))
            self._conversations.count_silence_anew()

    async def _pause(self, seconds: float) -> None:
        """Wait that long, or until an earlier timer is armed."""
        if seconds <= 0:
            return
        waits = (asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._wake.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _delay(self) -> float:
        soonest = min(self._dues[0], self._next_look) if self._dues else self._next_look
        return min(max(0.0, (soonest - self._clock.now()) / 1000), _LOOK_S)

    async def _look(self, now: int) -> None:
        """Act on what is due; remember when the next ones are, up to the next look."""
        rested = self._clock.monotonic()
        self._resting = {key: until for key, until in self._resting.items() if until > rested}
        for timer in await self._store.timers(before=now + round(2 * _LOOK_S * 1000)):
            if timer.key in self._resting or not self._owns(partition_of(timer.session_id)):
                continue
            if timer.due <= now:
                await self._fire(timer)
            elif timer.due not in self._dues:
                self._look_at(timer.due)

    async def _fire(self, timer: Timer) -> None:
        try:
            if timer.kind == IDLE:
                await self._check_idle(timer)
            else:
                # Not before its time, even if the clock was set back since: the session compares.
                at = max(self._clock.now(), timer.due)
                committed = await self._conversations.apply(
                    timer.session_id, DeadlineReached(at=at, handoff_id=timer.handoff_id)
                )
                if not committed.events:
                    await self._store.disarm(timer.key)
        except SessionNotFound:
            await self._store.disarm(timer.key)
        except WarmlineError as error:
            _log.warning("timers.fire_failed", key_kind=timer.kind, session_id=timer.session_id, code=error.code)
            self._resting[timer.key] = self._clock.monotonic() + _RETRY_S

    async def _check_idle(self, timer: Timer) -> None:
        stored = await self._conversations.session(timer.session_id)
        if stored is None or stored.session.ended:
            await self._store.disarm(timer.key)
            return
        if stored.session.line is not None:
            await self._check_silence(timer)
            return
        due = self._conversations.last_seen(timer.session_id) + self._conversations.idle_ms
        if due > self._clock.now():
            await self._again(timer, due)
            return
        await self._conversations.abandon(timer.session_id)
        await self._store.disarm(timer.key)

    async def _check_silence(self, timer: Timer) -> None:
        """On SMS no client is there: the session itself knows how long its customer has been silent."""
        at = max(self._clock.now(), timer.due)
        committed = await self._conversations.apply(timer.session_id, Silence(at=at))
        if committed.events:
            return
        if due := committed.session.silent_until:
            await self._again(timer, due)
        else:
            await self._store.disarm(timer.key)

    async def _again(self, timer: Timer, due: int) -> None:
        await self._store.put_off(timer.key, due)
        self._armed(replace(timer, due=due))
