"""Receivers of event webhooks and what waits for them, in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

from warmline.domain.catalog import Entry
from warmline.domain.events import Recorded
from warmline.ports import SecretBox, partition_of
from warmline.ports.event_hooks import Backlog, QueuedEvent, Receiver

_RECEIVERS = """
    SELECT id, name, url, kinds, project_id, sandbox, paused, secret, previous, previous_until, created_at, accepted_at
    FROM event_receivers ORDER BY created_at, id"""
_SAVE = """
    INSERT INTO event_receivers
        (id, name, url, kinds, project_id, sandbox, paused, secret, previous, previous_until, created_at, accepted_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, url = excluded.url, kinds = excluded.kinds,
        project_id = excluded.project_id, sandbox = excluded.sandbox, paused = excluded.paused,
        secret = excluded.secret, previous = excluded.previous, previous_until = excluded.previous_until"""
_DELETE = "DELETE FROM event_receivers WHERE id = $1"
_DELETE_QUEUE = "DELETE FROM event_queue WHERE receiver_id = $1"
QUEUE = """
    INSERT INTO event_queue (receiver_id, session_id, sequence, partition, created_at)
    SELECT r.id, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS INTEGER), CAST($5 AS BIGINT)
    FROM event_receivers r WHERE r.id = $1
        AND coalesce((SELECT c.sequence FROM catalog c WHERE c.session_id = $2), 0) < $3
    ON CONFLICT DO NOTHING"""
"""The catalog's entry says what was queued before: this must run before the entry is replaced."""
_EVENT = "receiver_id, session_id, sequence, created_at, attempts, next_at, error"
_DUE = f"""
    SELECT {_EVENT} FROM event_queue q
    WHERE receiver_id = $1 AND NOT dead AND partition = ANY($2) AND next_at <= $3 AND NOT EXISTS (
        SELECT 1 FROM event_queue e
        WHERE e.receiver_id = q.receiver_id AND e.session_id = q.session_id AND e.sequence < q.sequence AND NOT e.dead)
    ORDER BY next_at, created_at LIMIT $4"""
_FORGET = "DELETE FROM event_queue WHERE receiver_id = $1 AND session_id = $2 AND sequence = $3"
_ACCEPTED = "UPDATE event_receivers SET accepted_at = $2 WHERE id = $1"
_FAILED = """
    UPDATE event_queue SET attempts = $4, next_at = $5, error = $6, dead = $7
    WHERE receiver_id = $1 AND session_id = $2 AND sequence = $3"""
_HASTEN = "UPDATE event_queue SET next_at = 0 WHERE receiver_id = $1 AND NOT dead AND next_at > $2"
_GIVE_UP = """
    UPDATE event_queue SET dead = true, error = $3 WHERE receiver_id = $1 AND NOT dead AND created_at < $2
    RETURNING sequence"""
_REDELIVER = """
    UPDATE event_queue SET dead = false, attempts = 0, next_at = 0, created_at = $2
    WHERE receiver_id = $1 AND dead RETURNING sequence"""
_DEAD = f"SELECT {_EVENT} FROM event_queue WHERE receiver_id = $1 AND dead ORDER BY created_at DESC LIMIT $2"
_BACKLOGS = """
    SELECT receiver_id, sum(CASE WHEN dead THEN 0 ELSE 1 END),
           coalesce(min(CASE WHEN dead THEN NULL ELSE created_at END), 0),
           sum(CASE WHEN dead THEN 1 ELSE 0 END), max(error)
    FROM event_queue GROUP BY receiver_id"""
_FORGET_OLD = "DELETE FROM event_queue WHERE created_at < $1 RETURNING sequence"


def queued(
    receivers: Sequence[Receiver], entry: Entry, log: Sequence[Recorded]
) -> list[tuple[str, tuple[object, ...]]]:
    """The statements that queue what receivers want of new events of a session."""
    session_id = entry.session_id
    return [
        (QUEUE, (receiver.id, session_id, recorded.sequence, partition_of(f"event/{session_id}"), recorded.at))
        for recorded in log
        for receiver in receivers
        if receiver.wants(entry.project_id, entry.environment, recorded)
    ]


class EventQueueSql(ABC):
    """Implements `ports.EventQueueStore` on reading and executing statements."""

    _secrets: SecretBox

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def receivers(self) -> list[Receiver]:
        """All, oldest first."""
        return [self._receiver(row) for row in await self._read(_RECEIVERS)]

    def _receiver(self, row: Sequence[Any]) -> Receiver:
        return Receiver(
            id=row[0],
            name=row[1],
            url=row[2],
            kinds=tuple(row[3].split(",")) if row[3] else (),
            project_id=row[4],
            sandbox=bool(row[5]),
            paused=bool(row[6]),
            secret=self._secrets.open(row[7]).decode(),
            previous=self._secrets.open(row[8]).decode(),
            previous_until=row[9],
            created_at=row[10],
            accepted_at=row[11],
        )

    async def save_receiver(self, receiver: Receiver) -> None:
        """Insert or replace."""
        r = receiver
        secrets = [self._secrets.seal(secret.encode()) for secret in (r.secret, r.previous)]
        chosen = (r.id, r.name, r.url, ",".join(r.kinds), r.project_id, r.sandbox, r.paused)
        await self._execute((_SAVE, (*chosen, *secrets, r.previous_until, r.created_at)))

    async def delete_receiver(self, receiver_id: str) -> None:
        """Remove it with its queue."""
        await self._execute((_DELETE, (receiver_id,)), (_DELETE_QUEUE, (receiver_id,)))

    async def events_due(
        self, receiver_id: str, partitions: Collection[int], now: int, limit: int
    ) -> list[QueuedEvent]:
        """The first event of each session, if it is due."""
        return [_event(row) for row in await self._read(_DUE, receiver_id, list(partitions), now, limit)]

    async def events_accepted(self, events: Sequence[QueuedEvent], now: int) -> None:
        """Forget them."""
        if events:
            rows = [(_FORGET, (event.receiver_id, event.session_id, event.sequence)) for event in events]
            await self._execute(*rows, (_ACCEPTED, (events[0].receiver_id, now)))

    async def event_failed(self, event: QueuedEvent, *, dead: bool) -> None:
        """Keep it for later."""
        e = event
        await self._execute(
            (_FAILED, (e.receiver_id, e.session_id, e.sequence, e.attempts, e.next_at, e.error, dead)),
        )

    async def hasten_events(self, receiver_ids: Collection[str], *, after: int) -> None:
        """Let what would be due after that time be due now."""
        if receiver_ids:
            await self._execute(*((_HASTEN, (receiver_id, after)) for receiver_id in receiver_ids))

    async def give_up_events(self, receiver_id: str, *, before: int, error: str) -> int:
        """Give up what has waited too long."""
        (rows,) = await self._execute((_GIVE_UP, (receiver_id, before, error)))
        return len(rows)

    async def redeliver_events(self, receiver_id: str, now: int) -> int:
        """Let everything that was given up wait again."""
        (rows,) = await self._execute((_REDELIVER, (receiver_id, now)))
        return len(rows)

    async def dead_events(self, receiver_id: str, limit: int = 100) -> list[QueuedEvent]:
        """What was given up."""
        return [_event(row) for row in await self._read(_DEAD, receiver_id, limit)]

    async def backlogs(self) -> dict[str, Backlog]:
        """By receiver."""
        return {
            receiver_id: Backlog(waiting=int(waiting), oldest_at=oldest, dead=int(dead), error=error)
            for receiver_id, waiting, oldest, dead, error in await self._read(_BACKLOGS)
        }

    async def forget_events(self, *, before: int) -> int:
        """Forget old events."""
        (rows,) = await self._execute((_FORGET_OLD, (before,)))
        return len(rows)


def _event(row: Sequence[Any]) -> QueuedEvent:
    names = ("receiver_id", "session_id", "sequence", "created_at", "attempts", "next_at", "error")
    return QueuedEvent(**dict(zip(names, row, strict=True)))
