"""`ports.Store` on top of four operations that SQLite and PostgreSQL give in their own ways."""

import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from typing import TypeVar, cast

import msgspec

from warmline.domain.errors import RuleViolation, StoreUnavailable
from warmline.domain.events import Recorded
from warmline.ports import (
    MAX_FILE_BYTES,
    Change,
    Committed,
    Connection,
    Connector,
    Ids,
    InboxRow,
    LateDelivery,
    Link,
    OutboxRow,
    SecretBox,
    SessionInfo,
    StoredFile,
    StoredSession,
    Timer,
    Transcript,
    TurnStart,
)
from warmline.store import codec, leases, records, sql
from warmline.store.batch import Accept, Apply, Put, Request, link_row
from warmline.store.catalog import CatalogSql
from warmline.store.contexts import ContextsSql
from warmline.store.customers import CustomersSql
from warmline.store.dead_letters import DeadLettersSql
from warmline.store.erasing import ErasingSql
from warmline.store.event_hooks import EventQueueSql
from warmline.store.health import HealthSql
from warmline.store.metrics import StoreMetrics
from warmline.store.people import PeopleSql
from warmline.store.project_secrets import ProjectSecretsSql
from warmline.store.sealed import SealedSql
from warmline.store.statistics import StatisticsSql
from warmline.store.texts import TextsSql
from warmline.store.uses import UsesSql

T = TypeVar("T")
Row = records.Row
Script = Generator[tuple[str, tuple[object, ...]], list[Row], T]
"""A transaction of its own, written as a generator: yields queries with arguments, gets their rows."""

_info_decoder = msgspec.json.Decoder(SessionInfo)


class SqlStore(
    PeopleSql,
    DeadLettersSql,
    ErasingSql,
    TextsSql,
    CatalogSql,
    StatisticsSql,
    CustomersSql,
    ContextsSql,
    UsesSql,
    ProjectSecretsSql,
    EventQueueSql,
    SealedSql,
    HealthSql,
):
    """Implements `ports.Store`; what every dialect has to add is abstract.

    With `reading`, it changes nothing, not even the schema, and may be open beside a server that runs; what would
    write raises StoreUnavailable.
    """

    def __init__(self, ids: Ids, secrets: SecretBox, *, reading: bool = False) -> None:
        self._ids = ids
        self._reading = reading
        self._secrets = secrets
        self._incarnation = ids.uuid()
        self._leaving: frozenset[int] = frozenset()
        self.metrics = StoreMetrics()

    @abstractmethod
    async def start(self) -> None:
        """Open, migrate."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was accepted, then close."""

    @abstractmethod
    async def _commit(self, request: Request[T]) -> T:
        """Join the next group commit."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Row]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _run(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in a transaction of its own."""

    def _check_writable(self) -> None:
        if self._reading:
            raise StoreUnavailable("the store was opened for reading only")

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store cannot be read."""
        await self._read(sql.PING)

    # sessions

    async def transact(self, change: Change) -> Committed:
        """Apply a change; see `ports.Store.transact`."""
        return await self._commit(Apply(change))

    async def session(self, session_id: str) -> StoredSession | None:
        """The session as of its last commit."""
        for snapshot, info, created_at, updated_at in await self._read(sql.SESSION, session_id):
            return StoredSession(
                session=codec.decode_session(snapshot),
                info=_info_decoder.decode(info),
                created_at=created_at,
                updated_at=updated_at,
            )
        return None

    async def events(self, session_id: str, after: int, limit: int = 1000) -> list[Recorded]:
        """Events with a sequence above `after`, in order."""
        return [codec.decode_recorded(*row) for row in await self._read(sql.EVENTS, session_id, after, limit)]

    async def turn_start(self, session_id: str, turn_id: str) -> TurnStart:
        """What the turn begins with."""
        ((memory, begun),) = await self._read(sql.TURN, session_id, turn_id)
        return TurnStart(memory=memory or b"", functions_started=bool(begun))

    async def mark_functions_started(self, session_id: str, turn_id: str) -> None:
        """Remember durably that this turn's functions began."""
        await self._commit(Put(sql.TURN_BEGUN, (session_id, turn_id)))

    async def turn_records(self, session_id: str) -> list[tuple[str, bytes]]:
        """(turn id, record) of the session's finished turns, in order."""
        return [(turn_id, record) for turn_id, record in await self._read(sql.TURN_RECORDS, session_id)]

    # outbox

    async def claim(self, node: str, ttl_ms: int, now: int) -> Mapping[int, int]:
        """Renew this node's leases and take free ones up to its share (`leases.claim`)."""

        def script() -> Script[leases.Claim]:
            yield sql.SAW_NODE, (node, now + ttl_ms)
            yield sql.FORGET_DEAD_NODES, (now,)
            ((live,),) = yield sql.LIVE_NODES, ()
            rows = yield sql.LEASES, ()
            claim = leases.claim(
                [leases.Lease(*row) for row in rows],
                node=node,
                incarnation=self._incarnation,
                live_nodes=live,
                now=now,
                leaving=self._leaving,
            )
            yield sql.RENEW_LEASES, (now + ttl_ms, list(claim.renewed))
            yield sql.TAKE_LEASES, (node, self._incarnation, now + ttl_ms, list(claim.taken))
            yield sql.GIVE_BACK_LEASES, (list(claim.freed),)
            return claim

        claim = await self._run(script)
        self._leaving = claim.leaving
        return claim.held

    async def release(self, node: str, *, keep: Iterable[int] = (), until: int = 0) -> None:
        """Give all leases back but those of `keep`, which are renewed."""
        kept = list(keep)
        await self._execute(
            (sql.KEEP_LEASES, (node, self._incarnation, until, kept)),
            (sql.FREE_LEASES, (node, self._incarnation, kept)),
            (sql.FORGET_NODE, (node,)),
        )
        self._leaving = frozenset()

    async def nodes(self, now: int) -> list[str]:
        """Names of the nodes that work on this database."""
        return [str(name) for (name,) in await self._read(sql.NODES, now)]

    async def pending(self, partitions: Iterable[int]) -> list[OutboxRow]:
        """Unsettled rows of these partitions, oldest first."""
        return [records.outbox_row(row) for row in await self._read(sql.PENDING, list(partitions))]

    async def reschedule(self, row_id: int, *, attempts: int, next_at: int, error: str) -> None:
        """Note a failed attempt."""
        await self._commit(Put(sql.RESCHEDULE, (row_id, attempts, next_at, error)))

    async def deliveries(self, session_id: str) -> list[tuple[OutboxRow, bool]]:
        """A session's effects that are not done, oldest first; True: given up."""
        return [(records.outbox_row(row[:-1]), bool(row[-1])) for row in await self._read(sql.DELIVERIES, session_id)]

    async def late_deliveries(self, session_id: str) -> list[LateDelivery]:
        """A session's effects that were done after failed attempts, oldest first."""
        return [
            LateDelivery(
                row_id=row_id,
                kind=kind,
                message_id=message_id,
                attempts=attempts,
                error=error,
                created_at=created_at,
                delivered_at=delivered_at,
            )
            for row_id, kind, message_id, attempts, error, created_at, delivered_at in await self._read(
                sql.LATE_DELIVERIES, session_id
            )
        ]

    # inbox

    async def accept(self, row: InboxRow) -> int | None:
        """Store a webhook; None for a duplicate."""
        return await self._commit(Accept(row))

    async def inbox_pending(self, partitions: Iterable[int] | None = None) -> list[InboxRow]:
        """Rows neither done nor dead, oldest first."""
        if partitions is None:
            return [records.inbox_row(row) for row in await self._read(sql.INBOX_PENDING)]
        asked = frozenset(partitions)
        rows = [records.inbox_row(row) for row in await self._read(sql.INBOX_OF, list(asked))]
        return [row for row in rows if row.partition in asked]

    async def inbox_unknown(self, connection_id: str, *, but: Collection[int] = ()) -> list[InboxRow]:
        """Those of them whose conversation has no link."""
        return [records.inbox_row(row) for row in await self._read(sql.INBOX_UNKNOWN, connection_id, list(but))]

    async def finish_inbox(self, row_id: int, *, state: str, attempts: int = 0) -> None:
        """Set a row's state without a session change."""
        if state == "done":
            await self._commit(Put(sql.WEBHOOK_DONE, (row_id, state, b"")))
        elif state in ("new", "parked", "dead"):
            await self._commit(Put(sql.WEBHOOK_STATE, (row_id, state, attempts)))
        else:
            raise ValueError(f"a webhook cannot be {state!r}")

    async def last_webhooks(self) -> dict[tuple[str, str], int]:
        """When the newest stored webhook came, by (connection id, endpoint)."""
        heard: dict[tuple[str, str], int] = {}
        path = ("", "")
        # One step in the index for each path, however many webhooks are remembered.
        while rows := await self._read(sql.NEXT_HEARD, *path):
            ((connection, endpoint, at),) = rows
            path = (connection, endpoint)
            heard[path] = at
        return heard

    async def prune(self, *, inbox_before: int) -> int:
        """Forget finished inbox rows received before that time."""
        (rows,) = await self._execute((sql.PRUNE_INBOX, (inbox_before,)))
        return len(rows)

    # timers

    async def timers(self, *, before: int | None = None) -> list[Timer]:
        """Armed timers."""
        rows = await (self._read(sql.TIMERS) if before is None else self._read(sql.TIMERS_BEFORE, before))
        return [
            Timer(key=key, session_id=session_id, kind=kind, due=due, handoff_id=handoff_id)
            for key, session_id, kind, due, handoff_id in rows
        ]

    async def arm(self, timer: Timer) -> None:
        """Arm or replace a timer outside of a change."""
        row = (timer.key, timer.session_id, timer.kind, timer.due, timer.handoff_id)
        await self._commit(Put(sql.ARM, row))

    async def put_off(self, key: str, due: int) -> None:
        """Let a timer fire later, if there is one."""
        await self._commit(Put(sql.PUT_OFF, (key, due)))

    async def disarm(self, key: str) -> None:
        """Forget a timer."""
        await self._commit(Put(sql.DISARM, (key,)))

    # links

    async def link(self, handoff_id: str) -> Link | None:
        """The link of a handoff."""
        return records.one_link(await self._read(sql.LINK, handoff_id))

    async def links_by_remote(self, connection_id: str, remote_id: str) -> list[Link]:
        """The links of a conversation on the contact centre's side."""
        rows = await self._read(sql.LINKS_BY_REMOTE, connection_id, remote_id)
        return [link for row in rows if (link := records.one_link([row])) is not None]

    async def open_links(self) -> list[Link]:
        """The links of all handoffs whose session has not ended."""
        return [link for row in await self._read(sql.OPEN_LINKS) if (link := records.one_link([row])) is not None]

    async def recent_links(self, since: int) -> list[Link]:
        """The links of sessions that changed since then, whatever became of their handoffs."""
        rows = await self._read(sql.RECENT_LINKS, since)
        return [link for row in rows if (link := records.one_link([row])) is not None]

    async def save_link(self, link: Link) -> None:
        """Insert or replace."""
        await self._commit(Put(sql.SAVE_LINK, link_row(link)))

    # files

    async def save_file(self, file: StoredFile) -> None:
        """Insert a file; durable when this returns."""
        if len(file.content) > MAX_FILE_BYTES:
            raise RuleViolation("file_too_large", f"a file must not be larger than {MAX_FILE_BYTES} bytes")
        f = file
        row = (f.id, f.session_id, f.name, f.mime_type, f.content, f.created_at, f.expires_at)
        await self._execute((sql.SAVE_FILE, row))

    async def file(self, file_id: str) -> StoredFile | None:
        """The file."""
        names = ("id", "session_id", "name", "mime_type", "content", "created_at", "expires_at")
        for row in await self._read(sql.FILE, file_id):
            return StoredFile(**dict(zip(names, row, strict=True)))
        return None

    async def save_transcript(self, transcript: Transcript) -> None:
        """Insert or replace a handoff's transcript."""
        t = transcript
        row = (t.handoff_id, t.session_id, t.connection_id, t.remote_id, t.ended_at, t.tries, t.next_at, t.content)
        await self._execute((sql.SAVE_TRANSCRIPT, row))

    async def transcripts_due(self, now: int, limit: int = 20) -> list[Transcript]:
        """Those to be asked for now."""
        return [records.transcript(row) for row in await self._read(sql.TRANSCRIPTS_DUE, now, limit)]

    async def transcripts(self, session_id: str) -> list[Transcript]:
        """Those of a session."""
        return [records.transcript(row) for row in await self._read(sql.TRANSCRIPTS, session_id)]

    async def forget_files(self, *, expired_by: int) -> int:
        """Forget files whose time had come by then."""
        (rows,) = await self._execute((sql.FORGET_FILES, (expired_by,)))
        return len(rows)

    # connections, connectors, settings

    async def connections(self) -> list[Connection]:
        """Those of contact centres, secrets opened."""
        return await self._connections(texts=False)

    async def text_connections(self) -> list[Connection]:
        """Those of the SMS channel."""
        return await self._connections(texts=True)

    async def _connections(self, *, texts: bool) -> list[Connection]:
        secrets: dict[str, dict[str, str]] = {}
        for connection_id, name, sealed in await self._read(sql.SEALED):
            secrets.setdefault(connection_id, {})[name] = self._secrets.open(sealed).decode()
        return [
            Connection(
                id=connection_id,
                provider=provider,
                name=name,
                project_id=project_id,
                values=cast(Mapping[str, str], json.loads(values)),
                secrets=secrets.get(connection_id, {}),
                state=state,
                state_reason=reason,
                created_at=created_at,
            )
            for connection_id, provider, name, project_id, values, state, reason, created_at in await self._read(
                sql.CONNECTIONS, texts
            )
        ]

    async def save_connection(self, connection: Connection) -> None:
        """Insert or replace; secrets are sealed."""
        c = connection
        row = (c.id, c.provider, c.name, c.project_id, codec.encode(c.values), c.state, c.state_reason, c.created_at)
        await self._execute((sql.SAVE_CONNECTION, row), (sql.FORGET_SECRETS, (c.id,)), *self._sealed(c.id, c.secrets))

    async def set_connection_state(self, connection_id: str, state: str, reason: str) -> None:
        """Store how a connection is."""
        await self._execute((sql.CONNECTION_STATE, (connection_id, state, reason)))

    async def save_secrets(self, connection_id: str, secrets: Mapping[str, str]) -> None:
        """Replace single secrets; durable when this returns."""
        await self._execute(*self._sealed(connection_id, secrets))

    def _sealed(self, connection_id: str, secrets: Mapping[str, str]) -> list[tuple[str, tuple[object, ...]]]:
        return [
            (sql.SEAL, (connection_id, name, self._secrets.seal(value.encode()))) for name, value in secrets.items()
        ]

    async def delete_connection(self, connection_id: str) -> None:
        """Remove it and its secrets."""
        await self._execute((sql.FORGET_SECRETS, (connection_id,)), (sql.DELETE_CONNECTION, (connection_id,)))

    async def connectors(self) -> list[Connector]:
        """All."""
        names = ("id", "token", "project_id", "host", "variant", "environment", "agent_name", "agent_avatar_url")
        return [
            Connector(**dict(zip(names, row, strict=False)), settings=codec.decode_mapping(row[-1]))
            for row in await self._read(sql.CONNECTORS)
        ]

    async def save_connector(self, connector: Connector) -> None:
        """Insert or replace."""
        c = connector
        row = (c.id, c.token, c.project_id, c.host, c.variant, c.environment, c.agent_name, c.agent_avatar_url)
        await self._execute((sql.SAVE_CONNECTOR, (*row, codec.encode(c.settings))))

    async def delete_connector(self, connector_id: str) -> None:
        """Remove it."""
        await self._execute((sql.DELETE_CONNECTOR, (connector_id,)))

    async def settings(self, prefix: str) -> dict[str, str]:
        """All values whose key begins so, by key."""
        return {str(key): str(value) for key, value in await self._read(sql.SETTINGS, prefix)}

    async def setting(self, key: str, default: Callable[[], str]) -> str:
        """A value made once per installation."""
        for (value,) in await self._read(sql.SETTING, key):
            return str(value)
        _, rows = await self._execute((sql.MAKE_SETTING, (key, default())), (sql.SETTING, (key,)))
        return str(rows[0][0])

    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Row]]:
        def script() -> Script[list[list[Row]]]:
            results = []
            for statement in statements:
                results.append((yield statement))
            return results

        return await self._run(script)
