"""Counts of hours and days that are over, in SQL; the same for both dialects.

Triggers take away the counts of an hour, and of its day, when something changes in it (migration 18). So what stands
there is right, and what is missing is counted from the catalog, by whoever asks or for good by `count_hours`.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from warmline.ports.statistics import COUNTED_DAYS, HOUR_MS

T = TypeVar("T")
Row = Sequence[Any]
Script = Generator[tuple[str, tuple[object, ...]], list[Row], T]
Counts = Counter[tuple[str, str, str]]
"""How often each thing was: its kind and up to two names of it."""

_DAY = 24
_AT_ONCE = 6
"""Hours that are counted in one transaction, which on SQLite keeps others from writing."""
_BEGAN = "project_id = $1 AND started_at >= $2 AND started_at < $3"
_ASKED = "project_id = $1 AND requested_at >= $2 AND requested_at < $3"
_STARTED = f"""
    SELECT (started_at - $2) / $4, environment = 'sandbox',
           count(*), sum(CASE WHEN stage = 'ended' THEN 1 ELSE 0 END), sum(messages)
    FROM catalog WHERE {_BEGAN} GROUP BY 1, 2"""
_HANDED_OVER = f"""
    SELECT (started_at - $2) / $4, environment = 'sandbox',
           count(*), sum(CASE WHEN stage = 'ended' THEN 1 ELSE 0 END)
    FROM catalog WHERE {_BEGAN} AND handoff <> '' GROUP BY 1, 2"""
"""Apart from the others, so that an index has all that it needs: the facts of a handoff are long."""
_HANDOFFS = f"""
    SELECT (requested_at - $2) / $4, environment = 'sandbox', connection_id, outcome, reason, count(*)
    FROM handoff_facts WHERE {_ASKED} GROUP BY 1, 2, 3, 4, 5"""
_WAITS = f"""
    SELECT slot, sandbox,
           CASE WHEN ms <= 200 THEN ms
                WHEN ms <= 2000 THEN (ms + 9) / 10 * 10
                WHEN ms <= 20000 THEN (ms + 99) / 100 * 100
                WHEN ms <= 200000 THEN (ms + 999) / 1000 * 1000
                ELSE (ms + 9999) / 10000 * 10000 END,
           count(*)
    FROM (SELECT (requested_at - $2) / $4 AS slot, environment = 'sandbox' AS sandbox, {{time}} - requested_at AS ms
          FROM handoff_facts WHERE {_ASKED} AND {{time}} > 0) AS waits
    GROUP BY 1, 2, 3"""
"""Up to 200 ms exactly, then rounded up by a twentieth at most: few different ones, which can be added up later."""
_COUNTED = "SELECT hours, at, sandbox, counts FROM tallies WHERE project_id = $1 AND at = ANY($2) AND hours = ANY($3)"
_KNOWN = "SELECT hours, at FROM tallies WHERE project_id = $1 AND at >= $2 AND at < $3 AND NOT sandbox"
_SAVE = """
    INSERT INTO tallies (project_id, at, hours, sandbox, counts) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (project_id, at, hours, sandbox) DO UPDATE SET counts = excluded.counts"""
_FORGET = "DELETE FROM tallies WHERE at < $1 RETURNING at"

_decoder = msgspec.json.Decoder(list[tuple[str, str, str, int]])


class TalliesSql(ABC):
    """Counts hours on reading and running scripts."""

    _lock_tallies = ""
    """A statement that keeps others from changing what happened on a day, named by $1, to the transaction's end."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Row]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Row]]:
        """Run statements in one transaction; gives the rows of each."""

    @abstractmethod
    async def _run(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in a transaction of its own."""

    async def counts_by_slot(
        self, project_id: str, since: int, until: int, step: int, *, sandbox: bool
    ) -> dict[int, Counts]:
        """What happened from `since` to before `until` (epoch ms), by the number of its `step` (ms) from `since` on."""
        if any(time % HOUR_MS for time in (since, until, step)):
            return _chosen(await self._beside(_counted(project_id, since, until, step)), sandbox=sandbox)
        first, last, width = since // HOUR_MS, until // HOUR_MS, step // HOUR_MS
        slots: dict[int, Counts] = {}

        async def take(hours: int, starts: Iterable[int]) -> set[int]:
            """Add what stands there of these; gives the starts of what does."""
            found = set()
            for _, at, of_sandbox, counts in await self._read(_COUNTED, project_id, list(starts), [hours]):
                found.add(at)
                if sandbox or not of_sandbox:
                    _add(slots.setdefault((at - first) // width, Counter()), _decoded(counts))
            return found

        whole = width % _DAY == 0 and first % _DAY == 0
        days = await take(_DAY, range(first, last - _DAY + 1, _DAY)) if whole else set()
        rest = [hour for hour in range(first, last) if hour - hour % _DAY not in days]
        counted = await take(1, rest)
        for start, end in _runs(hour for hour in rest if hour not in counted):
            beside = self._beside(_counted(project_id, start * HOUR_MS, end * HOUR_MS, HOUR_MS))
            for hour, counts in _chosen(await beside, sandbox=sandbox).items():
                _add(slots.setdefault((start + hour - first) // width, Counter()), counts)
        return slots

    async def count_hours(self, project_id: str, *, until: int) -> int:
        """Count some hours for good, the newest first; gives how many are left."""
        end = until // HOUR_MS
        first = (end // _DAY - COUNTED_DAYS) * _DAY
        known = {(hours, at) for hours, at in await self._read(_KNOWN, project_id, first, end)}
        left = [hour for hour in range(first, end) if (1, hour) not in known]
        if left:
            start, stop = list(_runs(left))[-1]
            start = max(start, stop - _AT_ONCE, (stop - 1) // _DAY * _DAY)
            await self._run(lambda: self._count(project_id, start, stop))
            if len(left) > stop - start:
                return len(left) - (stop - start)
        for day in range(first, end - _DAY + 1, _DAY):
            if (_DAY, day) not in known:
                await self._run(lambda day=day: self._add_up(project_id, day))  # type: ignore[misc]
        return 0

    def _count(self, project_id: str, start: int, end: int) -> Script[None]:
        """Count hours of one day."""
        yield from self._locked(project_id, start // _DAY * _DAY)
        found = yield from _counted(project_id, start * HOUR_MS, end * HOUR_MS, HOUR_MS)
        for hour in range(end - start):
            for sandbox in (False, True):
                yield _SAVE, (project_id, start + hour, 1, sandbox, _encoded(found.get((hour, sandbox), Counter())))

    def _add_up(self, project_id: str, day: int) -> Script[None]:
        """Make the counts of a day of those of its hours, if all are there."""
        yield from self._locked(project_id, day)
        rows = yield _COUNTED, (project_id, list(range(day, day + _DAY)), [1])
        if len({at for _, at, _, _ in rows}) < _DAY:
            return
        for sandbox in (False, True):
            whole: Counts = Counter()
            for _, _, of_sandbox, counts in rows:
                if bool(of_sandbox) is sandbox:
                    _add(whole, _decoded(counts))
            yield _SAVE, (project_id, day, _DAY, sandbox, _encoded(whole))

    def _locked(self, project_id: str, day: int) -> Script[None]:
        if self._lock_tallies:
            yield self._lock_tallies, (f"tallies/{project_id}/{day}",)

    async def forget_hours(self, *, before: int) -> int:
        """Forget counts of old hours."""
        (rows,) = await self._execute((_FORGET, (before // HOUR_MS,)))
        return len(rows)

    async def _beside(self, script: Script[T]) -> T:
        """Run a script that only reads, beside the writer."""
        rows: Any = None
        while True:
            try:
                query, arguments = script.send(rows)
            except StopIteration as done:
                result: T = done.value
                return result
            rows = await self._read(query, *arguments)


def _counted(project_id: str, since: int, until: int, step: int) -> Script[dict[tuple[int, bool], Counts]]:
    """Count from the catalog, by slot and whether it was in the sandbox."""
    within = (project_id, since, until, step)
    found: dict[tuple[int, bool], Counts] = {}

    def add(slot: int, sandbox: object, kind: str, count: int, name: str = "", other: str = "") -> None:
        counts = found.setdefault((int(slot), bool(sandbox)), Counter())
        counts[kind, name, other] += int(count)

    for slot, sandbox, conversations, ended, messages in (yield _STARTED, within):
        add(slot, sandbox, "conversations", conversations)
        add(slot, sandbox, "ended", ended)
        add(slot, sandbox, "messages", messages)
    for slot, sandbox, handed_over, ended in (yield _HANDED_OVER, within):
        add(slot, sandbox, "handed_over", handed_over)
        add(slot, sandbox, "handed_over_ended", ended)
    for slot, sandbox, connection_id, outcome, reason, handoffs in (yield _HANDOFFS, within):
        add(slot, sandbox, "outcome", handoffs, connection_id, outcome)
        add(slot, sandbox, "reason", handoffs, reason)
    for kind, time in (("accepted", "accepted_at"), ("joined", "joined_at")):
        for slot, sandbox, ms, handoffs in (yield _WAITS.format(time=time), within):
            add(slot, sandbox, kind, handoffs, str(ms))
    return found


def _chosen(found: dict[tuple[int, bool], Counts], *, sandbox: bool) -> dict[int, Counts]:
    chosen: dict[int, Counts] = {}
    for (slot, of_sandbox), counts in found.items():
        if sandbox or not of_sandbox:
            _add(chosen.setdefault(slot, Counter()), counts)
    return chosen


def _add(counts: Counts, more: Counts) -> None:
    for key, count in more.items():
        counts[key] += count


def _runs(hours: Iterable[int]) -> Iterable[tuple[int, int]]:
    """The first and the one after the last of hours that follow each other."""
    start = end = None
    for hour in hours:
        if hour != end and start is not None and end is not None:
            yield start, end
        start, end = (start if hour == end else hour), hour + 1
    if start is not None and end is not None:
        yield start, end


def _encoded(counts: Counts) -> str:
    return msgspec.json.encode([(*key, count) for key, count in sorted(counts.items())]).decode()


def _decoded(text: str) -> Counts:
    return Counter({(kind, name, other): count for kind, name, other, count in _decoder.decode(text)})
