"""Keeps the memory of customers in the store."""

from collections.abc import Mapping

import msgspec

from warmline.ports import Clock, CustomerStore


class StoredMemory:
    """The memory of customers as JSON in the store."""

    def __init__(self, store: CustomerStore, clock: Clock) -> None:
        """Keep it in `store`, marked with the time of `clock`."""
        self._store = store
        self._clock = clock

    async def recall(self, project_id: str, customer: str) -> Mapping[str, object]:
        """Give what is remembered of the customer; empty for a new one."""
        found = await self._store.customer_memory(project_id, customer)
        return msgspec.json.decode(found, type=dict[str, object]) if found else {}

    async def keep(self, project_id: str, customer: str, values: Mapping[str, object]) -> None:
        """Remember these plain values in the place of the earlier ones."""
        await self._store.save_customer_memory(project_id, customer, msgspec.json.encode(values), self._clock.now())
