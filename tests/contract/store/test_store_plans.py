"""How lists, searches and the dashboard are read: along indexes, however many conversations there are.

The databases' own plans are asked for, with ten thousand conversations stored; 10,000 is enough for PostgreSQL to
prefer an index to reading everything.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from warmline.domain.catalog import Stage
from warmline.ports import HOUR_MS, InboxRow, Period, Wanted
from warmline.store.postgres import PostgresStore
from warmline.store.secretbox import AesSecretBox
from warmline.store.sqlite import SqliteStore
from warmline.system import SystemIds

COUNT = 10_000
STEP_MS = 365 * 86_400_000 // COUNT
DAY_MS = 24 * HOUR_MS
NOW = 20_000 * DAY_MS
MONTH = Period(project_id="p1", since=NOW - 30 * DAY_MS, until=NOW, step=DAY_MS)
RUNNING = tuple(stage.value for stage in Stage if stage is not Stage.ENDED)
LISTS = {
    "all": Wanted(),
    "running": Wanted(stages=RUNNING),
    "waiting": Wanted(stages=("requested", "queued", "transferring")),
    "live": Wanted(stages=("live",)),
    "ended": Wanted(stages=("ended",)),
    "channel": Wanted(channel="chat.polyai"),
    "connection": Wanted(connection_id="c1"),
    "nothing": Wanted(connection_id="never", channel="never"),
    "channel, connection and stage": Wanted(connection_id="c0", channel="chat.polyai", stages=("ended",)),
    "common word": Wanted(words="the bill"),
    "rare word": Wanted(words="ord4711"),
    "one in a hundred": Wanted(words="town7"),
    "common and rare": Wanted(words="bill town7"),
    "rare word among the live": Wanted(words="ord4711", stages=("live",)),
    "nowhere": Wanted(words="zzz"),
}
_FACTS = '{"id":"h","session_id":"s","project_id":"p1","connection_id":"c1"}'


def _tables() -> Iterator[tuple[str, str, list[tuple[Any, ...]]]]:
    """The rows of each table, with their columns."""
    entries, handoffs, texts = (list(rows) for rows in zip(*map(_rows, range(COUNT)), strict=True))
    yield "catalog", _ENTRY, entries
    yield "handoff_facts", _HANDOFF, handoffs[::3]
    yield "spoken", "session_id, message_id, text", texts
    yield "inbox", _WEBHOOK, [("c", f"path{n % 3}", f"k{n}", "task", NOW - n, 0, b"", "done") for n in range(COUNT)]


def _rows(number: int) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
    """One of the conversations: its entry, handoff and text. The newest thousand still go on."""
    at = NOW - (COUNT - number) * STEP_MS
    stage = "ended" if number < COUNT - 1000 else RUNNING[number % len(RUNNING)]
    channel = "chat.polyai" if number % 100 == 0 else "webchat.polyai"
    base = (f"s{number:05}", "p1", channel, "live", stage, at, at)
    entry = (*base, 0, 0, "", 2, "customer", "m", "hello", _FACTS * (number % 3 == 0), f"c{number % 4}", 3)
    handoff = (f"h{number:05}", base[0], "p1", f"c{number % 4}", "live", "", "bill", at, at + 9, at + 99, 0, "", "")
    return entry, handoff, (base[0], "m", f"the bill of street{number % 2000} town{number % 100} ord{number}")


_ENTRY = (
    "session_id, project_id, channel, environment, stage, started_at, updated_at, waiting_since, ended_at, end_reason,"
    " messages, last_author, last_message_id, last_text, handoff, connection_id, sequence"
)
_WEBHOOK = "connection_id, endpoint, key, remote_id, received_at, event_at, body, state"
_HANDOFF = (
    "id, session_id, project_id, connection_id, environment, destination, reason, requested_at, accepted_at, joined_at,"
    " ended_at, outcome, outcome_reason"
)


class Asked:
    """Lets a store remember what it read."""

    def __init__(self, *where: Any) -> None:
        super().__init__(*where, SystemIds(), AesSecretBox("a-key-of-at-least-16-characters"))  # type: ignore[call-arg]
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    async def _read(self, query: str, *arguments: object) -> Any:
        self.asked.append((query, arguments))
        return await super()._read(query, *arguments)  # type: ignore[misc]

    async def _read_within(self, seconds: float, query: str, *arguments: object) -> Any:
        self.asked.append((query, arguments))
        return await super()._read_within(seconds, query, *arguments)  # type: ignore[misc]

    async def plans(self, explain: str) -> list[tuple[str, list[Any]]]:
        """What was asked since the last time, each with what the database tells of it."""
        asked, self.asked = self.asked, []
        read = super()._read  # type: ignore[misc]
        return [(query, await read(f"{explain} {query}", *arguments)) for query, arguments in asked]


class AskedSqlite(Asked, SqliteStore):
    """SQLite."""

    async def fill(self) -> None:
        """Store all conversations."""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            db.execute("BEGIN")
            for table, columns, rows in _tables():
                places = ", ".join("?" * len(rows[0]))
                db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)
            db.execute("COMMIT")

    async def scans(self) -> list[str]:
        """What was read from one end of a table, or of one of its indexes, to the other."""
        return [
            f"{what} for {query}"
            for query, rows in await self.plans("EXPLAIN QUERY PLAN")
            for _, _, _, what in rows
            if re.match(r"SCAN (catalog|handoff_facts|spoken|inbox|s|o)\b", what)
        ]


class AskedPostgres(Asked, PostgresStore):
    """PostgreSQL."""

    async def fill(self) -> None:
        """Store all conversations, and let PostgreSQL look at them."""
        db = await asyncpg.connect(self._url)
        entries, handoffs, (_, _, texts), webhooks = _tables()
        for table, columns, rows in (entries, handoffs, webhooks):
            await db.copy_records_to_table(table, records=rows, columns=columns.split(", "))
        await db.execute(
            "INSERT INTO spoken SELECT session_id, 'm', to_tsvector('simple', text)"
            " FROM unnest($1::text[], $2::text[]) AS said (session_id, text)",
            [session_id for session_id, _, _ in texts],
            [text for _, _, text in texts],
        )
        await db.execute("VACUUM ANALYZE")
        await db.close()

    async def scans(self) -> list[str]:
        """What was read from one end of a table to the other."""
        return [
            f"{plan} for {query}"
            for query, ((plan,),) in await self.plans("EXPLAIN (FORMAT json)")
            if re.search(r'"Node Type": "Seq Scan",[^}]*"Relation Name": "(catalog|handoff_facts|spoken|inbox)"', plan)
        ]


@pytest.fixture
async def store(store_url: str, tmp_path: Path) -> AsyncIterator[AskedSqlite | AskedPostgres]:
    """A store with ten thousand conversations."""
    sqlite = store_url.startswith("sqlite")
    made = AskedSqlite(tmp_path / "plans.db") if sqlite else AskedPostgres(store_url)
    await made.start()
    await made.fill()
    yield made
    await made.close()


async def test_no_list_no_search_and_no_dashboard_reads_a_whole_table(store: AskedSqlite | AskedPostgres) -> None:
    for name, listed in LISTS.items():
        wanted = replace(listed, projects=("p1",), limit=51)
        store.asked.clear()
        found = (await store.conversations(wanted)).entries
        older = (await store.conversations(replace(wanted, before=(NOW - 200 * DAY_MS, "s")))).entries
        assert store.asked
        assert await store.scans() == [], name
        assert [entry.updated_at for entry in found] == sorted((e.updated_at for e in found), reverse=True), name
        assert bool(found) is (name not in ("nothing", "nowhere", "rare word among the live")), name
        assert all(entry.updated_at < NOW - 200 * DAY_MS for entry in older), name

    store.asked.clear()
    before = await store.statistics(MONTH)
    assert before.conversations == 30 * DAY_MS // STEP_MS
    assert await store.scans() == []
    while await store.count_hours("p1", until=NOW):
        pass
    store.asked.clear()
    assert await store.statistics(MONTH) == before
    assert not [query for query, _ in store.asked if "catalog" in query or "handoff_facts" in query], "counted before"
    assert await store.scans() == []

    await store._read("SELECT session_id FROM catalog WHERE last_text = $1", "hello there")
    assert len(await store.scans()) == 1, "such a one would be seen"


async def test_when_each_path_was_heard_is_told_without_reading_every_webhook(
    store: AskedSqlite | AskedPostgres,
) -> None:
    store.asked.clear()
    assert await store.last_webhooks() == {("c", f"path{number}"): NOW - number for number in range(3)}
    assert await store.scans() == []


async def test_webhooks_of_conversations_that_nobody_knows_are_found_among_those_that_wait(
    store: AskedSqlite | AskedPostgres,
) -> None:
    waiting = InboxRow(
        id=0, connection_id="c", endpoint="path0", key="w", remote_id="unknown", received_at=1, event_at=1, body=b"{}"
    )
    row_id = await store.accept(waiting)
    store.asked.clear()
    assert [row.id for row in await store.inbox_unknown("c", but=range(-300, 0))] == [row_id]
    explain = "EXPLAIN QUERY PLAN" if isinstance(store, AskedSqlite) else "EXPLAIN"
    ((_, rows),) = await store.plans(explain)
    plan = "\n".join(str(row[-1]) for row in rows)
    assert "inbox_pending" in plan, plan
    assert "inbox_heard" not in plan, plan
