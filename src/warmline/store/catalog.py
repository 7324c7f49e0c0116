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
from warmline.store.fitting import Fitting, fitting

ENTRY = (
    "session_id, project_id, channel, environment, stage, started_at, updated_at, waiting_since, ended_at, "
    "end_reason, messages, last_author, last_message_id, last_text, handoff, connection_id, sequence, agent_name"
)
_ENTRY_VALUES = ", ".join(f"${n}" for n in range(1, 19))
_SAVE_ENTRY = f"""
    INSERT INTO catalog ({ENTRY}) VALUES ({_ENTRY_VALUES})
    ON CONFLICT (session_id) DO UPDATE SET
        channel = excluded.channel, environment = excluded.environment, stage = excluded.stage,
        started_at = excluded.started_at, updated_at = excluded.updated_at, waiting_since = excluded.waiting_since,
        ended_at = excluded.ended_at, end_reason = excluded.end_reason, messages = excluded.messages,
        last_author = excluded.last_author, last_message_id = excluded.last_message_id,
        last_text = excluded.last_text, handoff = excluded.handoff, connection_id = excluded.connection_id,
        sequence = excluded.sequence, agent_name = excluded.agent_name
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

    async def _dated_since(self) -> int:
        """The texts of conversations that changed last at or after then (epoch ms) know their days; 0: of all."""
        return 0

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

    async def date_texts(self) -> int:
        """By default, there is nothing to do."""
        return 0

    async def conversations(self, wanted: Wanted) -> list[Entry]:
        """The entries that fit, newest change first."""
        fits = fitting(wanted)
        words = re.findall(r"\w+", wanted.words)[:_MOST_WORDS]
        if words:
            return await self._search(words, fits, wanted.limit)
        return [] if wanted.words.strip() else await self._entries(fits.newest(ENTRY, wanted.limit), fits)

    async def _entries(self, query: str, fits: Fitting) -> list[Entry]:
        return [_entry(row) for row in await self._read(query, *fits.values)]

    async def _search(self, words: list[str], fits: Fitting, limit: int) -> list[Entry]:
        """Look through the newest conversations, then go by the words: those of some days, those of all.

        No way is quick for all words: a common word is in a million conversations, a rare one not in the newest
        thousands. One that is neither is found within days.
        """
        for window in self._windows:
            query = self._among_newest(words, fits.newest("*", window))
            found = await self._entries(f"{query} LIMIT {limit}", fits)
            if len(found) == limit or not await self._more(fits, window):
                return found
            if len(found) < _HOPEFUL:
                break
        if self._spans:
            (newest,) = await self._entries(fits.newest(ENTRY, 1), fits)
            last = newest.updated_at // _DAY_MS
            dated_since = await self._dated_since()
            for span in self._spans:
                first = last - span + 1
                if first * _DAY_MS < dated_since:
                    break
                since = fits.narrowed(f"updated_at >= {first * _DAY_MS}")
                found = await self._said(self._matching(words, range(first, last + 1)), since, limit)
                if len(found) == limit:
                    return found
                if len(found) * _LONGER < limit:
                    break
        return await self._said(self._matching(words), fits, limit)

    async def _said(self, matching: str, fits: Fitting, limit: int) -> list[Entry]:
        """The newest of the sessions that the query `matching` gives."""
        rows = await self._read(f"{matching} LIMIT $1", _LISTED)
        if len(rows) == _LISTED:
            few = fits.narrowed(f"session_id IN ({matching})")
        else:
            few = fits.narrowed("session_id = ANY({0})", sorted({row[0] for row in rows}))
        return await self._entries(few.newest_among_few(ENTRY, limit), few)

    async def _more(self, fits: Fitting, count: int) -> bool:
        """Whether more than `count` conversations fit, apart from the words."""
        ((found,),) = await self._read(
            f"SELECT count(*) FROM ({fits.newest('updated_at, session_id', count + 1)}) AS fitting", *fits.values
        )
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
        entry.agent_name,
    )


def _entry(row: Sequence[Any]) -> Entry:
    data = dict(zip(ENTRY.split(", "), row, strict=True))
    del data["connection_id"]
    data["handoff"] = msgspec.json.decode(data["handoff"], type=HandoffFacts) if data["handoff"] else None
    return msgspec.convert(data, Entry)


def _handoff_row(facts: HandoffFacts) -> tuple[object, ...]:
    return tuple(str(v) if isinstance(v := getattr(facts, name), str) else v for name in _HANDOFF_NAMES)
