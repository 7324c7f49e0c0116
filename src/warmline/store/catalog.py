"""Lists and searches of conversations in SQL."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec

from warmline.domain.catalog import Entry, Followed, HandoffFacts
from warmline.ports import Milestones, Receiver, Wanted
from warmline.store.event_hooks import queued

_ENTRY = (
    "session_id, project_id, channel, environment, stage, started_at, updated_at, waiting_since, ended_at, "
    "end_reason, messages, last_author, last_message_id, last_text, handoff, connection_id, sequence"
)
_ENTRY_VALUES = ", ".join(f"${n}" for n in range(1, 18))
_SAVE_ENTRY = f"""
    INSERT INTO catalog ({_ENTRY}) VALUES ({_ENTRY_VALUES})
    ON CONFLICT (session_id) DO UPDATE SET
        channel = excluded.channel, environment = excluded.environment, stage = excluded.stage,
        started_at = excluded.started_at, updated_at = excluded.updated_at, waiting_since = excluded.waiting_since,
        ended_at = excluded.ended_at, end_reason = excluded.end_reason, messages = excluded.messages,
        last_author = excluded.last_author, last_message_id = excluded.last_message_id,
        last_text = excluded.last_text, handoff = excluded.handoff, connection_id = excluded.connection_id,
        sequence = excluded.sequence
    WHERE catalog.sequence < excluded.sequence"""
_HANDOFF_NAMES = tuple(f.name for f in fields(HandoffFacts))
_HANDOFF = ", ".join(_HANDOFF_NAMES)
_SAVE_HANDOFF = f"""
    INSERT INTO handoff_facts ({_HANDOFF}) VALUES ({", ".join(f"${n + 1}" for n in range(len(_HANDOFF_NAMES)))})
    ON CONFLICT (id) DO UPDATE SET
        accepted_at = excluded.accepted_at, joined_at = excluded.joined_at, ended_at = excluded.ended_at,
        outcome = excluded.outcome, outcome_reason = excluded.outcome_reason
    WHERE handoff_facts.outcome = ''"""
_GET_ENTRY = f"SELECT {_ENTRY} FROM catalog WHERE session_id = $1"
_BEHIND = """
    SELECT s.id FROM sessions s LEFT JOIN catalog c ON c.session_id = s.id
    WHERE c.sequence IS NULL OR c.sequence < s.last_sequence LIMIT $1"""
_HANDOFFS = f"SELECT {_HANDOFF} FROM handoff_facts WHERE session_id = $1 ORDER BY requested_at, id"
_MILESTONES = """
    SELECT count(*), coalesce(sum(CASE WHEN outcome = 'completed' THEN 1 ELSE 0 END), 0)
    FROM handoff_facts WHERE project_id = $1 AND joined_at > 0"""
_OPEN = "SELECT count(*) FROM handoff_facts WHERE connection_id = $1 AND outcome = ''"
_MOST_WORDS = 8


class CatalogSql(ABC):
    """Implements `ports.CatalogStore` on reading and executing statements; words are the dialects' own."""

    _save_text: str
    """The statement that stores what was said: session, message, text."""

    @abstractmethod
    def _words_condition(self, words: list[str], number: int) -> tuple[str, object]:
        """The condition that a session has a message with all `words`, with parameter `number` and its value."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def catalog_entry(self, session_id: str) -> Entry | None:
        """The entry as it is stored."""
        return next((_entry(row) for row in await self._read(_GET_ENTRY, session_id)), None)

    async def save_catalog(self, followed: Sequence[Followed], receivers: Sequence[Receiver] = ()) -> None:
        """Replace entries by newer ones, with their handoffs and texts; queue events for receivers."""
        statements: list[tuple[str, tuple[object, ...]]] = []
        for item in followed:
            statements += queued(receivers, item.entry.project_id, item.entry.session_id, item.log)
            statements.append((_SAVE_ENTRY, _entry_row(item.entry)))
            statements += [(_SAVE_HANDOFF, _handoff_row(facts)) for facts in item.handoffs]
            statements += [(self._save_text, (s.session_id, s.message_id, s.text)) for s in item.spoken if s.text]
        if statements:
            await self._execute(*statements)

    async def catalog_behind(self, limit: int) -> list[str]:
        """Sessions whose log is longer than their entry knows."""
        return [str(session_id) for (session_id,) in await self._read(_BEHIND, limit)]

    async def conversations(self, wanted: Wanted) -> list[Entry]:
        """The entries that fit, newest change first."""
        conditions: list[str] = []
        values: list[object] = []

        def narrow(condition: str, value: object) -> None:
            values.append(value)
            conditions.append(condition.format(n=f"${len(values)}"))

        if wanted.projects:
            narrow("project_id = ANY({n})", list(wanted.projects))
        if wanted.stages:
            narrow("stage = ANY({n})", list(wanted.stages))
        if wanted.channel:
            narrow("channel = {n}", wanted.channel)
        if not wanted.sandbox:
            conditions.append("environment <> 'sandbox'")
        if wanted.connection_id:
            narrow("connection_id = {n}", wanted.connection_id)
        words = re.findall(r"\w+", wanted.words)[:_MOST_WORDS]
        if words:
            condition, value = self._words_condition(words, len(values) + 1)
            values.append(value)
            conditions.append(condition)
        elif wanted.words.strip():
            return []
        if wanted.before is not None:
            values += wanted.before
            conditions.append(f"(updated_at, session_id) < (${len(values) - 1}, ${len(values)})")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        values.append(wanted.limit)
        query = f"SELECT {_ENTRY} FROM catalog {where} ORDER BY updated_at DESC, session_id DESC LIMIT ${len(values)}"
        return [_entry(row) for row in await self._read(query, *values)]

    async def handoffs_of(self, session_id: str) -> list[HandoffFacts]:
        """The handoffs of a session, in order."""
        rows = await self._read(_HANDOFFS, session_id)
        return [msgspec.convert(dict(zip(_HANDOFF_NAMES, row, strict=True)), HandoffFacts) for row in rows]

    async def milestones(self, project_id: str) -> Milestones:
        """What has ever happened."""
        ((joined, completed),) = await self._read(_MILESTONES, project_id)
        return Milestones(joined=joined, completed=int(completed))

    async def open_handoffs(self, connection_id: str) -> int:
        """How many handoffs are under way over a connection."""
        ((count,),) = await self._read(_OPEN, connection_id)
        return int(count)


def _entry_row(entry: Entry) -> tuple[object, ...]:
    handoff = msgspec.json.encode(entry.handoff).decode() if entry.handoff else ""
    connection_id = entry.handoff.connection_id if entry.handoff else ""
    return (
        entry.session_id,
        entry.project_id,
        entry.channel,
        entry.environment,
        entry.stage.value,
        entry.started_at,
        entry.updated_at,
        entry.waiting_since,
        entry.ended_at,
        entry.end_reason,
        entry.messages,
        entry.last_author,
        entry.last_message_id,
        entry.last_text,
        handoff,
        connection_id,
        entry.sequence,
    )


def _entry(row: Sequence[Any]) -> Entry:
    data = dict(zip(_ENTRY.split(", "), row, strict=True))
    del data["connection_id"]
    data["handoff"] = msgspec.json.decode(data["handoff"], type=HandoffFacts) if data["handoff"] else None
    return msgspec.convert(data, Entry)


def _handoff_row(facts: HandoffFacts) -> tuple[object, ...]:
    return tuple(str(v) if isinstance(v := getattr(facts, name), str) else v for name in _HANDOFF_NAMES)
