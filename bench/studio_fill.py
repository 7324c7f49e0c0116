"""Puts the conversations of `stored` into a database with the real schema."""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import asyncpg

from stored import (
    COLUMNS,
    RECORD,
    Conversation,
    Template,
    catalog_row,
    conversations,
    event_rows,
    handoff_of,
    handoff_row,
    session_row,
    spoken_rows,
    templates,
)

_TABLES = ("sessions", "session_events", "catalog", "handoff_facts", "spoken", "turns")
_STEPS = {
    "session_events": """
        INSERT INTO session_events (session_id, sequence, id, at, type, body)
        SELECT c.id, t.sequence, {random_id}, c.began + t.at, t.type, replace(t.body, '@ref@', c.ref)
        FROM bench_conversations c JOIN bench_events t ON t.template = c.template
        WHERE c.number >= {first} AND c.number < {last}""",
    "turns": """
        INSERT INTO turns (session_id, turn_id, record)
        SELECT c.id, 'turn' || t.sequence, {record} FROM bench_conversations c
        JOIN bench_events t ON t.template = c.template AND t.type = 'VirtualAgentMessage'
        WHERE c.number >= {first} AND c.number < {last} AND t.sequence < 8""",
}
_SPOKEN_POSTGRES = """
    INSERT INTO spoken (session_id, message_id, words)
    SELECT c.id, t.message_id,
           CASE WHEN t.marked THEN to_tsvector('simple', replace(t.text, '@ref@', c.ref)) ELSE t.words END
           || array_to_tsvector(ARRAY['#' || (c.began + t.updated) / 86400000])
    FROM bench_conversations c JOIN bench_spoken t ON t.template = c.template
    WHERE c.number >= {first} AND c.number < {last}"""
_SPOKEN_SQLITE = """
    INSERT INTO spoken (session_id, message_id, text)
    SELECT c.id, t.message_id, replace(t.text, '@ref@', c.ref)
    FROM bench_conversations c JOIN bench_spoken t ON t.template = c.template
    WHERE c.number >= {first} AND c.number < {last}"""
_CONVERSATIONS = "CREATE TABLE bench_conversations (number bigint, id text, template int, began bigint, ref text)"
_EVENTS = "CREATE TABLE bench_events (template int, sequence int, at bigint, type text, body text)"
_BATCH = 20_000


def _rows(
    items: Iterable[Conversation], made: list[Template], project_id: str
) -> Iterator[tuple[list[Conversation], dict[str, list[tuple[object, ...]]]]]:
    """Batches of conversations with the rows that each has one of."""
    source = iter(items)
    while batch := list(itertools.islice(source, _BATCH)):
        facts = [f for item in batch if (f := handoff_of(item, made[item.template], project_id))]
        yield (
            batch,
            {
                "sessions": [session_row(item, made[item.template], project_id) for item in batch],
                "catalog": [catalog_row(item, made[item.template], project_id) for item in batch],
                "handoff_facts": [handoff_row(f) for f in facts],
            },
        )


async def fill_postgres(url: str, count: int, project_id: str, tell: Callable[[str], None]) -> None:
    """Fill a migrated database; its indexes are built at the end."""
    made = templates()
    db = await asyncpg.connect(url)
    await db.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '64MB'; SET synchronous_commit = off")
    indexes = [
        index
        for table in _TABLES
        for index in await db.fetch("SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename = $1", table)
    ]
    for table, name, _ in indexes:
        constraint = await db.fetchval("SELECT count(*) FROM pg_constraint WHERE conname = $1", name)
        await db.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"' if constraint else f'DROP INDEX "{name}"')
    for table in _TABLES:
        await db.execute(f"ALTER TABLE {table} SET UNLOGGED; ALTER TABLE {table} DISABLE TRIGGER USER")
    await db.execute(f"{_CONVERSATIONS}; {_EVENTS}")
    await db.execute(
        "CREATE TABLE bench_spoken"
        " (template int, message_id text, text text, words tsvector, marked boolean, updated bigint)"
    )
    await db.copy_records_to_table("bench_events", records=event_rows(made))
    await db.executemany(
        "INSERT INTO bench_spoken"
        " VALUES ($1, $2, $3::text, to_tsvector('simple', $3::text), $3::text LIKE '%@ref@%', $4)",
        [(number, *more, made[number].followed.entry.updated_at) for number, *more in spoken_rows(made)],
    )
    for batch, tables in _rows(conversations(count, _now()), made, project_id):
        marks = [(item.number, item.id, item.template, item.began, item.ref) for item in batch]
        await db.copy_records_to_table("bench_conversations", records=marks)
        for table, rows in tables.items():
            await db.copy_records_to_table(table, records=rows, columns=COLUMNS[table])
    tell("conversations are in")
    record = f"'\\x{RECORD.hex()}'::bytea"
    for table, text in {**_STEPS, "spoken": _SPOKEN_POSTGRES}.items():
        for first in range(0, count, 100_000):
            await db.execute(
                text.format(random_id="gen_random_uuid()::text", record=record, first=first, last=first + 100_000)
            )
        tell(f"{table} are in")
    for table, name, definition in indexes:
        await db.execute(definition)
        tell(f"{table}: {name}")
    for table in _TABLES:
        await db.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    await db.execute("DROP TABLE bench_conversations; DROP TABLE bench_events; DROP TABLE bench_spoken")
    await db.execute("VACUUM ANALYZE")
    await db.close()


async def fill_sqlite(path: Path, count: int, project_id: str, tell: Callable[[str], None]) -> None:
    """Fill a migrated database file."""
    await asyncio.to_thread(_fill_sqlite, path, count, project_id)
    tell("everything is in")


def _fill_sqlite(path: Path, count: int, project_id: str) -> None:
    made = templates()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    db.execute(_CONVERSATIONS)
    db.execute(_EVENTS)
    db.execute("CREATE TABLE bench_spoken (template int, message_id text, text text)")
    db.executemany("INSERT INTO bench_events VALUES (?, ?, ?, ?, ?)", event_rows(made))
    db.executemany("INSERT INTO bench_spoken VALUES (?, ?, ?)", spoken_rows(made))
    for batch, tables in _rows(conversations(count, _now()), made, project_id):
        marks = [(item.number, item.id, item.template, item.began, item.ref) for item in batch]
        db.executemany("INSERT INTO bench_conversations VALUES (?, ?, ?, ?, ?)", marks)
        for table, rows in tables.items():
            columns = COLUMNS[table]
            places = ", ".join("?" * len(columns))
            db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
    for text in (*_STEPS.values(), _SPOKEN_SQLITE):
        db.execute(
            text.format(random_id="lower(hex(randomblob(16)))", record=f"x'{RECORD.hex()}'", first=0, last=count)
        )
    for table in ("bench_conversations", "bench_events", "bench_spoken"):
        db.execute(f"DROP TABLE {table}")
    db.execute("COMMIT")
    db.close()


def _now() -> int:
    return time.time_ns() // 1_000_000
