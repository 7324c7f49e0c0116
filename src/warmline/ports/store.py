"""The store."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from warmline.domain.events import Recorded
from warmline.ports.catalog import CatalogStore
from warmline.ports.contexts import ContextStore
from warmline.ports.customers import CustomerStore
from warmline.ports.dead_letters import DeadLetterStore
from warmline.ports.erasing import ErasingStore
from warmline.ports.event_hooks import EventQueueStore
from warmline.ports.files import FileStore
from warmline.ports.health import HealthStore
from warmline.ports.people import PeopleStore
from warmline.ports.project_secrets import ProjectSecretStore
from warmline.ports.records import (
    Change,
    Committed,
    Connection,
    Connector,
    InboxRow,
    Link,
    OutboxRow,
    StoredSession,
    Timer,
    TurnStart,
)
from warmline.ports.sealed import SealedStore
from warmline.ports.statistics import StatisticsStore
from warmline.ports.texts import TextStore
from warmline.ports.transcripts import TranscriptStore
from warmline.ports.uses import UseStore

HOLD_S = 60.0
"""How long `Store.exclusive` may be held, in seconds."""


class Store(
    FileStore,
    DeadLetterStore,
    ErasingStore,
    TranscriptStore,
    PeopleStore,
    CatalogStore,
    StatisticsStore,
    TextStore,
    CustomerStore,
    ContextStore,
    EventQueueStore,
    HealthStore,
    UseStore,
    ProjectSecretStore,
    SealedStore,
    Protocol,
):
    """Where everything lies that must not be lost. One contract suite for every implementation."""

    async def start(self) -> None:
        """Open, migrate; raises ConfigError when the schema is newer than this program understands."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store cannot be read."""
        ...

    async def transact(self, change: Change) -> Committed:
        """Apply a change; the only way to change a session. Returns after the commit is on disk.

        Raises: SessionNotFound, LeaseLost, StoreUnavailable, and whatever `decide` raises.
        """
        ...

    async def session(self, session_id: str) -> StoredSession | None:
        """The session as of its last commit."""
        ...

    async def events(self, session_id: str, after: int, limit: int = 1000) -> list[Recorded]:
        """Events with a sequence above `after`, in order."""
        ...

    async def turn_start(self, session_id: str, turn_id: str) -> TurnStart:
        """What the turn begins with."""
        ...

    async def mark_functions_started(self, session_id: str, turn_id: str) -> None:
        """Remember durably that this turn's functions began."""
        ...

    async def turn_records(self, session_id: str) -> list[tuple[str, bytes]]:
        """(turn id, record) of the session's finished turns, in order."""
        ...

    # outbox
    async def claim(self, node: str, ttl_ms: int, now: int) -> Mapping[int, int]:
        """Renew this node's leases and take free ones up to its share; returns {partition: epoch} now held.

        Concurrent nodes never hold a partition at the same time; SQLite has one node that holds all 64.
        """
        ...

    async def release(self, node: str, *, keep: Iterable[int] = (), until: int = 0) -> None:
        """Give all leases back (orderly stop), but renew those of `keep`, where something is under way, to `until`."""
        ...

    async def nodes(self, now: int) -> list[str]:
        """Names of the nodes that hold or want leases at `now`: of those that run."""
        ...

    async def pending(self, partitions: Iterable[int]) -> list[OutboxRow]:
        """Unsettled rows of these partitions, oldest first."""
        ...

    async def reschedule(self, row_id: int, *, attempts: int, next_at: int, error: str) -> None:
        """Note a failed attempt."""
        ...

    # inbox
    async def accept(self, row: InboxRow) -> int | None:
        """Store a webhook (its `id` is ignored). Returns the new row's id, or None for a duplicate."""
        ...

    async def inbox_pending(self, partitions: Iterable[int] | None = None) -> list[InboxRow]:
        """Rows neither done nor dead, oldest first: all of them, or those of some partitions."""
        ...

    async def inbox_unknown(self, connection_id: str, *, but: Collection[int] = ()) -> list[InboxRow]:
        """Rows neither done nor dead of conversations that no handoff is linked to, oldest first, without those `but`.

        What it costs grows with the rows that wait, not with those that are remembered.
        """
        ...

    async def finish_inbox(self, row_id: int, *, state: str, attempts: int = 0) -> None:
        """Set a row's state without a session change: "done", "parked", "new" or "dead"."""
        ...

    async def last_webhooks(self) -> Mapping[tuple[str, str], int]:
        """When the newest stored webhook came, by (connection id, endpoint); forgotten ones do not count."""
        ...

    # timers
    async def timers(self, *, before: int | None = None) -> list[Timer]:
        """Armed timers, the next one first: all of them, or those due before then (ms since the epoch)."""
        ...

    async def arm(self, timer: Timer) -> None:
        """Arm or replace a timer outside of a change."""
        ...

    async def put_off(self, key: str, due: int) -> None:
        """Let a timer fire later (`due`, ms since the epoch); one that is not armed, or later already, stays so."""
        ...

    async def disarm(self, key: str) -> None:
        """Forget a timer."""
        ...

    # links
    async def link(self, handoff_id: str) -> Link | None:
        """The link of a handoff."""
        ...

    async def links_by_remote(self, connection_id: str, remote_id: str) -> list[Link]:
        """The links of a conversation on the contact centre's side: one, or one for each session that is in it."""
        ...

    async def recent_links(self, since: int) -> list[Link]:
        """The links of sessions that changed since then (ms since the epoch), also of handoffs that are over."""
        ...

    async def open_links(self) -> list[Link]:
        """The links of all handoffs of sessions that have not ended, those that are over included."""
        ...

    async def save_link(self, link: Link) -> None:
        """Insert or replace."""
        ...

    # connections, connectors, settings
    async def connections(self) -> list[Connection]:
        """Those of contact centres, secrets opened."""
        ...

    async def save_connection(self, connection: Connection) -> None:
        """Insert or replace; secrets are sealed."""
        ...

    async def set_connection_state(self, connection_id: str, state: str, reason: str) -> None:
        """Store how a connection is, and nothing else of it: another node may have changed its secrets meanwhile."""
        ...

    async def save_secrets(self, connection_id: str, secrets: Mapping[str, str]) -> None:
        """Replace single secrets; durable when this returns."""
        ...

    async def delete_connection(self, connection_id: str) -> None:
        """Remove it and its secrets."""
        ...

    async def connectors(self) -> list[Connector]:
        """All."""
        ...

    async def save_connector(self, connector: Connector) -> None:
        """Insert or replace."""
        ...

    async def delete_connector(self, connector_id: str) -> None:
        """Remove it."""
        ...

    async def settings(self, prefix: str) -> Mapping[str, str]:
        """All values of `setting` whose key begins so, by key."""
        ...

    async def setting(self, key: str, default: Callable[[], str]) -> str:
        """A value made once per installation: the stored one, else `default()` stored atomically."""
        ...

    def exclusive(self, name: str, *, wait_s: float = 30.0) -> AbstractAsyncContextManager[None]:
        """Hold `name`, which one holder has at a time, in all processes on this database; free when it is left.

        For work outside of the store that must not be done twice. A holder that dies gives it up at once, one that
        freezes after `HOLD_S`: what it does must take less. Entering raises StoreUnavailable when it is not free
        within `wait_s`.
        """
        ...

    async def prune(self, *, inbox_before: int) -> int:
        """Forget finished inbox rows received before that time; returns how many."""
        ...
