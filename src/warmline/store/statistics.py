"""Counts over the catalog in SQL; the same for both dialects."""

from collections import Counter
from collections.abc import Iterator, Sequence

from warmline.ports.statistics import HOUR_MS, Column, Leg, Period, RelayCount, Spread, Statistics
from warmline.store.tallies import Counts, TalliesSql

_ADD = """
    INSERT INTO relay_times (connection_id, hour, leg, bucket, messages) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (connection_id, hour, leg, bucket) DO UPDATE SET messages = relay_times.messages + excluded.messages"""
_RELAYED = """
    SELECT connection_id, leg, bucket, sum(messages) FROM relay_times
    WHERE connection_id = ANY($1) AND hour >= $2 AND hour < $3
    GROUP BY connection_id, leg, bucket ORDER BY connection_id, leg, bucket"""
_FORGET = "DELETE FROM relay_times WHERE hour < $1 RETURNING hour"
_REASONS = 10
"""So many of the most frequent are told."""
_NOTHING: Counts = Counter()


class StatisticsSql(TalliesSql):
    """Implements `ports.StatisticsStore` on reading and executing statements."""

    async def statistics(self, period: Period) -> Statistics:
        """The numbers of a period."""
        slots = await self.counts_by_slot(
            period.project_id, period.since, period.until, period.step, sandbox=period.sandbox
        )
        whole: Counts = Counter()
        for counts in slots.values():
            whole.update(counts)

        def number(kind: str, counts: Counts = whole) -> int:
            return counts[kind, "", ""]

        columns = tuple(
            Column(
                at=period.since + index * period.step,
                conversations=number("conversations", slots.get(index, _NOTHING)),
                handed_over=number("handed_over", slots.get(index, _NOTHING)),
            )
            for index in range(-(-(period.until - period.since) // period.step))
        )
        reasons = sorted(_of(whole, "reason"), key=lambda found: (-found[2], found[0]))
        return Statistics(
            conversations=number("conversations"),
            ended=number("ended"),
            contained=number("ended") - number("handed_over_ended"),
            messages=number("messages"),
            columns=columns,
            outcomes=tuple(sorted(_of(whole, "outcome"))),
            reasons=tuple((reason, count) for reason, _, count in reasons[:_REASONS]),
            accepted=_spread(sorted((int(ms), count) for ms, _, count in _of(whole, "accepted"))),
            joined=_spread(sorted((int(ms), count) for ms, _, count in _of(whole, "joined"))),
        )

    async def add_relay_counts(self, counts: Sequence[RelayCount]) -> None:
        """Add to what was counted."""
        # Always in the same order, so that nodes that add at the same time do not wait for each other in a circle.
        rows = sorted((c.connection_id, c.hour, c.leg.value, c.bucket, c.messages) for c in counts)
        if rows:
            await self._execute(*((_ADD, row) for row in rows))

    async def relay_spreads(
        self, connections: Sequence[str], *, since: int, until: int
    ) -> dict[tuple[str, Leg], Spread]:
        """By connection and leg."""
        rows = await self._read(_RELAYED, list(connections), since // HOUR_MS, -(-until // HOUR_MS))
        found: dict[tuple[str, Leg], list[tuple[int, int]]] = {}
        for connection_id, leg, bucket, messages in rows:
            found.setdefault((connection_id, Leg(leg)), []).append((round(2 ** (bucket / 4)), int(messages)))
        return {key: _spread(buckets) for key, buckets in found.items()}

    async def forget_relay_counts(self, *, before: int) -> int:
        """Forget old hours."""
        (rows,) = await self._execute((_FORGET, (before // HOUR_MS,)))
        return len(rows)


def _of(counts: Counts, wanted: str) -> Iterator[tuple[str, str, int]]:
    """The counts of a kind, with the two names of each."""
    return ((name, other, count) for (kind, name, other), count in counts.items() if kind == wanted)


def _spread(times: Sequence[tuple[int, int]]) -> Spread:
    """The spread of times of which so many were equal, in order."""
    count = sum(number for _, number in times)
    places = [count // 2 + 1, count * 95 // 100 + 1]
    found: list[int] = []
    seen = 0
    for time, number in times:
        seen += number
        while len(found) < len(places) and seen >= min(count, places[len(found)]):
            found.append(time)
    p50, p95 = found or (None, None)
    return Spread(count=count, p50=p50, p95=p95)
