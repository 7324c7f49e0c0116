"""When the server stored what agents said: its own record of the webhooks, read beside it at the end of a soak.

Not the contact centre's record of its attempts: an attempt that a `kill -9` left without an answer may have been
stored all the same, and what follows it is then repeated minutes before it is answered.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

_STORED = "SELECT remote_id, event_at, min(received_at) FROM inbox WHERE endpoint = 'asset' GROUP BY 1, 2"


async def received_ms(database_url: str, attempts: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """When each text of an agent was first stored, by text, milliseconds since the epoch.

    Args:
        database_url: the server's.
        attempts: all deliveries that the emulator tried (`GET /__sim/v1/deliveries`), taken or not.
    """
    stored = {(task_id, sent_at): at for task_id, sent_at, at in await _stored(database_url)}
    received: dict[str, float] = {}
    for attempt in attempts:
        if attempt["destination"] != "asset":
            continue
        at = stored.get((attempt["taskId"], int(attempt["body"]["comciscotimestamp"])))
        if at is not None:
            text = plain(attempt["body"]["data"]["channelParams"]["message"]["text"])
            received[text] = min(received.get(text, at), at)
    return received


def plain(text: str) -> str:
    """An agent's text without the markup of the desktop's editor."""
    return text.removeprefix("<p>").removesuffix("</p>")


async def _stored(database_url: str) -> list[tuple[str, int, int]]:
    if database_url.startswith("sqlite:///"):
        path = database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(_STORED).fetchall()
    import asyncpg  # Only where there is a PostgreSQL.

    connection = await asyncpg.connect(database_url)
    try:
        return [tuple(row) for row in await connection.fetch(_STORED)]
    finally:
        await connection.close()
