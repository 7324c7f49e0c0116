"""Deadlines that survive a restart. A timer that fires is a hint: the session decides whether it still matters."""

import asyncio
import contextlib
import heapq
from dataclasses import replace

import structlog

from warmline.conversation.service import Conversations
from warmline.domain.commands import DeadlineReached, Silence
from warmline.domain.errors import SessionNotFound, WarmlineError
from warmline.domain.texting import IDLE
from warmline.ports import Clock, Committed, Store, Timer

_log = structlog.get_logger(__name__)

_RETRY_S = 5.0


class Timers:
    """Holds all armed timers in memory, beside their rows, and acts on the due ones."""

    def __init__(self, store: Store, conversations: Conversations, clock: Clock) -> None:
        self._store = store
        self._conversations = conversations
        self._clock = clock
        self._armed: dict[str, Timer] = {}
        self._heap: list[tuple[int, str]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what was armed before and begin."""
        for timer in await self._store.timers():
            self._hold(timer)
        self._conversations.watch(self._after_commit)
        self._task = asyncio.create_task(self._run(), name="timers")

    async def stop(self) -> None:
        """Stop acting; rows stay."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _after_commit(self, committed: Committed) -> None:
        for change in committed.timers:
            if isinstance(change, Timer):
                self._hold(change)
            else:
                self._armed.pop(change, None)

    def _hold(self, timer: Timer) -> None:
        self._armed[timer.key] = timer
        heapq.heappush(self._heap, (timer.due, timer.key))
        if self._heap[0] == (timer.due, timer.key):
            self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._pause(self._delay())
            for timer in self._due():
                await self._fire(timer)

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
        if not self._heap:
            return 3600.0
        return max(0.0, (self._heap[0][0] - self._clock.now()) / 1000)

    def _due(self) -> list[Timer]:
        now = self._clock.now()
        due: list[Timer] = []
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            timer = self._armed.get(key)
            if timer is not None and timer.due == at:
                del self._armed[key]
                due.append(timer)
        return due

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
            self._hold(replace(timer, due=self._clock.now() + int(_RETRY_S * 1000)))

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
            again = replace(timer, due=due)
            await self._store.arm(again)
            self._hold(again)
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
            self._hold(replace(timer, due=due))
        else:
            await self._store.disarm(timer.key)
