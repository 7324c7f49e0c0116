"""What the database tells of itself, in SQL."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports.health import Backlogs, DatabaseFacts, Unfinished

_OUTBOX = "SELECT count(*), coalesce(min(created_at), 0) FROM outbox WHERE state = 'pending'"
_INBOX = "SELECT count(*), coalesce(min(received_at), 0) FROM inbox WHERE state = 'new'"
_PARKED = "SELECT count(*) FROM inbox WHERE state = 'parked'"
_DEAD_WEBHOOKS = "SELECT count(*) FROM inbox WHERE state = 'dead'"
_DEAD_EFFECTS = """
    SELECT count(*), coalesce((SELECT last_error FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT 1), '')
    FROM outbox WHERE state = 'dead'"""


class HealthSql(ABC):
    """Implements `ports.HealthStore` on reading."""

    _facts: str
    """The query for version, clock (epoch milliseconds), size (bytes) and schema."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    async def facts(self) -> DatabaseFacts:
        """Of the database."""
        ((version, now, size_bytes, schema),) = await self._read(self._facts)
        return DatabaseFacts(version=version, now=int(now), size_bytes=int(size_bytes), schema=schema)

    async def not_done(self) -> Backlogs:
        """Counts."""
        ((outbox, outbox_since),) = await self._read(_OUTBOX)
        ((inbox, inbox_since),) = await self._read(_INBOX)
        ((parked,),) = await self._read(_PARKED)
        ((dead_webhooks,),) = await self._read(_DEAD_WEBHOOKS)
        ((dead_effects, last_error),) = await self._read(_DEAD_EFFECTS)
        return Backlogs(
            outbox=Unfinished(count=outbox, since=outbox_since),
            inbox=Unfinished(count=inbox, since=inbox_since),
            parked=parked,
            dead_effects=dead_effects,
            dead_webhooks=dead_webhooks,
            last_error=last_error,
        )
