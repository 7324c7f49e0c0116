"""How often topics were used, in SQL; the same for both dialects.

Each partition of the outbox counts in rows of its own: only the node that holds it writes them, so nodes never wait for
each other over a topic that everybody asks for. When a day is over, its rows become one for each topic.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import Any

from warmline.ports.uses import DAY_MS, KEPT_DAYS, TopicUses

_USES = """
    SELECT topic, sum(CASE WHEN day > $2 THEN uses ELSE 0 END), sum(CASE WHEN day > $3 THEN uses ELSE 0 END),
           max(last_at)
    FROM topic_uses WHERE project_id = $1 AND day > $4 GROUP BY topic"""
_FORGET = "DELETE FROM topic_uses WHERE day <= $1 RETURNING topic"
_TAKE = """
    DELETE FROM topic_uses WHERE day < $1 AND partition > $2
    RETURNING project_id, day, topic, uses, last_at"""
_ADD = """
    INSERT INTO topic_uses (project_id, day, topic, partition, uses, last_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (project_id, day, topic, partition) DO UPDATE SET uses = topic_uses.uses + excluded.uses,
        last_at = CASE WHEN excluded.last_at > topic_uses.last_at THEN excluded.last_at ELSE topic_uses.last_at END"""
_WHOLE = 0
"""The partition in whose row the others of a day come together."""

Script = Generator[tuple[str, tuple[object, ...]], list[Sequence[Any]], int]


class UsesSql(ABC):
    """Implements `ports.UseStore` on reading and transactions; `sql.TOPIC_USED` counts."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _run(self, script: Callable[[], Any]) -> Any:
        """Run a script in a transaction of its own."""

    async def topic_uses(self, project_id: str, now: int) -> dict[str, TopicUses]:
        """The uses of a project's topics."""
        today = now // DAY_MS
        rows = await self._read(_USES, project_id, today - 7, today - 30, today - KEPT_DAYS)
        return {topic: TopicUses(week=int(week), month=int(month), last_at=at) for topic, week, month, at in rows}

    async def tidy_uses(self, now: int) -> int:
        """Forget old counts, and put those of days that are over together."""
        today = now // DAY_MS

        def script() -> Script:
            forgotten = yield _FORGET, (today - KEPT_DAYS,)
            # Yesterday's turns may still be on their way into the store.
            taken = yield _TAKE, (today - 1, _WHOLE)
            days: dict[tuple[str, int, str], tuple[int, int]] = {}
            for project_id, day, topic, uses, at in taken:
                known, last_at = days.get((project_id, day, topic), (0, 0))
                days[project_id, day, topic] = known + uses, max(last_at, at)
            for (project_id, day, topic), (uses, last_at) in sorted(days.items()):
                yield _ADD, (project_id, day, topic, _WHOLE, uses, last_at)
            return len(forgotten)

        return int(await self._run(script))
