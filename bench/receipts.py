"""When the server took in what agents said: its own record of the webhooks, read beside it at the end of a soak.
And which words of customers it had to say again.

Not the contact centre's record of its attempts: an attempt that a `kill -9` left without an answer may have been
stored all the same, and what follows it is then repeated minutes before it is answered.

A node notes when it received a webhook; another one sees it only when the database has stored it, which may be later by
as long as the node or its connection hangs. On PostgreSQL a trigger of the soak notes that, too.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import asyncpg

_CALL_MS = 9_000.0
"""A call that took that long was given up, or was about to be, by whoever made it."""
_ON_THE_WAY_MS = 100.0
"""Nothing can stop a request that was begun so short a time before."""
_CONFIRM_MS = 2_000.0
"""So long the contact centre has to confirm what it was not seen to take."""
_RECEIVED = "SELECT remote_id, event_at, min(received_at) FROM inbox WHERE endpoint = 'asset' GROUP BY 1, 2"
_STORED = "SELECT remote_id, event_at, min(at) FROM soak_stored GROUP BY 1, 2"
_TRIGGER = """
CREATE TABLE soak_stored (remote_id text, event_at bigint, at double precision);
CREATE FUNCTION soak_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO soak_stored VALUES (NEW.remote_id, NEW.event_at, extract(epoch FROM clock_timestamp()) * 1000);
    RETURN NULL;
END $$;
CREATE TRIGGER soak_note AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION soak_note();
"""

Times = dict[tuple[str, int], float]
"""Milliseconds since the epoch, by the conversation and time of the contact centre."""


@dataclass(slots=True)
class Receipts:
    """When each text of an agent was first received by a node, and when it was in the database: milliseconds.

    `unconfirmed`: how often a customer's text was rightly sent again (`repeats`).
    """

    received: dict[str, float] = field(default_factory=dict)
    stored: dict[str, float] = field(default_factory=dict)
    unconfirmed: dict[str, int] = field(default_factory=dict)


async def watch(database_url: str) -> None:
    """From now on note when webhooks come into this PostgreSQL."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_TRIGGER)
    finally:
        await connection.close()


async def read(
    database_url: str, deliveries: Iterable[Mapping[str, Any]], appends: Iterable[Mapping[str, Any]]
) -> Receipts:
    """What is known of the texts.

    Args:
        database_url: the server's; a PostgreSQL was watched (`watch`).
        deliveries: what the emulator tried to deliver of messages (`GET /__sim/v1/deliveries`), taken or not.
        appends: the customers' messages it was asked to take (`GET /__sim/v1/requests`).
    """
    receipts = Receipts()
    received, stored = await _times(database_url)
    confirmed: dict[str, float] = {}
    for attempt in deliveries:
        body = attempt["body"]
        text = plain(body["data"]["channelParams"]["message"]["text"])
        if attempt["destination"] != "asset":
            if attempt["outcome"] == "delivered":
                confirmed.setdefault(text, attempt["at"])
            continue
        key = attempt["taskId"], int(body["comciscotimestamp"])
        if key in received:
            receipts.received[text] = min(receipts.received.get(text, received[key]), received[key])
            receipts.stored[text] = min(receipts.stored.get(text, stored[key]), stored[key])
    sent: dict[str, list[tuple[float, float]]] = {}
    for request in appends:
        text = request["body"]["channelParams"]["message"]["text"]
        sent.setdefault(text, []).append((request["at"] - request["latencyMs"], request["at"]))
    receipts.unconfirmed = {text: repeats(times, confirmed.get(text)) for text, times in sent.items()}
    return receipts


def repeats(times: Sequence[tuple[float, float]], confirmed: float | None) -> int:
    """How often it was right to send a message again: no confirmation had been accepted when it was due.

    Args:
        times: when requests with it came and were answered, milliseconds.
        confirmed: when the server had answered its confirmation with 2xx, None: never.
    """
    rightly = 0
    for (begun, answered), (again, _) in pairwise(sorted(times)):
        given_up = min(answered, begun + _CALL_MS)
        rightly += again >= given_up + _CONFIRM_MS and (confirmed is None or confirmed > again - _ON_THE_WAY_MS)
    return rightly


def plain(text: str) -> str:
    """An agent's text without the markup of the desktop's editor."""
    return text.removeprefix("<p>").removesuffix("</p>")


async def _times(database_url: str) -> tuple[Times, Times]:
    if database_url.startswith("sqlite:///"):
        path = database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            received = _by_key(database.execute(_RECEIVED).fetchall())
        return received, received
    connection = await asyncpg.connect(database_url)
    try:
        return _by_key(await connection.fetch(_RECEIVED)), _by_key(await connection.fetch(_STORED))
    finally:
        await connection.close()


def _by_key(rows: Iterable[Any]) -> Times:
    return {(row[0], row[1]): row[2] for row in rows}
