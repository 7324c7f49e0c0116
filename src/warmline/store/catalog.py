"""Lists and searches of conversations in SQL."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec

from warmline.domain.catalog import Entry, Followed, HandoffFacts, Stage
from warmline.ports import Milestones, Receiver, Wanted
from warmline.store.event_hooks import queued

ENTRY = (
    "session_id, project_id, channel, environment, stage, started_at, updated_at, waiting_since, ended_at, "
    "end_reason, messages, last_author, last_message_id, last_text, handoff, connection_id, sequence"
)
_ENTRY_VALUES = ", ".join(f"${n}" for n in range(1, 18))
_SAVE_ENTRY = f"""
    INSERT INTO catalog ({ENTRY}) VALUES ({_ENTRY_VALUES})
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
_GET_ENTRY = f"SELECT {ENTRY} FROM catalog WHERE session_id = $1"
_BEHIND = """
    SELECT s.id FROM sessions s LEFT JOIN catalog c ON c.session_id = s.id
    WHERE c.sequence IS NULL OR c.sequence < s.last_sequence LIMIT $1"""
_HANDOFFS = f"SELECT {_HANDOFF} FROM handoff_facts WHERE session_id = $1 ORDER BY requested_at, id"
_MILESTONES = """
    SELECT (SELECT count(*) FROM (SELECT 1 FROM handoff_facts WHERE project_id = $1 AND joined_at > 0 LIMIT 1) AS a),
           (SELECT count(*) FROM (
               SELECT 1 FROM handoff_facts
               WHERE project_id = $1 AND joined_at > 0 AND outcome = 'completed' LIMIT 1) AS b)"""
_OPEN = "SELECT count(*) FROM handoff_facts WHERE connection_id = $1 AND outcome = ''"
_MOST_WORDS = 8
NEWEST = "ORDER BY updated_at DESC, session_id DESC"
_HOPEFUL = 20
"""So many among the newest say that a word is common."""
_DAY_MS = 86_400_000
_LONGER = 4
"""So many times as long as the span before is the next one."""
_LISTED = 50_000
"""Up to so many messages with the words, their sessions are listed, whose order costs nothing to find then."""


class CatalogSql(ABC):
    """Implements `ports.CatalogStore` on reading and executing statements; words are the dialects' own."""

    _save_text: str
    """The statement that stores what was said: session, message, text."""

    _windows: tuple[int, ...]
    """So many of the newest conversations are looked through for words, the next when the one before had some."""

    _spans: tuple[int, ...] = ()
    """So many days, from the newest conversation on, are searched for words before all of them are."""

    @abstractmethod
    def _matching(self, words: list[str], days: Sequence[int] = ()) -> str:
        """The query for the sessions of messages with all `words`, the last one being a beginning.

        With `days` (since the epoch), only of sessions whose last change was on one of these. Only asked for where
        there are spans, and texts know their days.

        Words consist of letters, digits and underscores. They stand in the query as they are, not as parameters, so
        that PostgreSQL plans for how common these words are.
        """

    async def _dated(self) -> bool:
        """Whether all texts know their days."""
        return True

    @abstractmethod
    def _among_newest(self, words: list[str], newest: str) -> str:
        """The query for those rows of the query `newest` whose session has such a message, newest change first."""

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
            statements += queued(receivers, item.entry, item.log)
            statements.append((_SAVE_ENTRY, _entry_row(item.entry)))
            statements += [(_SAVE_HANDOFF, _handoff_row(facts)) for facts in item.handoffs]
            statements += [(self._save_text, (s.session_id, s.message_id, s.text)) for s in item.spoken if s.text]
        if statements:
            await self._execute(*statements)

    async def catalog_behind(self, limit: int) -> list[str]:
        """Sessions whose log is longer than their entry knows."""
        return [str(session_id) for (session_id,) in await self._read(_BEHIND, limit)]

    async def date_texts(self) -> bool:
        """By default, there is nothing to do."""
        return True

    async def conversations(self, wanted: Wanted) -> list[Entry]:
        """The entries that fit, newest change first."""
        conditions: list[str] = []
        values: list[object] = []

        def narrow(condition: str, value: object) -> None:
            values.append(value)
            conditions.append(condition.format(n=f"${len(values)}"))

        if len(wanted.projects) == 1:
            # Not as a list of one: only equality lets the index give the order, too.
            narrow("project_id = {n}", wanted.projects[0])
        elif wanted.projects:
            narrow("project_id = ANY({n})", list(wanted.projects))
        if wanted.stages:
            narrow("stage = ANY({n})", list(wanted.stages))
            if Stage.ENDED.value not in wanted.stages:
                conditions.append("stage <> 'ended'")
        if wanted.channel:
            narrow("channel = {n}", wanted.channel)
        if not wanted.sandbox:
            conditions.append("environment <> 'sandbox'")
        if wanted.connection_id:
            narrow("connection_id = {n} AND connection_id <> ''", wanted.connection_id)
        if wanted.before is not None:
            values += wanted.before
            conditions.append(f"(updated_at, session_id) < (${len(values) - 1}, ${len(values)})")
        words = re.findall(r"\w+", wanted.words)[:_MOST_WORDS]
        if words:
            return await self._search(words, conditions, values, wanted.limit)
        return [] if wanted.words.strip() else await self._newest(conditions, values, wanted.limit)

    async def _newest(self, conditions: list[str], values: list[object], limit: int) -> list[Entry]:
        query = f"SELECT {ENTRY} FROM catalog {_where(conditions)} {NEWEST} LIMIT ${len(values) + 1}"
        return [_entry(row) for row in await self._read(query, *values, limit)]

    async def _search(self, words: list[str], conditions: list[str], values: list[object], limit: int) -> list[Entry]:
        """Look through the newest conversations, then go by the words: those of some days, those of all.

        No way is quick for all words: a common word is in a million conversations, a rare one not in the newest
        thousands. One that is neither is found within days.
        """
        for window in self._windows:
            query = self._among_newest(words, f"SELECT * FROM catalog {_where(conditions)} {NEWEST} LIMIT {window}")
            found = [_entry(row) for row in await self._read(f"{query} LIMIT ${len(values) + 1}", *values, limit)]
            if len(found) == limit or not await self._more(conditions, values, window):
                return found
            if len(found) < _HOPEFUL:
                break
        if self._spans and await self._dated():
            (newest,) = await self._newest(conditions, values, 1)
            last = newest.updated_at // _DAY_MS
            for span in self._spans:
                first = last - span + 1
                since = [*conditions, f"updated_at >= {first * _DAY_MS}"]
                found = await self._said(self._matching(words, range(first, last + 1)), since, values, limit)
                if len(found) == limit:
                    return found
                if len(found) * _LONGER < limit:
                    break
        return await self._said(self._matching(words), conditions, values, limit)

    async def _said(self, matching: str, conditions: list[str], values: list[object], limit: int) -> list[Entry]:
        """The newest of the sessions that the query `matching` gives."""
        rows = await self._read(f"{matching} LIMIT $1", _LISTED)
        if len(rows) == _LISTED:
            return await self._newest([*conditions, f"session_id IN ({matching})"], values, limit)
        sessions = sorted({row[0] for row in rows})
        return await self._newest([*conditions, f"session_id = ANY(${len(values) + 1})"], [*values, sessions], limit)

    async def _more(self, conditions: list[str], values: list[object], count: int) -> bool:
        """Whether more than `count` conversations fit, apart from the words."""
        fitting = f"SELECT 1 FROM catalog {_where(conditions)} LIMIT {count + 1}"
        ((found,),) = await self._read(f"SELECT count(*) FROM ({fitting}) AS fitting", *values)
        return int(found) > count

    async def handoffs_of(self, session_id: str) -> list[HandoffFacts]:
        """The handoffs of a session, in order."""
        rows = await self._read(_HANDOFFS, session_id)
        return [msgspec.convert(dict(zip(_HANDOFF_NAMES, row, strict=True)), HandoffFacts) for row in rows]

    async def milestones(self, project_id: str) -> Milestones:
        """What has ever happened."""
        ((joined, completed),) = await self._read(_MILESTONES, project_id)
        return Milestones(joined=bool(joined), completed=bool(completed))

    async def open_handoffs(self, connection_id: str) -> int:
        """How many handoffs are under way over a connection."""
        ((count,),) = await self._read(_OPEN, connection_id)
        return int(count)


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


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
    data = dict(zip(ENTRY.split(", "), row, strict=True))
    del data["connection_id"]
    data["handoff"] = msgspec.json.decode(data["handoff"], type=HandoffFacts) if data["handoff"] else None
    return msgspec.convert(data, Entry)


def _handoff_row(facts: HandoffFacts) -> tuple[object, ...]:
    return tuple(str(v) if isinstance(v := getattr(facts, name), str) else v for name in _HANDOFF_NAMES)
