"""Counts over the catalog in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports.statistics import Column, Period, Spread, Statistics

_REAL = "environment <> $4"
"""Names the environment that does not count; none is called ''."""
_BEGAN = f"project_id = $1 AND started_at >= $2 AND started_at < $3 AND {_REAL}"
_ASKED = f"project_id = $1 AND requested_at >= $2 AND requested_at < $3 AND {_REAL}"
_COLUMNS = f"""
    SELECT (started_at - $2) / $5, count(*), sum(CASE WHEN handoff = '' THEN 0 ELSE 1 END),
           sum(CASE WHEN stage = 'ended' THEN 1 ELSE 0 END),
           sum(CASE WHEN stage = 'ended' AND handoff = '' THEN 1 ELSE 0 END), sum(messages)
    FROM catalog WHERE {_BEGAN} GROUP BY 1 ORDER BY 1"""
_OUTCOMES = f"""
    SELECT connection_id, outcome, count(*) FROM handoff_facts WHERE {_ASKED}
    GROUP BY connection_id, outcome ORDER BY connection_id, outcome"""
_REASONS = f"""
    SELECT reason, count(*) FROM handoff_facts WHERE {_ASKED} GROUP BY reason ORDER BY 2 DESC, 1 LIMIT 10"""
_COUNT = "SELECT count(*) FROM handoff_facts WHERE {asked} AND {time} > 0"
_PLACE = """
    SELECT {time} - requested_at FROM handoff_facts WHERE {asked} AND {time} > 0
    ORDER BY {time} - requested_at LIMIT 1 OFFSET $5"""


class StatisticsSql(ABC):
    """Implements `ports.StatisticsStore` on reading."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    async def statistics(self, period: Period) -> Statistics:
        """The numbers of a period."""
        within = (period.project_id, period.since, period.until, "" if period.sandbox else "sandbox")
        rows = await self._read(_COLUMNS, *within, period.step)
        found = {int(row[0]): row for row in rows}
        count = -(-(period.until - period.since) // period.step)
        columns = tuple(
            Column(
                at=period.since + index * period.step,
                conversations=found[index][1] if index in found else 0,
                handed_over=int(found[index][2]) if index in found else 0,
            )
            for index in range(count)
        )
        outcomes = await self._read(_OUTCOMES, *within)
        reasons = await self._read(_REASONS, *within)
        return Statistics(
            conversations=sum(row[1] for row in rows),
            ended=sum(int(row[3]) for row in rows),
            contained=sum(int(row[4]) for row in rows),
            messages=sum(int(row[5]) for row in rows),
            columns=columns,
            outcomes=tuple((connection, outcome, number) for connection, outcome, number in outcomes),
            reasons=tuple((reason, number) for reason, number in reasons),
            accepted=await self._spread("accepted_at", within),
            joined=await self._spread("joined_at", within),
        )

    async def _spread(self, time: str, within: tuple[object, ...]) -> Spread:
        ((count,),) = await self._read(_COUNT.format(asked=_ASKED, time=time), *within)
        if not count:
            return Spread(count=0, p50=None, p95=None)
        query = _PLACE.format(asked=_ASKED, time=time)
        places = [min(count - 1, int(count * share)) for share in (0.5, 0.95)]
        ((p50,),), ((p95,),) = [await self._read(query, *within, place) for place in places]
        return Spread(count=count, p50=p50, p95=p95)
