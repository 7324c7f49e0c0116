"""Rows of tables as records."""

from collections.abc import Sequence
from typing import Any

from warmline.ports import InboxRow, Link, OutboxRow, Transcript
from warmline.store import codec

Row = Sequence[Any]


def outbox_row(row: Row) -> OutboxRow:
    """An effect that waits or was given up."""
    row_id, partition, stream_key, session_id, kind, body, created_at, attempts, next_at, last_error = row
    return OutboxRow(
        id=row_id,
        partition=partition,
        stream_key=stream_key,
        session_id=session_id,
        effect=codec.decode_effect(kind, body),
        created_at=created_at,
        attempts=attempts,
        next_at=next_at,
        last_error=last_error,
    )


def inbox_row(row: Row) -> InboxRow:
    """A webhook."""
    row_id, connection_id, endpoint, key, remote_id, received_at, event_at, body, attempts, state, *place = row
    rank, hold, terminal = place
    return InboxRow(
        id=row_id,
        connection_id=connection_id,
        endpoint=endpoint,
        key=key,
        remote_id=remote_id,
        received_at=received_at,
        event_at=event_at,
        body=body,
        attempts=attempts,
        parked=state == "parked",
        rank=rank,
        hold=bool(hold),
        terminal=bool(terminal),
    )


def transcript(row: Row) -> Transcript:
    """A contact centre's transcript."""
    names = ("handoff_id", "session_id", "connection_id", "remote_id", "ended_at", "tries", "next_at", "content")
    return Transcript(**dict(zip(names, row, strict=True)))


def one_link(rows: list[Row]) -> Link | None:
    """The link in the first row; None without one."""
    for handoff_id, session_id, connection_id, remote_id, data in rows:
        return Link(
            handoff_id=handoff_id,
            session_id=session_id,
            connection_id=connection_id,
            remote_id=remote_id,
            data=codec.decode_mapping(data),
        )
    return None
