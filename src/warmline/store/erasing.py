"""Forgetting for good, in SQL; the same for both dialects."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from warmline.ports import Erasure

T = TypeVar("T")
Row = Sequence[Any]
Script = Generator[tuple[str, tuple[object, ...]], list[Row], T]

OF_SESSIONS = (
    "session_events",
    "session_changes",
    "outbox",
    "late_deliveries",
    "timers",
    "handoff_links",
    "turns",
    "memory",
    "files",
    "transcripts",
    "sms_texts",
    "catalog",
    "handoff_facts",
    "spoken",
    "spoken_undated",
    "session_contexts",
    "event_queue",
)
"""The tables whose rows belong to one session, beside `sessions` itself; all name it `session_id`."""

_SESSIONS = "DELETE FROM sessions WHERE id = ANY($1) RETURNING id"
_OF_SESSIONS = "DELETE FROM {table} WHERE session_id = ANY($1) RETURNING session_id"
_LINES = "DELETE FROM sms_lines WHERE customer = ANY($1) OR session_id = ANY($2) RETURNING customer"
_CUSTOMER = "DELETE FROM customer_memory WHERE project_id = $1 AND customer = $2 RETURNING customer"
_NUMBER = "DELETE FROM customer_memory WHERE customer = ANY($1) RETURNING customer"
_THEIRS = "SELECT handoff_id, remote_id FROM handoff_links WHERE session_id = ANY($1)"
_WEBHOOKS = "SELECT id, remote_id, body FROM inbox WHERE state <> 'done'"
_EMPTIED = "UPDATE inbox SET state = 'done', body = $2 WHERE id = ANY($1) RETURNING id"
_SESSIONS_WITH = "SELECT id FROM sessions WHERE replace(info, $1, '') <> info ORDER BY created_at, id"
_ENDED = """
    SELECT session_id FROM catalog WHERE project_id = $1 AND updated_at < $2 AND stage = 'ended'
    ORDER BY updated_at, session_id LIMIT $3"""
_DEAD = """
    DELETE FROM outbox WHERE id = ANY($1) AND state = 'dead' RETURNING id"""
_OLD_DEAD = "SELECT id FROM outbox WHERE state = 'dead' AND created_at < $1 ORDER BY id LIMIT $2"
_OLD_AUDIT = "SELECT id FROM audit WHERE at < $1 ORDER BY id LIMIT $2"
_AUDIT = "DELETE FROM audit WHERE id = ANY($1) RETURNING id"
_SAVE_SETTING = """
    INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"""


class ErasingSql(ABC):
    """Implements `ports.ErasingStore` on reading and running scripts."""

    _before_erasing: tuple[str, ...] = ()
    _after_erasing: tuple[str, ...] = ()
    """Statements around what is erased."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Row]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Row]]:
        """Run statements in one transaction; gives the rows of each."""

    @abstractmethod
    async def _run(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in a transaction of its own."""

    @abstractmethod
    def _forget_sessions(self, sessions: Sequence[str]) -> None:
        """Forget what is in memory of these; called within the script of `_run`."""

    async def sessions_of(self, *, subject: str = "", number: str = "") -> list[str]:
        """The sessions of an identity or a number."""
        named = f'"subject":{json.dumps(subject)}' if subject else f'"caller_number":{json.dumps(number)}'
        return [str(session_id) for (session_id,) in await self._read(_SESSIONS_WITH, named)]

    async def erase(self, erasure: Erasure) -> dict[str, int]:
        """Delete everything that is stored of these."""
        sessions, numbers = list(erasure.sessions), list(erasure.numbers)

        def script() -> Script[dict[str, int]]:
            for statement in self._before_erasing:
                yield statement, ()
            links = yield _THEIRS, (sessions,)
            # First, and it locks them: whatever still is being written of them is written before, and seen below.
            counts = {"sessions": len((yield _SESSIONS, (sessions,)))}
            for table in OF_SESSIONS:
                counts[table] = len((yield _OF_SESSIONS.format(table=table), (sessions,)))
            counts["sms_lines"] = len((yield _LINES, (numbers, sessions)))
            counts["customer_memory"] = len((yield _NUMBER, (numbers,)))
            for project_id, customer in erasure.customers:
                counts["customer_memory"] += len((yield _CUSTOMER, (project_id, customer)))
            names = {str(name) for link in links for name in link if name} | {*sessions, *numbers}
            theirs = [row_id for row_id, remote_id, body in (yield _WEBHOOKS, ()) if _names(body, remote_id, names)]
            counts["inbox"] = len((yield _EMPTIED, (theirs, b"")))
            for statement in self._after_erasing:
                yield statement, ()
            self._forget_sessions(sessions)
            return {table: count for table, count in counts.items() if count}

        return await self._run(script)

    async def ended_before(self, project_id: str, before: int, limit: int) -> list[str]:
        """Sessions that had ended by then."""
        return [str(session_id) for (session_id,) in await self._read(_ENDED, project_id, before, limit)]

    async def forget_dead(self, *, before: int, limit: int) -> int:
        """Forget old dead letters."""
        ids = [row_id for (row_id,) in await self._read(_OLD_DEAD, before, limit)]
        (rows,) = await self._execute((_DEAD, (ids,)))
        return len(rows)

    async def forget_audit(self, *, before: int, limit: int) -> int:
        """Forget old entries of the audit log."""
        ids = [row_id for (row_id,) in await self._read(_OLD_AUDIT, before, limit)]
        (rows,) = await self._execute((_AUDIT, (ids,)))
        return len(rows)

    async def save_setting(self, key: str, value: str) -> None:
        """Insert or replace."""
        await self._execute((_SAVE_SETTING, (key, value)))


def _names(body: bytes, remote_id: str, names: set[str]) -> bool:
    """Tell whether a webhook is about one of these; in a form, "+" is written "%2B"."""
    text = bytes(body).decode("utf-8", "replace").replace("%2B", "+")
    return remote_id in names or any(name in text for name in names)
