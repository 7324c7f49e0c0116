"""One actor per stream: oldest first, one in flight, and nobody waits for a stream that waits."""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial

import structlog

from warmline.delivery.alarms import Alarms
from warmline.domain.effects import ConnectionEffect
from warmline.domain.errors import LeaseLost
from warmline.ports import OutboxRow

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Paused:
    """The row is not settled; look at it again in `seconds`, or when the stream is woken if it is `wakeable`."""

    row: OutboxRow
    seconds: float
    wakeable: bool


Deliver = Callable[[OutboxRow], Awaitable[Paused | None]]
"""Delivers one row; None: it is settled. Raises LeaseLost when the row is not ours (any more)."""


class _State(Enum):
    IDLE = auto()
    QUEUED = auto()
    """Ready, but its lane is full."""
    RUNNING = auto()
    PAUSED = auto()


@dataclass(slots=True)
class _Stream:
    key: str
    partition: int
    lane: "_Lane"
    rows: list[tuple[int, OutboxRow]] = field(default_factory=list)
    """A heap by row id."""
    ids: set[int] = field(default_factory=set)
    """Rows in memory, the one in flight included."""
    in_flight: OutboxRow | None = None
    """The row that is being delivered."""
    state: _State = _State.IDLE
    pauses: int = 0
    wakeable: bool = False
    woken: bool = False
    behind: bool = False
    """The store has rows of this stream that memory has not; nothing is added but by reading."""
    missed: bool = False
    """A row was not taken since the last reading began."""
    lost: bool = False
    """The partition went away while a row was in flight."""


@dataclass(slots=True)
class _Lane:
    """The streams of one connection, or of the turns: so many at once, so that one stuck vendor exhausts nothing."""

    running: int = 0
    ready: deque[_Stream] = field(default_factory=deque)


class Streams:
    """The rows in memory and the actors that work on them.

    Args:
        deliver: delivers one row.
        alarms: wakes paused streams.
        reread: asked to read a partition from the store again, then to call `begin_read` and `refill`.
        per_lane: streams of one connection at work at once.
        bound: rows of one stream in memory; more of them are read from the store when these are done.
    """

    def __init__(
        self, deliver: Deliver, alarms: Alarms, reread: Callable[[int], None], *, per_lane: int, bound: int
    ) -> None:
        self._deliver = deliver
        self._alarms = alarms
        self._reread = reread
        self._per_lane = per_lane
        self._bound = bound
        self._streams: dict[str, _Stream] = {}
        self._lanes: dict[str, _Lane] = {}
        self._unread: set[int] = set()
        self._settled: set[int] = set()
        self._settled_before: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def add(self, row: OutboxRow, *, next_in_line: bool = True) -> None:
        """Take a new row. One that is known or settled already changes nothing.

        `next_in_line` False: the store may have older rows of its stream, which are read first.
        """
        if self._known(row):
            return
        stream = self._stream(row)
        if not next_in_line or stream.behind or row.partition in self._unread or len(stream.ids) >= self._bound:
            stream.behind = stream.missed = True
            if row.partition not in self._unread:
                self._begin(stream)
            return
        self._take(stream, row)
        self._begin(stream)

    def revive(self, row: OutboxRow) -> None:
        """Take a row that was settled as a dead letter and is pending again."""
        self._settled.discard(row.id)
        self._settled_before.discard(row.id)
        self.add(row)

    def wake(self, key: str) -> None:
        """What the stream waits for may have happened."""
        stream = self._streams.get(key)
        if stream is None:
            return
        stream.woken = True
        if stream.state is _State.PAUSED and stream.wakeable:
            self._enqueue(stream)

    def wake_all(self) -> None:
        """Whatever streams wait for may have happened unnoticed."""
        for key in list(self._streams):
            self.wake(key)

    def expect(self, partitions: Iterable[int]) -> None:
        """Partitions became ours: their rows in the store come before any new ones."""
        self._unread.update(partitions)

    def drop(self, partitions: Collection[int]) -> None:
        """Partitions are not ours any more."""
        self._unread.difference_update(partitions)
        for stream in [s for s in self._streams.values() if s.partition in partitions]:
            self._forget(stream)

    def begin_read(self, partitions: Collection[int]) -> None:
        """Pending rows of these partitions are about to be read; `refill` brings them. Never two at once."""
        self._settled_before, self._settled = self._settled, set()
        for stream in self._streams.values():
            if stream.partition in partitions:
                stream.missed = False

    def refill(self, partitions: Collection[int], rows: Iterable[OutboxRow]) -> None:
        """Merge what was read: `rows`, oldest first, are all that is pending in `partitions`."""
        full: set[str] = set()
        for row in rows:
            if row.stream_key in full or self._known(row):
                continue
            stream = self._stream(row)
            if len(stream.ids) >= self._bound:
                full.add(row.stream_key)
            else:
                self._take(stream, row)
        self._unread.difference_update(partitions)
        for stream in [s for s in self._streams.values() if s.partition in partitions]:
            stream.behind = stream.missed or stream.key in full
            self._begin(stream)

    async def drain(self, seconds: float) -> None:
        """Start nothing any more; give what is in flight so many seconds, then cancel it."""
        self.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def close(self) -> None:
        """Start nothing any more."""
        self._stopping = True

    def busy(self) -> set[int]:
        """Partitions with a row in flight."""
        return {stream.partition for stream in self._streams.values() if stream.in_flight is not None}

    async def ended(self, within_s: float) -> None:
        """Wait until one of the rows in flight came to its end, but no longer than that."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)

    def rows(self) -> Iterator[OutboxRow]:
        """The unsettled rows in memory, in no order."""
        for stream in self._streams.values():
            if stream.in_flight is not None:
                yield stream.in_flight
            yield from (row for _, row in stream.rows)

    def _known(self, row: OutboxRow) -> bool:
        # A reading may be older than a settlement, and a commit's observer may be later than one.
        if row.id in self._settled or row.id in self._settled_before:
            return True
        stream = self._streams.get(row.stream_key)
        return stream is not None and row.id in stream.ids

    def _stream(self, row: OutboxRow) -> _Stream:
        stream = self._streams.get(row.stream_key)
        if stream is None:
            name = row.effect.connection_id if isinstance(row.effect, ConnectionEffect) else ""
            lane = self._lanes.setdefault(name, _Lane())
            stream = self._streams[row.stream_key] = _Stream(row.stream_key, row.partition, lane)
        return stream

    def _take(self, stream: _Stream, row: OutboxRow) -> None:
        heapq.heappush(stream.rows, (row.id, row))
        stream.ids.add(row.id)

    def _begin(self, stream: _Stream) -> None:
        """Set a stream that rests in motion; remove one that has nothing to do."""
        if stream.state is not _State.IDLE:
            return
        if stream.rows:
            self._enqueue(stream)
        elif stream.behind:
            self._reread(stream.partition)
        else:
            self._streams.pop(stream.key, None)

    def _enqueue(self, stream: _Stream) -> None:
        if self._stopping:
            return
        lane = stream.lane
        if lane.running >= self._per_lane:
            stream.state = _State.QUEUED
            lane.ready.append(stream)
            return
        lane.running += 1
        stream.state = _State.RUNNING
        task = asyncio.create_task(self._run(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: _Stream) -> None:
        paused = None
        try:
            while stream.rows and paused is None and not self._stopping:
                paused = await self._next(stream)
                if stream.lane.ready:
                    break
        except LeaseLost:
            stream.lost = True
        finally:
            stream.in_flight = None
            stream.state = _State.IDLE
            if stream.lost:
                self._forget(stream)
                self._reread(stream.partition)
            elif paused is not None:
                self._pause(stream, paused)
            self._leave(stream)

    async def _next(self, stream: _Stream) -> Paused | None:
        """Deliver the oldest row; returns a pause that is still needed."""
        _, row = heapq.heappop(stream.rows)
        stream.in_flight = row
        while True:
            stream.woken = False
            paused = await self._deliver(row)
            if paused is None:
                self._settled.add(row.id)
            if stream.lost:
                raise LeaseLost
            if paused is None:
                stream.ids.discard(row.id)
                return None
            row = paused.row
            if not (stream.woken and paused.wakeable):
                heapq.heappush(stream.rows, (row.id, row))
                return paused

    def _pause(self, stream: _Stream, paused: Paused) -> None:
        stream.state = _State.PAUSED
        stream.wakeable = paused.wakeable
        stream.pauses += 1
        self._alarms.after(paused.seconds, partial(self._resume, stream, stream.pauses))

    def _resume(self, stream: _Stream, pause: int) -> None:
        if stream.state is _State.PAUSED and stream.pauses == pause:
            self._enqueue(stream)

    def _leave(self, stream: _Stream) -> None:
        """Give the place in the lane to the stream that has waited longest for it."""
        lane = stream.lane
        lane.running -= 1
        while lane.ready and lane.running < self._per_lane and not self._stopping:
            ready = lane.ready.popleft()
            if ready.state is _State.QUEUED:
                self._enqueue(ready)
        if self._streams.get(stream.key) is stream:
            self._begin(stream)

    def _forget(self, stream: _Stream) -> None:
        if stream.state is _State.RUNNING:
            # Stays until the row in flight has come to its end: never two in flight, whoever comes next.
            stream.lost = True
            stream.rows.clear()
            stream.ids = {stream.in_flight.id} if stream.in_flight else set()
            return
        stream.rows.clear()
        stream.ids.clear()
        stream.lost = stream.behind = False
        stream.state = _State.IDLE
        self._streams.pop(stream.key, None)
