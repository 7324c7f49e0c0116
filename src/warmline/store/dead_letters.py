"""Dead letters in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports import OutboxRow
from warmline.store import records, sql

_COLUMNS = sql.OUTBOX_COLUMNS
_OF_CONNECTION = "($2 = '' OR replace(o.body, $2, '') <> o.body)"
_DEAD = f"SELECT {_COLUMNS} FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT $1"
_LETTERS = f"""
    SELECT {", ".join(f"o.{name}" for name in _COLUMNS.split(", "))}
    FROM outbox o JOIN catalog c ON c.session_id = o.session_id
    WHERE o.state = 'dead' AND c.project_id = $1 AND {_OF_CONNECTION} AND (CAST($3 AS bigint) = 0 OR o.id < $3)
    ORDER BY o.id DESC LIMIT $4"""
_COUNT_OF_PROJECT = f"""
    SELECT count(*) FROM (
        SELECT o.id FROM outbox o JOIN catalog c ON c.session_id = o.session_id
        WHERE o.state = 'dead' AND c.project_id = $1 AND {_OF_CONNECTION} LIMIT $3) AS found"""
_COUNT = """
    SELECT count(*) FROM (
        SELECT o.id FROM outbox o WHERE o.state = 'dead' AND ($1 = '' OR replace(o.body, $1, '') <> o.body)
        LIMIT $2) AS found"""
_LETTER = f"SELECT {_COLUMNS} FROM outbox WHERE id = $1 AND state = 'dead'"
_REVIVE = f"""
    UPDATE outbox SET state = 'pending', attempts = 0, next_at = 0,
        created_at = CASE WHEN CAST($2 AS bigint) = 0 THEN created_at ELSE CAST($2 AS bigint) END
    WHERE id = $1 AND state = 'dead' RETURNING {_COLUMNS}"""
_DISCARD = "DELETE FROM outbox WHERE id = $1 AND state = 'dead' RETURNING id"


class DeadLettersSql(ABC):
    """Implements `ports.DeadLetterStore` on reading and executing statements."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def dead(self, limit: int = 100) -> list[OutboxRow]:
        """Dead letters, newest first."""
        return [records.outbox_row(row) for row in await self._read(_DEAD, limit)]

    async def dead_letters(
        self, project_id: str, *, connection_id: str = "", before: int = 0, limit: int = 50
    ) -> list[OutboxRow]:
        """Those of a project's conversations, newest first."""
        rows = await self._read(_LETTERS, project_id, _named(connection_id), before, limit)
        return [records.outbox_row(row) for row in rows]

    async def dead_count(self, *, project_id: str = "", connection_id: str = "", most: int = 1000) -> int:
        """How many there are."""
        if project_id:
            ((count,),) = await self._read(_COUNT_OF_PROJECT, project_id, _named(connection_id), most)
        else:
            ((count,),) = await self._read(_COUNT, _named(connection_id), most)
        return int(count)

    async def dead_letter(self, row_id: int) -> OutboxRow | None:
        """The dead letter."""
        return next((records.outbox_row(row) for row in await self._read(_LETTER, row_id)), None)

    async def revive(self, row_id: int, *, at: int = 0) -> OutboxRow | None:
        """Make a dead letter pending again."""
        (rows,) = await self._execute((_REVIVE, (row_id, at)))
        return records.outbox_row(rows[0]) if rows else None

    async def discard(self, row_id: int) -> bool:
        """Forget a dead letter."""
        (rows,) = await self._execute((_DISCARD, (row_id,)))
        return bool(rows)


def _named(connection_id: str) -> str:
    """How the body of an effect names its connection; quotes in a customer's text are escaped there."""
    return f'"connection_id":"{connection_id}"' if connection_id else ""
