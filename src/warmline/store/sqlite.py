"""The store in one SQLite file: one writer thread with group commit, readers beside it (measurements.md §B.1)."""

import asyncio
import os
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import structlog

from warmline.domain.errors import ConfigError, RuleViolation, StoreUnavailable
from warmline.ports import Ids, SecretBox
from warmline.store import codec, migrate, sql
from warmline.store.base import Row, Script, SqlStore
from warmline.store.batch import Known, Needs, Plan, Request, RowIds, SessionCache, Values
from warmline.store.sqlite_file import empty_log, scrub, take_lock
from warmline.store.sqlite_words import SqliteWords

T = TypeVar("T")
log = structlog.get_logger(__name__)

MAX_BATCH = 512
MAX_ROWS = 128
FEW_ROWS = 16
"""So many are written by one statement, whatever their number."""
READERS = 3
_STEPS = 10_000
"""Of SQLite's machine, between two looks at the time: a fraction of a millisecond."""
_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32000",
)
_URL = "WARMLINE_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A request that wants to join a group commit, and who waits for it."""

    request: Request[Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Errand:
    """A transaction of its own, and who waits for it."""

    script: Callable[[], Script[Any]]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Chore:
    """Something that only a connection outside of a transaction can do, and who waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


_Outcome = tuple[asyncio.Future[Any], Any, Exception | None]


class SqliteStore(SqliteWords, SqlStore):
    """Implements `ports.Store`. One process at a time may have the file open; a lock beside it sees to that."""

    def __init__(self, path: Path, ids: Ids, secrets: SecretBox, *, reading: bool = False) -> None:
        super().__init__(ids, secrets, reading=reading)
        self._path = path
        self._sessions = SessionCache()
        self._queue: queue.SimpleQueue[_Ticket | _Errand | _Chore | None] = queue.SimpleQueue()
        self._open = False
        self._local = threading.local()
        self._readings: list[sqlite3.Connection] = []
        self._held: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self) -> None:
        """Take the lock, open, migrate. Raises ConfigError when the file cannot be used."""
        self._loop = asyncio.get_running_loop()
        if self._reading:
            await self._start_reading()
            return
        self._lock = take_lock(self._path)
        try:
            self._db = await asyncio.to_thread(self._prepare)
        except BaseException:
            os.close(self._lock)
            raise
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="warmline-read")
        self._thread = threading.Thread(target=self._serve, name="warmline-write", daemon=True)
        self._thread.start()
        self._open = True

    async def _start_reading(self) -> None:
        if not self._path.is_file():
            raise ConfigError(_URL, "there is no such database file yet")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="warmline-read")
        self._open = True
        try:
            tables = await self._read("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'")
            rows = await self._read(migrate.READ_VERSION) if tables[0][0] else []
            migrate.check_current("sqlite", tuple(rows[0]) if rows else None)
        except BaseException:
            await self.close()
            raise

    def _prepare(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=512)
            for pragma in _WRITER_PRAGMAS:
                db.execute(pragma)
            db.execute(migrate.VERSION_TABLE)
            found = db.execute(migrate.READ_VERSION).fetchone()
            for migration in migrate.outstanding("sqlite", found):
                db.executescript(f"BEGIN IMMEDIATE;\n{migration.script}COMMIT;")
            db.execute(sql.FREE_ALL_LEASES)
            db.execute(sql.FORGET_ALL_NODES)
        except sqlite3.Error as error:
            raise ConfigError(_URL, f"the database file cannot be used: {error}") from error
        return db

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        if not self._open:
            return
        self._open = False
        if not self._reading:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._readings:
            connection.close()
        if not self._reading:
            self._db.close()
            os.close(self._lock)

    # reading

    _dialect = "sqlite"
    _facts = """
        SELECT 'SQLite ' || sqlite_version(), (julianday('now') - 2440587.5) * 86400000,
               (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size()), version
        FROM schema_version"""

    async def _read(self, query: str, *arguments: object) -> list[Row]:
        self._check_open()
        return await self._loop.run_in_executor(self._readers, self._fetch, query, arguments)

    async def _read_within(self, seconds: float, query: str, *arguments: object) -> list[Row] | None:
        self._check_open()
        return await self._loop.run_in_executor(self._readers, self._fetch_within, seconds, query, arguments)

    def _fetch_within(self, seconds: float, query: str, arguments: Iterable[object]) -> list[Row] | None:
        until = perf_counter() + seconds
        db = self._reader()
        db.set_progress_handler(lambda: perf_counter() > until, _STEPS)
        try:
            return self._fetch(query, arguments)
        except StoreUnavailable:
            if perf_counter() > until:
                return None
            raise
        finally:
            db.set_progress_handler(None, 0)

    def _fetch(self, query: str, arguments: Iterable[object]) -> list[Row]:
        try:
            rows: list[Row] = self._reader().execute(sql.for_sqlite(query), _bind(arguments)).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"reading failed: {error}") from error
        return rows

    def _reader(self) -> sqlite3.Connection:
        """This thread's connection."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            uri = f"file:{quote(str(self._path.absolute()))}?mode=ro"
            try:
                db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            except sqlite3.Error as error:
                raise StoreUnavailable(f"reading failed: {error}") from error
            self._local.db = db
            self._readings.append(db)
        return db

    # writing: the event loop's side

    @asynccontextmanager
    async def exclusive(self, name: str, *, wait_s: float = 30.0) -> AsyncIterator[None]:
        """Hold `name`: no other process can write here, so that it is enough to hold it in this one."""
        self._check_open()
        self._check_writable()
        held = self._held[name]
        try:
            async with asyncio.timeout(wait_s):
                await held.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"{name} is held by another task") from error
        try:
            yield
        finally:
            held.release()

    async def _commit(self, request: Request[T]) -> T:
        self._check_open()
        self._check_writable()
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Ticket(request, future))
        return await future

    async def _run(self, script: Callable[[], Script[T]]) -> T:
        self._check_open()
        self._check_writable()
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Errand(script, future))
        return await future

    _before_erasing = ("PRAGMA secure_delete = ON",)
    _after_erasing = ("PRAGMA secure_delete = OFF",)

    def _forget_sessions(self, sessions: Sequence[str]) -> None:
        self._sessions.forget(sessions)

    async def scrub(self, *, most_bytes: int = 0) -> bool:
        """Write the file anew without what was deleted."""
        self._check_open()
        self._check_writable()
        whole = not most_bytes or self._path.stat().st_size <= most_bytes
        future: asyncio.Future[bool] = self._loop.create_future()
        self._queue.put(_Chore(scrub if whole else empty_log, future))
        return await future and whole

    def _check_open(self) -> None:
        if not self._open:
            raise StoreUnavailable("the store is not open")

    # writing: the thread's side

    def _serve(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            tickets = [item for item in batch if isinstance(item, _Ticket)]
            outcomes = self._write_group(tickets) if tickets else []
            outcomes.extend(self._write_alone(item) for item in batch if isinstance(item, _Errand))
            outcomes.extend(self._do(item) for item in batch if isinstance(item, _Chore))
            try:
                self._loop.call_soon_threadsafe(_resolve, outcomes)
            except RuntimeError:
                log.warning("store_results_dropped", count=len(outcomes), reason="event loop closed")
            if batch[-1] is None:
                return

    def _write_group(self, tickets: list[_Ticket]) -> list[_Outcome]:
        try:
            return self._try_group(tickets)
        except Exception as error:
            failure = self._undo(error)
            if isinstance(failure, StoreUnavailable):
                log.warning("store_write_failed", error=str(failure), changes=len(tickets))
                self.metrics.failed()
            if len(tickets) == 1 or isinstance(failure, StoreUnavailable):
                return [(ticket.future, None, failure) for ticket in tickets]
        return [outcome for ticket in tickets for outcome in self._write_group([ticket])]

    def _try_group(self, tickets: list[_Ticket]) -> list[_Outcome]:
        needs = Needs()
        for ticket in tickets:
            ticket.request.ask(needs)
        began = perf_counter()
        self._db.execute("BEGIN IMMEDIATE")
        plan = Plan(self._know(needs), self._ids)
        planned: list[_Outcome] = []
        for ticket in tickets:
            try:
                planned.append((ticket.future, ticket.request.plan(plan), None))
            except Exception as error:
                planned.append((ticket.future, None, error))
        ids = self._write(plan)
        outcomes = [(future, reply and reply(ids), error) for future, reply, error in planned]
        self._db.execute("COMMIT")
        self.metrics.committed(len(tickets), perf_counter() - began)
        self._sessions.update(plan.changed)
        return outcomes

    def _know(self, needs: Needs) -> Known:
        known = Known()
        missing: list[object] = []
        for session_id in needs.sessions:
            if (session := self._sessions.get(session_id)) is not None:
                known.sessions[session_id] = session
            else:
                missing.append(session_id)
        if missing:
            for session_id, snapshot in self._query(sql.SNAPSHOTS_SQLITE, missing):
                known.sessions[session_id] = codec.decode_session(snapshot)
            self._sessions.update(known.sessions)
        if needs.changes:
            known.add_seen(self._query(sql.SEEN_SQLITE, list(needs.changes)))
        if needs.partitions:
            ((epochs, unsettled),) = self._query(sql.FENCE_SQLITE, list(needs.partitions), list(needs.outbox))
            known.epochs = dict(msgspec.json.decode(epochs))
            known.unsettled = set(msgspec.json.decode(unsettled))
        return known

    def _query(self, query: str, *arguments: object) -> list[Any]:
        return self._db.execute(sql.for_sqlite(query), _bind(arguments)).fetchall()

    def _write(self, plan: Plan) -> RowIds:
        ids = RowIds()
        if plan.effects:
            ids.effects = self._insert(sql.NEW_EFFECT, plan.effects)
        if plan.webhooks:
            for known in self._query(sql.KNOWN_WEBHOOKS_SQLITE, list(plan.webhooks)):
                del plan.webhooks[known]
            row_ids = self._insert(sql.NEW_WEBHOOK, list(plan.webhooks.values()))
            ids.webhooks = dict(zip(plan.webhooks, row_ids, strict=True))
        for write, rows in plan.writes().items():
            self._insert(write, rows)
        return ids

    def _insert(self, write: sql.Write, rows: list[Values]) -> list[int]:
        """Write the rows; gives the ids of new ones.

        In few statements: each one gives up the interpreter's lock and may wait long to have it back while the
        event loop is busy. Many rows are written by powers of two, so that SQLite prepares only a handful of each.
        """
        ids: list[int] = []
        start = 0
        while start < len(rows):
            left = len(rows) - start
            size = left if left <= FEW_ROWS else min(1 << left.bit_length() - 1, MAX_ROWS)
            part = rows[start : start + size]
            start += size
            last = self._db.execute(_statement(write, size), list(chain.from_iterable(part))).lastrowid or 0
            ids.extend(range(last - size + 1, last + 1))
        return ids

    def _write_alone(self, errand: _Errand) -> _Outcome:
        try:
            script = errand.script()
            self._db.execute("BEGIN IMMEDIATE")
            rows: Any = None
            while True:
                try:
                    query, arguments = script.send(rows)
                except StopIteration as done:
                    self._db.execute("COMMIT")
                    return errand.future, done.value, None
                rows = self._query(query, *arguments)
        except Exception as error:
            return errand.future, None, self._undo(error)

    def _do(self, chore: _Chore) -> _Outcome:
        try:
            return chore.future, chore.work(self._db), None
        except Exception as error:
            return chore.future, None, self._undo(error)

    def _undo(self, error: Exception) -> Exception:
        """Roll back; say what the caller shall get."""
        self._sessions.clear()
        if self._db.in_transaction:
            with suppress(sqlite3.Error):  # then the next transaction cannot begin, and comes here again
                self._db.execute("ROLLBACK")
        return _explain(error)


def _explain(error: Exception) -> Exception:
    if isinstance(error, sqlite3.IntegrityError):
        return RuleViolation("conflict", f"contradicts what is stored: {error}")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError | sqlite3.DataError):
        unsynced = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC
        return StoreUnavailable(f"writing failed: {error}", certain=not unsynced)
    return error


@cache
def _statement(write: sql.Write, size: int) -> str:
    return sql.values(write, size)


def _bind(arguments: Iterable[object]) -> list[Any]:
    return [codec.encode(value) if isinstance(value, list) else value for value in arguments]


def _resolve(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
