"""Forgetting: a marker is written into every column of every table, and is nowhere afterwards, not even in the file."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.stores import NODE, TTL_MS, begin, change, hand_off, opened, post, settlement
from warmline.domain import commands as c
from warmline.domain.catalog import Entry, Followed, Spoken, Stage
from warmline.domain.errors import SessionNotFound
from warmline.ports import AuditEntry, Change, Erasure, InboxRow, SessionInfo, Store
from warmline.store.erasing import OF_SESSIONS

MARKER = "Zebrafinch"
THEIRS = "session-to-erase"
MARKED = "another-session-of-the-same"
OTHER = "session-that-stays"
NUMBER = "+15550123"

BY_NUMBER = {"sms_lines", "customer_memory"}
"""Tables of customers, not of sessions."""
EMPTIED = {"inbox"}
"""Webhooks keep their keys, so that a duplicate is known."""
COUNTED_AGAIN = {"tallies"}
"""Counts, by reasons too; they are forgotten with any row that was counted."""
OF_NOBODY = {
    "api_keys",
    "audit",
    "connection_secrets",
    "connections",
    "connectors",
    "event_receivers",
    "leases",
    "nodes",
    "project_secrets",
    "relay_times",
    "schema_version",
    "settings",
    "sign_ins",
    "topic_uses",
    "users",
}
"""Tables that hold nothing of customers, or ids only."""


class Database:
    """The database beside the store: its tables, a row of markers in each, and what it holds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else None

    @contextmanager
    def _sqlite(self) -> Iterator[sqlite3.Connection]:
        assert self.file is not None
        db = sqlite3.connect(self.file, timeout=10, isolation_level=None)
        try:
            yield db
        finally:
            db.close()

    async def _run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        if self.file is not None:
            with self._sqlite() as db:
                return db.execute(query, values).fetchall()
        connection = await asyncpg.connect(self._url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def tables(self) -> dict[str, dict[str, str]]:
        """The types of the columns of each table."""
        found: dict[str, dict[str, str]] = {}
        if self.file is not None:
            names = await self._run("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (name,) in names:
                if not name.startswith(("sqlite_", "spoken_words")):
                    rows = await self._run(f"PRAGMA table_info ({name})")
                    found[name] = {row[1]: row[2].lower() for row in rows}
            return found
        query = (
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
        )
        for table, column, kind in await self._run(query):
            found.setdefault(table, {})[column] = kind
        return found

    async def mark(self, table: str, columns: Mapping[str, str], given: Mapping[str, object]) -> None:
        """Insert a row with the marker in each column that takes text or bytes, but for what is `given`."""
        names, places, values = [], [], []
        for name, kind in columns.items():
            if name == "id" and kind in ("integer", "bigint") and table != "spoken":
                continue
            value: object = f"{MARKER} in {name}"
            if kind in ("integer", "bigint"):
                value = 7_000_000
            elif kind in ("blob", "bytea"):
                value = f"{MARKER} in {name}".encode()
            elif kind == "boolean":
                value = False
            values.append(given.get(name, value))
            names.append(f'"{name}"')
            place = f"${len(values)}" if self.file is None else "?"
            places.append(f"to_tsvector('simple', {place})" if kind == "tsvector" else place)
        await self._run(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(places)})", *values)

    async def where(self, words: str) -> list[str]:
        """The tables that hold these words, in text, bytes or search words."""
        found = []
        for table in await self.tables():
            for row in await self._run(f"SELECT * FROM {table}"):
                plain = " ".join(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in row)
                if words.lower() in plain.lower():
                    found.append(table)
                    break
        return sorted(found)

    def raw(self) -> bytes:
        """All bytes of the file and what lies beside it."""
        assert self.file is not None
        beside = (Path(f"{self.file}{suffix}") for suffix in ("", "-wal", "-shm"))
        return b"".join(path.read_bytes() for path in beside if path.exists())


async def talk(store: Store, session_id: str, words: str) -> None:
    """A conversation as it comes about: said, masked, looked up, handed over, one delivery dead."""
    epochs = await store.claim(NODE, TTL_MS, 1)
    await begin(store, session_id)
    for number in range(20):
        await post(store, session_id, f"{words} {number} " + "and more " * 50, key=f"{session_id}-{number}")
    (opening, *_) = (await store.transact(hand_off(session_id, f"h-{session_id}"))).outbox
    await store.transact(Change(session_id=session_id, settle=settlement(opening, epochs, dead=True, error="rejected")))
    await store.transact(change(session_id, c.ConversationOpened(at=9, handoff_id=f"h-{session_id}")))
    said = tuple(Spoken(session_id=session_id, message_id=f"m{n}", text=f"{words} {n}") for n in range(20))
    entry = Entry(session_id=session_id, project_id="project", stage=Stage.QUEUED, last_text=words, sequence=5)
    await store.save_catalog([Followed(entry=entry, spoken=said)])


async def test_nothing_of_a_customer_is_left(store_url: str) -> None:
    async with opened(store_url) as store:
        database = Database(store_url)
        tables = await database.tables()
        known = {"sessions", *OF_SESSIONS} | BY_NUMBER | EMPTIED | COUNTED_AGAIN | OF_NOBODY
        assert set(tables) == known, "decide about the new one"
        assert {name for name, columns in tables.items() if "session_id" in columns} == {*OF_SESSIONS, "sms_lines"}
        await talk(store, THEIRS, MARKER)
        await talk(store, OTHER, "Kingfisher")
        for table in (*OF_SESSIONS, *BY_NUMBER, *EMPTIED, *COUNTED_AGAIN):
            given: dict[str, object] = {
                "session_id": MARKED,
                "customer": NUMBER,
                "state": "dead",
                "type": "UserMessage",
            }
            if table == "inbox":
                given |= {"remote_id": "task-7", "key": "k", "connection_id": "c", "endpoint": "events"}
            if table == "handoff_links":
                given |= {"remote_id": "task-7"}
            if table == "tallies":
                given |= {"at": 1, "hours": 1, "sandbox": False}
            if table == "spoken":
                given |= {"id": 900}
            if table == "sms_lines":
                given |= {"session_id": ""}
            await database.mark(table, tables[table], given)
        filled = {"sessions", *OF_SESSIONS, *BY_NUMBER, *EMPTIED}
        marked = set(await database.where(MARKER))
        assert marked >= (filled | COUNTED_AGAIN) - {"spoken_undated"}, "that one has only the session's id"
        assert "spoken_undated" in await database.where(MARKED)

        erasure = Erasure(sessions=(THEIRS, MARKED), numbers=(NUMBER,))
        counts = await store.erase(erasure)
        assert counts["session_events"] > 20
        assert set(counts) >= filled
        assert [await database.where(words) for words in (MARKER, THEIRS, MARKED, NUMBER)] == [[]] * 4
        assert await store.erase(erasure) == {}, "a second time there is nothing"

        assert await store.session(THEIRS) is None
        with pytest.raises(SessionNotFound):
            await post(store, THEIRS, "still there?")
        await post(store, OTHER, "still here")
        assert set(await database.where("Kingfisher")) >= {"session_events", "sessions", "outbox", "spoken", "catalog"}
        if database.file is not None:
            assert await store.scrub()
            raw = database.raw().lower()
            assert MARKER.lower().encode() not in raw
            assert b"kingfisher" in raw


async def test_of_a_large_file_the_log_at_least_is_emptied(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'warmline.db'}"
    async with opened(url) as store:
        await talk(store, THEIRS, MARKER)
        await store.erase(Erasure(sessions=(THEIRS,)))
        before = Database(url).raw().count(MARKER.encode())
        assert not await store.scrub(most_bytes=1)
        assert Database(url).raw().count(MARKER.encode()) < before / 5


async def test_webhooks_that_name_a_customer_are_emptied(store: Store) -> None:
    hooks = {
        "by text": b"body=hi&From=%2B15550123",
        "by id": b'{"conversation":"session-to-erase"}',
        "other": b"From=1",
    }
    for key, body in hooks.items():
        row = InboxRow(
            id=0, connection_id="c", endpoint="sms", key=key, remote_id="r", received_at=1, event_at=1, body=body
        )
        await store.accept(row)
    counts = await store.erase(Erasure(sessions=(THEIRS,), numbers=(NUMBER,)))
    assert counts == {"inbox": 2}
    assert [row.key for row in await store.inbox_pending()] == ["other"]


async def test_sessions_are_found_by_who_they_are_of(store: Store) -> None:
    for session_id, subject, number in (
        ("a", "u-1", ""),
        ("b", "u-2", NUMBER),
        ("c", "u-1", ""),
        ("d", "u-11", "+1555"),
    ):
        info = SessionInfo(connector_id="c", project_id="p", subject=subject, caller_number=number)
        start = c.StartSession(at=1, channel="webchat.polyai")
        await store.transact(change(session_id, start, create=info))
    assert await store.sessions_of(subject="u-1") == ["a", "c"]
    assert await store.sessions_of(number=NUMBER) == ["b"]
    assert await store.sessions_of(number="+1555012") == []


async def test_what_a_project_remembers_of_a_customer_is_forgotten_for_that_project(store: Store) -> None:
    for project_id in ("one", "two"):
        await store.save_customer_memory(project_id, "customer-7", b"{}", 1)
    assert await store.erase(Erasure(customers=(("one", "customer-7"),))) == {"customer_memory": 1}
    assert await store.customer_memory("one", "customer-7") is None
    assert await store.customer_memory("two", "customer-7") == b"{}"


async def test_old_things_are_found_and_forgotten_bit_by_bit(store: Store) -> None:
    entries = [
        Entry(session_id=f"s{n}", project_id="p", stage=Stage.ENDED if n != 1 else Stage.LIVE, updated_at=n, sequence=1)
        for n in range(5)
    ]
    await store.save_catalog([Followed(entry=entry) for entry in entries])
    assert await store.ended_before("p", 4, 10) == ["s0", "s2", "s3"]
    assert await store.ended_before("p", 4, 2) == ["s0", "s2"]
    assert await store.ended_before("other", 4, 2) == []
    for at in range(4):
        await store.record(AuditEntry(at=at, user_id="u", user_name="u", act="signed_in"))
    assert await store.forget_audit(before=3, limit=2) == 2
    assert [entry.at for entry in await store.audit()] == [3, 2]
    epochs = await store.claim(NODE, TTL_MS, 1)
    for at in (10, 20):
        (row, *_) = (await begin(store, f"d{at}", at=at)).outbox
        await store.transact(Change(session_id=row.session_id, settle=settlement(row, epochs, dead=True)))
    assert await store.forget_dead(before=20, limit=10) == 1
    assert [row.created_at for row in await store.dead()] == [20]


async def test_settings_are_saved(store: Store) -> None:
    await store.save_setting("retention/days", "30")
    await store.save_setting("retention/days", "31")
    assert await store.settings("retention/") == {"retention/days": "31"}
