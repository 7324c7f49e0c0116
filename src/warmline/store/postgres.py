"""The store in PostgreSQL, shared by several nodes: each has one writer with group commit (measurements.md §B.2)."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import asyncpg
import structlog

from warmline.domain.errors import ConfigError, RuleViolation, StoreUnavailable
from warmline.ports import HOLD_S, Ids, SecretBox
from warmline.store import codec, migrate, sql
from warmline.store.base import Row, Script, SqlStore
from warmline.store.batch import Known, Needs, Plan, Request, RowIds, SessionCache, Values
from warmline.store.postgres_words import PostgresWords

T = TypeVar("T")
log = structlog.get_logger(__name__)

MAX_BATCH = 512
READERS = 4
CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 15
_MIGRATION_TIMEOUT_S = 1800
ATTEMPTS = 3
"""How often a transaction is tried that lost against another node's (deadlock, the same session created)."""

_SAME_TIME_MS = 100
_MIGRATION_LOCK = 0x7761726D6C696E65
_URL = "WARMLINE_DATABASE_URL"
_SETTINGS = {
    "application_name": "warmline",
    "jit": "off",
    "lock_timeout": "8000",
    # A node that freezes within a transaction must not keep others from its sessions and leases.
    "idle_in_transaction_session_timeout": "3000",
}
_WRITER_SETTINGS = _SETTINGS | {
    # All that the writer does is look-ups by key; plans made while a table was empty must not scan it later.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

_HOLDER_SETTINGS = _SETTINGS | {
    # A node that freezes, or is cut off, must not hold for ever what others wait for.
    "idle_session_timeout": str(round(HOLD_S * 1000)),
}

_LOST = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_LOSING = (asyncpg.TransactionRollbackError, asyncpg.InvalidCachedStatementError, asyncpg.UniqueViolationError)
_REFUSED = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A request, and who waits for it."""

    request: Request[Any]
    future: asyncio.Future[Any]


class PostgresStore(PostgresWords, SqlStore):
    """Implements `ports.Store`. Sessions are locked as rows, leases fence the outbox."""

    def __init__(self, url: str, ids: Ids, secrets: SecretBox, *, reading: bool = False) -> None:
        super().__init__(ids, secrets, reading=reading)
        self._url = url
        self._sessions = SessionCache()
        self._waiting: deque[_Ticket] = deque()
        self._wake = asyncio.Event()
        self._open = False
        self._db: asyncpg.Connection | None = None
        self._committing = False
        self.machine_ns: Callable[[], int] = time.time_ns
        """This machine's clock, nanoseconds since the epoch."""

    async def start(self) -> None:
        """Connect, migrate. Raises ConfigError when the URL or the schema does not fit, else StoreUnavailable."""
        try:
            db = await self._connect(_SETTINGS)
            try:
                await (_check_schema(db) if self._reading else _migrate(db))
            finally:
                await db.close()
            self._readers = await asyncpg.create_pool(
                self._url,
                # With a least size the pool itself connects again, and logs each failure with its stack.
                min_size=0,
                max_size=READERS,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=_SETTINGS,
            )
        except _REFUSED as error:
            raise ConfigError(_URL, f"PostgreSQL refuses it: {error}") from error
        except (*_LOST, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"PostgreSQL cannot be used: {_text(error)}") from error
        self._open = True
        self._writer = asyncio.create_task(self._serve(), name="warmline-write")

    async def _connect(self, settings: dict[str, str]) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            statement_cache_size=256,
            server_settings=settings,
        )

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        if not self._open:
            return
        self._open = False
        self._wake.set()
        await self._writer
        if self._db is not None:
            await self._db.close()
        await self._readers.close()

    # reading, and transactions beside the writer

    _dialect = "postgres"
    _facts = """
        SELECT 'PostgreSQL ' || current_setting('server_version'), extract(epoch FROM clock_timestamp()) * 1000,
               pg_database_size(current_database()), version
        FROM schema_version"""

    _lock_tallies = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

    async def _read_within(self, seconds: float, query: str, *arguments: object) -> list[Row] | None:
        self._check_open()
        limit = min(seconds, COMMAND_TIMEOUT_S)
        try:
            rows: list[Row] = await self._readers.fetch(query, *arguments, timeout=limit)
        except TimeoutError as error:
            if seconds <= COMMAND_TIMEOUT_S:
                return None
            raise StoreUnavailable(f"reading failed: {_text(error)}") from error
        except (*_LOST, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"reading failed: {_text(error)}") from error
        return rows

    async def _read(self, query: str, *arguments: object) -> list[Row]:
        self._check_open()
        try:
            rows: list[Row] = await self._readers.fetch(query, *arguments)
        except (*_LOST, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"reading failed: {_text(error)}") from error
        return rows

    async def _run(self, script: Callable[[], Script[T]]) -> T:
        self._check_open()
        self._check_writable()
        try:
            async with self._readers.acquire() as db, db.transaction():
                return await _play(db, script())
        except (*_LOST, asyncpg.PostgresError) as error:
            raise _explain(error, certain=False) from error

    async def claim(self, node: str, ttl_ms: int, now: int) -> Mapping[int, int]:
        """Renew and take leases by the database's clock: those of the nodes' machines may differ."""
        return await super().claim(node, ttl_ms, now + await self._ahead())

    async def release(self, node: str, *, keep: Iterable[int] = (), until: int = 0) -> None:
        """Give leases back; `until` becomes the database's time."""
        await super().release(node, keep=keep, until=until + await self._ahead())

    async def nodes(self, now: int) -> list[str]:
        """Names of the nodes that work on this database, by its clock."""
        return await super().nodes(now + await self._ahead())

    async def _ahead(self) -> int:
        """How far the database's clock is ahead of this machine's, milliseconds; little is nothing."""
        asked = self.machine_ns()
        ((there,),) = await self._read("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        here = (asked + self.machine_ns()) // 2_000_000
        return there - here if abs(there - here) > _SAME_TIME_MS else 0

    def _forget_sessions(self, sessions: Sequence[str]) -> None:
        self._sessions.forget(sessions)

    async def scrub(self, *, most_bytes: int = 0) -> bool:
        """PostgreSQL's own vacuum does it, when it comes to it."""
        return False

    @asynccontextmanager
    async def exclusive(self, name: str, *, wait_s: float = 30.0) -> AsyncIterator[None]:
        """Hold `name` by an advisory lock, which lives as long as the connection that it has of its own."""
        self._check_open()
        self._check_writable()
        db: asyncpg.Connection | None = None
        try:
            try:
                async with asyncio.timeout(wait_s):
                    # The server gives up by itself what is not waited for any more.
                    db = await self._connect(_HOLDER_SETTINGS | {"lock_timeout": str(round(wait_s * 1000))})
                    await db.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", name, timeout=wait_s)
            except (*_LOST, asyncpg.PostgresError) as error:
                raise StoreUnavailable(f"{name} cannot be held: {_text(error)}") from error
            yield
        finally:
            if db is not None:
                db.terminate()

    def _check_open(self) -> None:
        if not self._open:
            raise StoreUnavailable("the store is not open")

    # the writer

    async def _commit(self, request: Request[T]) -> T:
        self._check_open()
        self._check_writable()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Ticket(request, future))
        self._wake.set()
        return await future

    async def _serve(self) -> None:
        while self._open or self._waiting:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
            if not batch:
                continue
            try:
                await self._write_group(batch)
            except Exception as error:
                # Nobody waits for ever for a writer that has died: the next group begins anew.
                log.exception("store_writer_failed", changes=len(batch))
                self._let_go()
                for ticket in batch:
                    _resolve(ticket, None, StoreUnavailable(f"writing failed: {type(error).__name__}", certain=False))

    async def _write_group(self, tickets: list[_Ticket]) -> None:
        failure: Exception = StoreUnavailable("not tried")
        for _ in range(ATTEMPTS):
            try:
                return await self._try_group(tickets)
            except Exception as error:
                failure = _explain(error, certain=not self._committing or _answered(error))
                await self._undo(error)
                if not isinstance(error, _LOSING):
                    break
        if isinstance(failure, StoreUnavailable):
            log.warning("store_write_failed", error=str(failure), changes=len(tickets))
            self.metrics.failed()
        if len(tickets) == 1 or isinstance(failure, StoreUnavailable):
            for ticket in tickets:
                _resolve(ticket, None, failure)
            return None
        for ticket in tickets:
            await self._write_group([ticket])
        return None

    async def _try_group(self, tickets: list[_Ticket]) -> None:
        needs = Needs()
        for ticket in tickets:
            ticket.request.ask(needs)
        if self._db is None or self._db.is_closed():
            self._db = await self._connect(_WRITER_SETTINGS)
        began = time.perf_counter()
        db = self._db
        if needs.sessions:
            await db.execute("BEGIN")
            plan = Plan(await self._know(db, needs), self._ids)
        else:
            plan = Plan(Known(), self._ids)
        planned: list[tuple[_Ticket, Any, Exception | None]] = []
        for ticket in tickets:
            try:
                planned.append((ticket, ticket.request.plan(plan), None))
            except Exception as error:
                planned.append((ticket, None, error))
        self._committing = not needs.sessions
        ids = await _write(db, plan)
        outcomes = [(ticket, reply and reply(ids), error) for ticket, reply, error in planned]
        if needs.sessions:
            self._committing = True
            await db.execute("COMMIT")
        self._committing = False
        self.metrics.committed(len(tickets), time.perf_counter() - began)
        self._sessions.update(plan.changed)
        for ticket, result, failure in outcomes:
            _resolve(ticket, result, failure)

    async def _know(self, db: asyncpg.Connection, needs: Needs) -> Known:
        known = Known()
        cached = {session_id: self._sessions.get(session_id) for session_id in needs.sessions}
        sequences = [-1 if session is None else session.last_sequence for session in cached.values()]
        for session_id, snapshot in await db.fetch(sql.SNAPSHOTS_POSTGRES, list(cached), sequences):
            session = cached[session_id] if snapshot is None else codec.decode_session(snapshot)
            if session is not None:
                known.sessions[session_id] = session
        self._sessions.update(known.sessions)
        if needs.changes:
            known.add_seen(await db.fetch(sql.SEEN_POSTGRES, *map(list, zip(*needs.changes, strict=True))))
        if needs.partitions:
            for partition, epoch, row_id in await db.fetch(
                sql.FENCE_POSTGRES, list(needs.partitions), list(needs.outbox)
            ):
                if row_id is None:
                    known.epochs[partition] = epoch
                else:
                    known.unsettled.add(row_id)
        return known

    async def _undo(self, error: Exception) -> None:
        self._committing = False
        self._sessions.clear()
        # A server that is starting answers a new connection with an error: the one before is closed then.
        if self._db is None or self._db.is_closed() or isinstance(error, _LOST):
            self._let_go()
            return
        try:
            if self._db.is_in_transaction():
                await self._db.execute("ROLLBACK")
        except (*_LOST, asyncpg.PostgresError):
            self._let_go()

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.terminate()
            self._db = None


async def _migrate(db: asyncpg.Connection) -> None:
    """Bring the schema up to date; nodes that start at the same time do it one after the other."""
    await db.execute(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})", timeout=_MIGRATION_TIMEOUT_S)
    await db.execute(migrate.VERSION_TABLE)
    found = await db.fetchrow(migrate.READ_VERSION)
    for migration in migrate.outstanding("postgres", found and tuple(found)):
        async with db.transaction():
            await db.execute(migration.script, timeout=_MIGRATION_TIMEOUT_S)


async def _check_schema(db: asyncpg.Connection) -> None:
    made = await db.fetchval("SELECT to_regclass('schema_version') IS NOT NULL")
    found = await db.fetchrow(migrate.READ_VERSION) if made else None
    migrate.check_current("postgres", found and tuple(found))


async def _play(db: asyncpg.Connection, script: Script[T]) -> T:
    rows: Any = None
    while True:
        try:
            query, arguments = script.send(rows)
        except StopIteration as done:
            result: T = done.value
            return result
        rows = await db.fetch(query, *arguments)


async def _write(db: asyncpg.Connection, plan: Plan) -> RowIds:
    """Write all rows of a plan in one statement."""
    parts: dict[sql.Write, Sequence[Values]] = dict(sorted(plan.writes().items(), key=lambda part: part[0].text))
    if plan.effects:
        parts[sql.NEW_EFFECT] = plan.effects
    if plan.webhooks:
        parts[sql.NEW_WEBHOOK] = [plan.webhooks[key] for key in sorted(plan.webhooks)]
    ids = RowIds()
    if not parts:
        return ids
    columns = [column for rows in parts.values() for column in zip(*rows, strict=True)]
    for row_id, connection_id, key in await db.fetch(_combine(tuple(parts)), *columns):
        if key is None:
            ids.effects.append(row_id)
        else:
            ids.webhooks[connection_id, key] = row_id
    ids.effects.sort()
    return ids


@lru_cache(maxsize=1024)
def _combine(writes: tuple[sql.Write, ...]) -> str:
    parts: list[str] = []
    results: list[str] = []
    count = 0
    for index, write in enumerate(writes):
        statement = sql.arrays(write, count)
        count += len(write.types)
        if write is sql.NEW_EFFECT:
            statement += " RETURNING id"
            results.append(f"SELECT id, NULL, NULL FROM w{index}")
        if write is sql.NEW_WEBHOOK:
            statement += " RETURNING id, connection_id, key"
            results.append(f"SELECT id, connection_id, key FROM w{index}")
        parts.append(f"w{index} AS ({statement})")
    return f"WITH {', '.join(parts)} {' UNION ALL '.join(results) or 'SELECT 1, NULL, NULL LIMIT 0'}"


def _resolve(ticket: _Ticket, result: object, error: Exception | None) -> None:
    if ticket.future.done():
        return
    if error is not None:
        ticket.future.set_exception(error)
    else:
        ticket.future.set_result(result)


def _answered(error: Exception) -> bool:
    """The server itself said that it did not do it."""
    gone = isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError)
    return isinstance(error, asyncpg.PostgresError) and not gone


def _explain(error: Exception, *, certain: bool) -> Exception:
    """What the caller shall get. `certain`: the transaction had not reached its commit."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return RuleViolation("conflict", f"contradicts what is stored: {_text(error)}")
    if isinstance(error, asyncpg.DataError):
        return RuleViolation("invalid_data", f"cannot be stored: {type(error).__name__}")
    if isinstance(error, (*_LOST, asyncpg.PostgresError)):
        return StoreUnavailable(f"writing failed: {_text(error)}", certain=certain)
    return error


def _text(error: Exception) -> str:
    """The error without its details, which quote values."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
