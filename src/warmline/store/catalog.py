"""The catalog of conversations in SQL."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec

from warmline.domain.catalog import Entry, Followed, HandoffFacts
from warmline.ports import Milestones, Receiver
from warmline.store.entries import ENTRY, entry_of, entry_row
from warmline.store.event_hooks import queued
from warmline.store.searches import SearchSql

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


class CatalogSql(SearchSql):
    """Implements `ports.CatalogStore` on reading and executing statements; words are the dialects' own."""

    _save_text: str
    """The statement that stores what was said: session, message, text."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def catalog_entry(self, session_id: str) -> Entry | None:
        """The entry as it is stored."""
        return next((entry_of(row) for row in await self._read(_GET_ENTRY, session_id)), None)

    async def save_catalog(self, followed: Sequence[Followed], receivers: Sequence[Receiver] = ()) -> None:
        """Replace entries by newer ones, with their handoffs and texts; queue events for receivers."""
        statements: list[tuple[str, tuple[object, ...]]] = []
        for item in followed:
            statements += queued(receivers, item.entry, item.log)
            statements.append((_SAVE_ENTRY, entry_row(item.entry)))
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


def _handoff_row(facts: HandoffFacts) -> tuple[object, ...]:
    return tuple(str(v) if isinstance(v := getattr(facts, name), str) else v for name in _HANDOFF_NAMES)
