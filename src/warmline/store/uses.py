"""How often topics were used, in SQL; the same for both dialects.

Each partition of the outbox counts in rows of its own: only the node that holds it writes them, so nodes never wait for
each other over a topic that everybody asks for.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports.uses import DAY_MS, KEPT_DAYS, TopicUses

_USES = """
    SELECT topic, sum(CASE WHEN day > $2 THEN uses ELSE 0 END), sum(CASE WHEN day > $3 THEN uses ELSE 0 END),
           max(last_at)
    FROM topic_uses WHERE project_id = $1 AND day > $4 GROUP BY topic"""
_FORGET = "DELETE FROM topic_uses WHERE day < $1 RETURNING topic"


class UsesSql(ABC):
    """Implements `ports.UseStore` on reading and executing statements; `sql.TOPIC_USED` counts."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def topic_uses(self, project_id: str, now: int) -> dict[str, TopicUses]:
        """The uses of a project's topics."""
        today = now // DAY_MS
        rows = await self._read(_USES, project_id, today - 7, today - 30, today - KEPT_DAYS)
        return {topic: TopicUses(week=int(week), month=int(month), last_at=at) for topic, week, month, at in rows}

    async def forget_uses(self, *, before: int) -> int:
        """Forget old counts."""
        (rows,) = await self._execute((_FORGET, (before // DAY_MS,)))
        return len(rows)
