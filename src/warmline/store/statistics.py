"""Counts over the catalog in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports.statistics import HOUR_MS, Column, Leg, Period, RelayCount, Spread, Statistics

_REAL = "environment <> $4"
"""Names the environment that does not count; none is called ''."""
_BEGAN = f"project_id = $1 AND started_at >= $2 AND started_at < $3 AND {_REAL}"
_ASKED = f"project_id = $1 AND requested_at >= $2 AND requested_at < $3 AND {_REAL}"
_COLUMNS = f"""
    SELECT (started_at - $2) / $5, count(*), sum(CASE WHEN stage = 'ended' THEN 1 ELSE 0 END), sum(messages)
    FROM catalog WHERE {_BEGAN} GROUP BY 1 ORDER BY 1"""
_HANDED_OVER = f"""
    SELECT (started_at - $2) / $5, count(*), sum(CASE WHEN stage = 'ended' THEN 1 ELSE 0 END)
    FROM catalog WHERE {_BEGAN} AND handoff <> '' GROUP BY 1 ORDER BY 1"""
"""Apart from the others, so that an index has all that it needs: the facts of a handoff are long."""
_OUTCOMES = f"""
    SELECT connection_id, outcome, count(*) FROM handoff_facts WHERE {_ASKED}
    GROUP BY connection_id, outcome ORDER BY connection_id, outcome"""
_REASONS = f"""
    SELECT reason, count(*) FROM handoff_facts WHERE {_ASKED} GROUP BY reason ORDER BY 2 DESC, 1 LIMIT 10"""
_SPREAD = """
    SELECT count(*), max(CASE WHEN place = n / 2 + 1 THEN ms END), max(CASE WHEN place = n * 95 / 100 + 1 THEN ms END)
    FROM (SELECT {time} - requested_at AS ms, row_number() OVER (ORDER BY {time} - requested_at) AS place,
                 count(*) OVER () AS n
          FROM handoff_facts WHERE {asked} AND {time} > 0) AS placed"""
_ADD = """
    INSERT INTO relay_times (connection_id, hour, leg, bucket, messages) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (connection_id, hour, leg, bucket) DO UPDATE SET messages = relay_times.messages + excluded.messages"""
_RELAYED = """
    SELECT connection_id, leg, bucket, sum(messages) FROM relay_times
    WHERE connection_id = ANY($1) AND hour >= $2 AND hour < $3
    GROUP BY connection_id, leg, bucket ORDER BY connection_id, leg, bucket"""
_FORGET = "DELETE FROM relay_times WHERE hour < $1 RETURNING hour"


class StatisticsSql(ABC):
    """Implements `ports.StatisticsStore` on reading and executing statements."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def statistics(self, period: Period) -> Statistics:
        """The numbers of a period."""
        within = (period.project_id, period.since, period.until, "" if period.sandbox else "sandbox")
        rows = await self._read(_COLUMNS, *within, period.step)
        found = {int(row[0]): int(row[1]) for row in rows}
        over = await self._read(_HANDED_OVER, *within, period.step)
        handed_over = {int(row[0]): int(row[1]) for row in over}
        count = -(-(period.until - period.since) // period.step)
        columns = tuple(
            Column(
                at=period.since + index * period.step,
                conversations=found.get(index, 0),
                handed_over=handed_over.get(index, 0),
            )
            for index in range(count)
        )
        outcomes = await self._read(_OUTCOMES, *within)
        reasons = await self._read(_REASONS, *within)
        ended = sum(int(row[2]) for row in rows)
        return Statistics(
            conversations=sum(found.values()),
            ended=ended,
            contained=ended - sum(int(row[2]) for row in over),
            messages=sum(int(row[3]) for row in rows),
            columns=columns,
            outcomes=tuple((connection, outcome, number) for connection, outcome, number in outcomes),
            reasons=tuple((reason, number) for reason, number in reasons),
            accepted=await self._spread("accepted_at", within),
            joined=await self._spread("joined_at", within),
        )

    async def _spread(self, time: str, within: tuple[object, ...]) -> Spread:
        ((count, p50, p95),) = await self._read(_SPREAD.format(asked=_ASKED, time=time), *within)
        return Spread(count=count, p50=p50, p95=p95)

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
            found.setdefault((connection_id, Leg(leg)), []).append((bucket, int(messages)))
        return {key: _spread(buckets) for key, buckets in found.items()}

    async def forget_relay_counts(self, *, before: int) -> int:
        """Forget old hours."""
        (rows,) = await self._execute((_FORGET, (before // HOUR_MS,)))
        return len(rows)


def _spread(buckets: Sequence[tuple[int, int]]) -> Spread:
    """The spread of times that are known by their buckets, in order; each counts as its bucket's upper bound."""
    count = sum(messages for _, messages in buckets)
    places = [count // 2 + 1, count * 95 // 100 + 1]
    found: list[int] = []
    seen = 0
    for bucket, messages in buckets:
        seen += messages
        while len(found) < len(places) and seen >= min(count, places[len(found)]):
            found.append(round(2 ** (bucket / 4)))
    return Spread(count=count, p50=found[0], p95=found[1])
