"""The webhooks of each conversation over there, in the order in which they are processed (webex-byoc.md §11.5)."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from warmline.delivery.alarms import Alarms
from warmline.delivery.backoff import STORE_BACKOFF
from warmline.delivery.cache import Cache
from warmline.delivery.holding import Held, Hold, HoldSettings
from warmline.delivery.links import Links
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.views import SessionViews, handoff_in
from warmline.domain.handoff import HandoffState
from warmline.ports import Clock, InboxRow, inbox_partition

_REMEMBERED = 20_000


@dataclass(slots=True)
class Line:
    """The webhooks of one conversation: held to be put in order, ready in their order, parked for want of a link."""

    connection_id: str
    remote_id: str
    hold: Hold
    ready: deque[Held] = field(default_factory=deque)
    parked: list[Held] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    """Processes the first of `ready`."""
    arriving: int = 0
    """Received and not stored yet: what is held waits for them."""
    failures: int = 0
    look_at: float = 0.0
    """When its link is looked for again, monotonic seconds."""
    look_wait_s: float = 1.0
    left_at_work: int | None = None
    """The row that its task was at when its partition went away."""
    _gone: bool = False

    def gone(self) -> bool:
        """Another node has its partition now: nothing more of it is done here."""
        return self._gone

    def drop(self) -> list[int]:
        """Let go of everything but what is at work; returns the rows."""
        self._gone = True
        items = [*self.ready, *self.hold.items, *self.parked]
        at_work = self.ready[0] if self.task is not None and self.ready else None
        self.left_at_work = at_work.row.id if at_work is not None else self.left_at_work
        self.ready.clear()
        self.parked.clear()
        self.hold.items.clear()
        return [item.row.id for item in items if item is not at_work]

    @property
    def partition(self) -> int:
        """The part that owns it."""
        return inbox_partition(*self.key)

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by."""
        return (self.connection_id, self.remote_id)

    @property
    def idle(self) -> bool:
        """There is nothing in it."""
        return not (self.task or self.arriving or self.ready or self.hold.items or self.parked)

    def line_up(self, items: Iterable[Held]) -> None:
        """Put `items` among what is ready; what is at work stays the first."""
        at_work = [self.ready.popleft()] if self.ready and self.task is not None else []
        self.ready = deque([*at_work, *sorted([*self.ready, *items], key=lambda item: item.place)])


class Lines:
    """All lines with something in them.

    Until `open` is called everything that arrives is kept back: it must not overtake what was left by the process
    before.

    Args:
        begin: called when a line has something ready.
        shared: other nodes take in webhooks, too.
        unordered: called when a connection is found to deliver out of order.
        unread: rows of this partition may be in the store that are in no line yet.
        read: called to have a partition's rows read from the store; `were_read` follows, or `were_not_read`.
        failed_at: when the store was last found out of reach, monotonic seconds.
    """

    def __init__(
        self,
        links: Links,
        views: SessionViews,
        clock: Clock,
        alarms: Alarms,
        metrics: DeliveryMetrics,
        settings: HoldSettings,
        begin: Callable[[Line], None],
        shared: Callable[[], bool],
        unordered: Callable[[str], None],
        unread: Callable[[int], bool],
        read: Callable[[int], None],
        failed_at: Callable[[], float],
    ) -> None:
        self._links = links
        self._views = views
        self._clock = clock
        self._alarms = alarms
        self._metrics = metrics
        self._settings = settings
        self._begin = begin
        self._shared = shared
        self._unordered = unordered
        self._unread = unread
        self._read = read
        self._failed_at = failed_at
        self._lines: dict[tuple[str, str], Line] = {}
        self._early: list[InboxRow] | None = []
        self._newest: Cache[tuple[str, str], int] = Cache(_REMEMBERED)
        self._distrusted: dict[str, float] = {}
        self._expected: Cache[tuple[str, str], dict[str, float]] = Cache(_REMEMBERED)
        """Until when rows that other nodes are storing are waited for, by their keys."""
        self.ids: set[int] = set()
        """Rows that are in a line, or in the hands of what processes them."""

    def __iter__(self) -> Iterator[Line]:
        return iter(list(self._lines.values()))

    def get(self, key: tuple[str, str]) -> Line | None:
        """The line of a conversation, if there is anything in it."""
        return self._lines.get(key)

    def forget_if_idle(self, line: Line) -> None:
        """Drop a line that has nothing in it any more."""
        if line.idle:
            self._lines.pop(line.key, None)

    @contextlib.contextmanager
    def arriving(self, row: InboxRow) -> Iterator[None]:
        """While `row` is being stored, nothing of its conversation is let go that may belong after it."""
        line = self._of(row)
        line.arriving += 1
        try:
            yield
        finally:
            line.arriving -= 1
            self._release(line)
            self.forget_if_idle(line)

    def free(self, row: InboxRow) -> bool:
        """Nothing has to be processed before `row`, and its own place does not matter."""
        line = self._of(row)
        waiting = self._early is not None or line.task is not None or line.ready or line.parked
        return not (row.hold or waiting or self._shared())

    def add(self, row: InboxRow) -> None:
        """Take in a row that was just stored."""
        self._came(row)
        if self._early is not None:
            self._early.append(row)
            return
        if row.id in self.ids:
            return
        self.ids.add(row.id)
        line, item = self._of(row), Held(row)
        if not row.hold:
            line.ready.append(item)
            self._begin(line)
            return
        if not row.terminal:
            self._compare(row)
        self._hold(line, item, fresh=self._fresh(row))

    def take_up(self, row: InboxRow) -> None:
        """Take in a row that somebody else left in the store."""
        self._came(row)
        self.ids.add(row.id)
        self._hold(self._of(row), Held(row), fresh=False)

    def open(self) -> None:
        """What was left has been taken up: what came meanwhile joins it."""
        early, self._early = self._early or [], None
        for row in early:
            self.add(row)

    def drop(self, partitions: Collection[int]) -> None:
        """Partitions are not ours any more. What is at work comes to its end, or is refused (`Change.fence`)."""
        for line in [line for line in self._lines.values() if line.partition in partitions]:
            self.ids.difference_update(line.drop())
            del self._lines[line.key]

    def were_read(self, partitions: Collection[int]) -> None:
        """Rows of these partitions were read: what waited for that need not any more."""
        for line in self:
            if line.partition in partitions:
                self._release(line)

    def were_not_read(self, partitions: Collection[int]) -> None:
        """The store was out of reach: what waits for rows of these partitions goes on waiting."""
        for line in self:
            if line.partition in partitions:
                line.hold.looked_at = None
        if partitions:
            self._alarms.after(STORE_BACKOFF.delay(1, 0.5), partial(self.were_read, partitions))

    def depth(self) -> float:
        """How many rows are in lines, or at work."""
        return len(self.ids)

    def oldest_s(self) -> float:
        """The age of the oldest row that is not parked, in seconds; 0 without one."""
        waiting = (item.row.received_at for line in self for item in (*line.ready, *line.hold.items))
        oldest = min(waiting, default=None)
        return 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / 1000)

    def distrust(self, heard: Mapping[tuple[str, str], int]) -> None:
        """What came while nobody listened is delivered again, out of its order; what was seen before is forgotten.

        Args:
            heard: when each (connection, endpoint) was last heard of, milliseconds since the epoch.
        """
        since = self._clock.now() - round(self._settings.distrust_s * 1000)
        for (connection_id, _), at in heard.items():
            if at >= since:
                self.expect_disorder(connection_id)

    def expect_disorder(self, connection_id: str) -> None:
        """For some time, wait for earlier news of this connection as long as it takes."""
        self._distrusted[connection_id] = self._clock.monotonic() + self._settings.distrust_s

    def expect(self, connection_id: str, remote_id: str, key: str) -> None:
        """Another node is storing a row of this conversation: what belongs behind it waits, but not for ever."""
        now = self._clock.monotonic()
        known = self._expected.get((connection_id, remote_id)) or {}
        expected = {key: until for key, until in known.items() if until > now}
        expected[key] = now + self._settings.outage_window_ms / 1000
        self._expected.put((connection_id, remote_id), expected)

    def _came(self, row: InboxRow) -> None:
        expected = self._expected.get((row.connection_id, row.remote_id))
        if expected is not None:
            expected.pop(row.key, None)

    def _of(self, row: InboxRow) -> Line:
        key = (row.connection_id, row.remote_id)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(*key, Hold(self._settings))
        return line

    def _compare(self, row: InboxRow) -> None:
        """Notice news that are older than what came before them."""
        key = (row.connection_id, row.remote_id)
        newest = self._newest.get(key) or 0
        if row.event_at < newest:
            self.expect_disorder(row.connection_id)
            self._unordered(row.connection_id)
            self._metrics.reordered.labels(row.connection_id).inc()
        else:
            self._newest.put(key, row.event_at)

    def _fresh(self, row: InboxRow) -> bool:
        if self._clock.now() - row.event_at >= self._settings.fresh_age_ms:
            return False
        if self._clock.monotonic() < self._distrusted.get(row.connection_id, 0.0):
            return False
        link = self._links.known(row.connection_id, row.remote_id)
        if link is None:
            return False
        handoff = handoff_in(self._views.known(link.session_id), link.handoff_id)
        return handoff is not None and handoff.state is HandoffState.LIVE

    def _hold(self, line: Line, item: Held, *, fresh: bool) -> None:
        now = self._clock.monotonic()
        outage = now - self._failed_at() < self._settings.outage_s
        line.hold.add(item, now, fresh=fresh, shared=self._shared(), outage=outage)
        self._alarms.after(line.hold.due - now, partial(self._release, line))

    def _release(self, line: Line) -> None:
        hold, now = line.hold, self._clock.monotonic()
        if not hold.items or line.arriving or now < hold.due:
            return
        expected_until = max((self._expected.get(line.key) or {}).values(), default=now)
        if expected_until > now:
            self._alarms.after(expected_until - now, partial(self._release, line))
            return
        if self._shared() and hold.looked_at is None:
            # Who stored what belongs first may not have been heard, or not yet.
            hold.looked_at = now
            self._read(line.partition)
        patient_until = max(hold.due, hold.looked_at or 0.0) + self._settings.quiet_window_ms / 1000
        if self._unread(line.partition) and now < patient_until:
            return
        line.line_up(hold.take(now))
        self._begin(line)
        if hold.items:
            self._alarms.after(hold.due - now, partial(self._release, line))
