"""What the database tells of itself, in SQL."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports.health import Backlogs, DatabaseFacts, Trouble, Unfinished
from warmline.store import migrate

_OUTBOX = "SELECT count(*), coalesce(min(created_at), 0) FROM outbox WHERE state = 'pending'"
_INBOX = "SELECT count(*), coalesce(min(received_at), 0) FROM inbox WHERE state = 'new'"
_PARKED = "SELECT count(*) FROM inbox WHERE state = 'parked'"
_DEAD_WEBHOOKS = "SELECT count(*) FROM inbox WHERE state = 'dead'"
_DEAD_EFFECTS = """
    SELECT count(*), coalesce((SELECT last_error FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT 1), '')
    FROM outbox WHERE state = 'dead'"""
_OF = "stream_key >= $1 AND stream_key < $2"
"""Streams of a connection begin with its id and a slash (`domain.effects.provider_stream`)."""
_WAITING_FOR = f"SELECT count(*), coalesce(min(created_at), 0) FROM outbox WHERE state = 'pending' AND {_OF}"
_TROUBLES = f"""
    SELECT last_error, count(*), max(created_at) FROM outbox WHERE last_error <> '' AND {_OF}
    GROUP BY last_error ORDER BY 3 DESC, 1 LIMIT $3"""


class HealthSql(ABC):
    """Implements `ports.HealthStore` on reading."""

    _dialect: str
    """ "sqlite" or "postgres"."""
    _facts: str
    """The query for version, clock (epoch milliseconds), size (bytes) and schema."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    async def facts(self) -> DatabaseFacts:
        """Of the database."""
        ((version, now, size_bytes, schema),) = await self._read(self._facts)
        return DatabaseFacts(version=version, now=int(now), size_bytes=int(size_bytes), schema=schema)

    async def check_schema(self) -> None:
        """Raises ConfigError when another program has migrated further than this one understands."""
        ((version, compatible_from),) = await self._read(migrate.READ_VERSION)
        migrate.outstanding(self._dialect, (version, compatible_from))

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

    async def waiting_for(self, connection_id: str) -> Unfinished:
        """The effects that wait for a connection."""
        ((count, since),) = await self._read(_WAITING_FOR, *_streams(connection_id))
        return Unfinished(count=count, since=since)

    async def troubles(self, connection_id: str, limit: int = 5) -> list[Trouble]:
        """Why effects for a connection wait or were given up."""
        rows = await self._read(_TROUBLES, *_streams(connection_id), limit)
        return [Trouble(error=error, count=count, last_at=at) for error, count, at in rows]


def _streams(connection_id: str) -> tuple[str, str]:
    """The bounds of the keys of a connection's streams."""
    return f"{connection_id}/", f"{connection_id}{chr(ord('/') + 1)}"
