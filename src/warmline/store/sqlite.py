"""The store in one SQLite file: one writer thread with group commit, readers beside it (measurements.md §B.1)."""

import asyncio
import fcntl
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import structlog

from warmline.domain.errors import ConfigError, RuleViolation, StoreUnavailable
from warmline.ports import Ids, SecretBox
from warmline.store import codec, migrate, sql
from warmline.store.base import Row, Script, SqlStore
from warmline.store.batch import Known, Needs, Plan, Request, RowIds, SessionCache

T = TypeVar("T")
log = structlog.get_logger(__name__)

MAX_BATCH = 512
READERS = 3
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
    """Something the writer shall do, and who waits for it."""

    work: Request[Any] | Callable[[], Script[Any]]
    future: asyncio.Future[Any]


_Outcome = tuple[_Ticket, Any, Exception | None]


class SqliteStore(SqlStore):
    """Implements `ports.Store`. One process at a time may have the file open; a lock beside it sees to that."""

    def __init__(self, path: Path, ids: Ids, secrets: SecretBox) -> None:
        super().__init__(ids, secrets)
        self._path = path
        self._sessions = SessionCache()
        self._queue: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._open = False
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []

    async def start(self) -> None:
        """Take the lock, open, migrate. Raises ConfigError when the file cannot be used."""
        self._loop = asyncio.get_running_loop()
        self._lock = _take_lock(self._path)
        try:
            self._db = await asyncio.to_thread(self._prepare)
        except BaseException:
            os.close(self._lock)
            raise
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="warmline-read")
        self._thread = threading.Thread(target=self._serve, name="warmline-write", daemon=True)
        self._thread.start()
        self._open = True

    def _prepare(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=256)
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
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in (*self._reading, self._db):
            connection.close()
        os.close(self._lock)

    # reading

    async def _read(self, query: str, *arguments: object) -> list[Row]:
        self._check_open()
        return await self._loop.run_in_executor(self._readers, self._fetch, query, arguments)

    def _fetch(self, query: str, arguments: Iterable[object]) -> list[Row]:
        try:
            db = getattr(self._local, "db", None)
            if db is None:
                uri = f"file:{quote(str(self._path.absolute()))}?mode=ro"
                db = self._local.db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
                self._reading.append(db)
            rows: list[Row] = db.execute(sql.for_sqlite(query), _bind(arguments)).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"reading failed: {error}") from error
        return rows

    # writing: the event loop's side

    async def _commit(self, request: Request[T]) -> T:
        return await self._submit(request)  # type: ignore[no-any-return]

    async def _run(self, script: Callable[[], Script[T]]) -> T:
        return await self._submit(script)  # type: ignore[no-any-return]

    def _submit(self, work: Request[Any] | Callable[[], Script[Any]]) -> asyncio.Future[Any]:
        self._check_open()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(_Ticket(work, future))
        return future

    def _check_open(self) -> None:
        if not self._open:
            raise StoreUnavailable("the store is not open")

    # writing: the thread's side

    def _serve(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            tickets = [ticket for ticket in batch if ticket is not None]
            group = [ticket for ticket in tickets if not callable(ticket.work)]
            outcomes = self._write_group(group) if group else []
            outcomes.extend(self._write_alone(ticket) for ticket in tickets if callable(ticket.work))
            try:
                self._loop.call_soon_threadsafe(_resolve, outcomes)
            except RuntimeError:
                log.warning("store_results_dropped", count=len(outcomes), reason="event loop closed")
            if len(tickets) < len(batch):
                return

    def _write_group(self, tickets: list[_Ticket]) -> list[_Outcome]:
        try:
            return self._try_group(tickets)
        except Exception as error:
            failure = self._undo(error)
            if len(tickets) == 1 or isinstance(failure, StoreUnavailable):
                return [(ticket, None, failure) for ticket in tickets]
        return [outcome for ticket in tickets for outcome in self._write_group([ticket])]

    def _try_group(self, tickets: list[_Ticket]) -> list[_Outcome]:
        needs = Needs()
        for ticket in tickets:
            ticket.work.ask(needs)  # type: ignore[union-attr]
        self._db.execute("BEGIN IMMEDIATE")
        plan = Plan(self._know(needs), self._ids)
        planned: list[_Outcome] = []
        for ticket in tickets:
            try:
                planned.append((ticket, ticket.work.plan(plan), None))  # type: ignore[union-attr]
            except Exception as error:
                planned.append((ticket, None, error))
        ids = self._write(plan)
        self._db.execute("COMMIT")
        self._sessions.update(plan.changed)
        return [(ticket, None if error else make(ids), error) for ticket, make, error in planned]

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
        if needs.outbox:
            known.add_fence(self._query(sql.FENCE, list(needs.partitions), list(needs.outbox)))
        return known

    def _query(self, query: str, *arguments: object) -> list[Any]:
        return self._db.execute(sql.for_sqlite(query), _bind(arguments)).fetchall()

    def _write(self, plan: Plan) -> RowIds:
        ids = RowIds()
        for row in plan.effects:
            ids.effects.append(self._db.execute(sql.NEW_EFFECT.sqlite, row).lastrowid or 0)
        for key, row in plan.webhooks.items():
            done = self._db.execute(sql.NEW_WEBHOOK.sqlite, row)
            if done.rowcount:
                ids.webhooks[key] = done.lastrowid or 0
        for write, rows in plan.writes().items():
            self._db.executemany(write.sqlite, rows)
        return ids

    def _write_alone(self, ticket: _Ticket) -> _Outcome:
        try:
            script = ticket.work()  # type: ignore[operator]
            self._db.execute("BEGIN IMMEDIATE")
            rows: Any = None
            while True:
                try:
                    query, arguments = script.send(rows)
                except StopIteration as done:
                    self._db.execute("COMMIT")
                    return ticket, done.value, None
                rows = self._query(query, *arguments)
        except Exception as error:
            return ticket, None, self._undo(error)

    def _undo(self, error: Exception) -> Exception:
        """Roll back; say what the caller shall get."""
        self._sessions.clear()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        return _explain(error)


def _explain(error: Exception) -> Exception:
    if isinstance(error, sqlite3.IntegrityError):
        return RuleViolation("conflict", f"contradicts what is stored: {error}")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError | sqlite3.DataError):
        unsynced = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC
        return StoreUnavailable(f"writing failed: {error}", certain=not unsynced)
    return error


def _take_lock(path: Path) -> int:
    """Lock `<path>.lock` for this process's life; the kernel frees it however the process dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(_URL, f"the database file cannot be created: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigError(
            _URL, "another process has this database open. Stop it, or use PostgreSQL for more than one process."
        ) from None
    return lock


def _bind(arguments: Iterable[object]) -> list[Any]:
    return [json.dumps(value) if isinstance(value, list) else value for value in arguments]


def _resolve(outcomes: list[_Outcome]) -> None:
    for ticket, result, error in outcomes:
        if ticket.future.done():
            continue
        if error is not None:
            ticket.future.set_exception(error)
        else:
            ticket.future.set_result(result)
