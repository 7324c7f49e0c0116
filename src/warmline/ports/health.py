"""What the store tells of itself and of what waits in it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """`now` is the database's own clock (epoch milliseconds), `schema` the number of the last migration."""

    version: str
    now: int
    size_bytes: int
    schema: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """How many rows, and since when the oldest (epoch milliseconds, 0: none)."""

    count: int = 0
    since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlogs:
    """What is not done: effects, webhooks, webhooks of conversations that nobody knows yet, and what was given up."""

    outbox: Unfinished
    inbox: Unfinished
    parked: int
    dead_effects: int
    dead_webhooks: int
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error code that deliveries wait or were given up for: how many, and when the latest of them was decided."""

    error: str
    count: int
    last_at: int


class HealthStore(Protocol):
    """Tells how it is."""

    async def facts(self) -> DatabaseFacts:
        """Of the database. Raises StoreUnavailable."""
        ...

    async def check_schema(self) -> None:
        """Raises ConfigError when another program has migrated the schema further than this one understands."""
        ...

    async def not_done(self) -> Backlogs:
        """Counts only: quick however much waits."""
        ...

    async def waiting_for(self, connection_id: str) -> Unfinished:
        """The effects that wait for a connection."""
        ...

    async def troubles(self, connection_id: str, limit: int = 5) -> list[Trouble]:
        """Why effects for a connection wait or were given up, the latest first."""
        ...
