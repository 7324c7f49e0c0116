"""What projects remember of their customers, in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

_MEMORY = "SELECT memory FROM customer_memory WHERE project_id = $1 AND customer = $2"
_SAVE = """
    INSERT INTO customer_memory (project_id, customer, memory, updated_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (project_id, customer) DO UPDATE SET memory = excluded.memory, updated_at = excluded.updated_at"""
_FORGET = "DELETE FROM customer_memory WHERE customer = $1 RETURNING project_id"


class CustomersSql(ABC):
    """Implements `ports.CustomerStore` on reading and executing statements."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def customer_memory(self, project_id: str, customer: str) -> bytes | None:
        """What is remembered of the customer."""
        for (memory,) in await self._read(_MEMORY, project_id, customer):
            return bytes(memory)
        return None

    async def save_customer_memory(self, project_id: str, customer: str, memory: bytes, at: int) -> None:
        """Insert or replace."""
        await self._execute((_SAVE, (project_id, customer, memory, at)))

    async def forget_customer(self, customer: str) -> int:
        """Remove what every project remembers of the customer."""
        (rows,) = await self._execute((_FORGET, (customer,)))
        return len(rows)
