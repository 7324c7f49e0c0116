"""An entry of the catalog as a row."""

from collections.abc import Sequence
from typing import Any

import msgspec

from warmline.domain.catalog import Entry, HandoffFacts

ENTRY = (
    "session_id, project_id, channel, environment, stage, started_at, updated_at, waiting_since, ended_at, "
    "end_reason, messages, last_author, last_message_id, last_text, handoff, connection_id, sequence, agent_name"
)


def entry_row(entry: Entry) -> tuple[object, ...]:
    """The values of the columns."""
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


def entry_of(row: Sequence[Any]) -> Entry:
    """The entry of a row with the columns."""
    data = dict(zip(ENTRY.split(", "), row, strict=True))
    del data["connection_id"]
    data["handoff"] = msgspec.json.decode(data["handoff"], type=HandoffFacts) if data["handoff"] else None
    return msgspec.convert(data, Entry)
