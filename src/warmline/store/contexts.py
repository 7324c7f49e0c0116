"""What pages vouched for in sessions, in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_CONTEXT = "SELECT context FROM session_contexts WHERE session_id = $1"
_SAVE = """
    INSERT INTO session_contexts (session_id, context) VALUES ($1, $2)
    ON CONFLICT (session_id) DO UPDATE SET context = excluded.context"""


class ContextsSql(ABC):
    """Implements `ports.ContextStore` on reading and executing statements."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def context(self, session_id: str) -> dict[str, object]:
        """The session's verified context."""
        for (context,) in await self._read(_CONTEXT, session_id):
            return msgspec.json.decode(context, type=dict[str, object])
        return {}

    async def save_context(self, session_id: str, context: Mapping[str, object]) -> None:
        """Insert or replace."""
        await self._execute((_SAVE, (session_id, msgspec.json.encode(context).decode())))
