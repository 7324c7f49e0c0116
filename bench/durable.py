"""The durable relay: the bare one with the durable steps that the promises need, and nothing else.

A customer's message and its delivery are on disk before the echo, the delivery is settled after the contact centre took
it, a webhook and what it means are on disk before it is answered and shown. One SQLite file as Warmline's: one writer
thread, group commit, synced. No domain, no owner, no order, no recovery, no catalog: what this costs above the bare
relay is what any durable relay of this kind costs in this language.
Run by `bench/relay.py` as `python bench/durable.py` with a JSON line on standard input; prints its address.
"""

import asyncio
import json
import queue
import sqlite3
import sys
import threading
import uuid
from itertools import chain
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from bare import BareRelay, serve

_SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE events (session TEXT, number INTEGER, body TEXT, PRIMARY KEY (session, number)) WITHOUT ROWID;
    CREATE TABLE deliveries (id TEXT PRIMARY KEY, session TEXT, body TEXT) WITHOUT ROWID;
    CREATE TABLE webhooks (key TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID;"""
_EVENT = ("INSERT INTO events VALUES {}", "(?, ?, ?)")
_DELIVERY = ("INSERT INTO deliveries VALUES {}", "(?, ?, ?)")
_DELIVERED = ("DELETE FROM deliveries WHERE id IN ({})", "?")
_WEBHOOK = ("INSERT INTO webhooks VALUES {}", "(?, ?)")

Row = tuple[tuple[str, str], tuple[object, ...]]
"""How it is written, and its values."""


class Log:
    """Writes rows; those that come while it is writing share the next commit."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)
        self._queue: queue.SimpleQueue[tuple[tuple[Row, ...], asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    async def write(self, *rows: Row) -> None:
        """Returns when they are on disk."""
        future = self._loop.create_future()
        self._queue.put((rows, future))
        await future

    def _serve(self) -> None:
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            grouped: dict[tuple[str, str], list[tuple[object, ...]]] = {}
            for write, values in chain.from_iterable(rows for rows, _ in batch):
                grouped.setdefault(write, []).append(values)
            self._db.execute("BEGIN")
            for (text, row), many in grouped.items():
                self._db.execute(text.format(", ".join([row] * len(many))), list(chain.from_iterable(many)))
            self._db.execute("COMMIT")
            self._loop.call_soon_threadsafe(_written, [future for _, future in batch])


def _written(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


class DurableRelay(BareRelay):
    """Keeps in memory only what it would read at its start."""

    def __init__(self, vendor_url: str, secret: bytes, token: str, log: Log) -> None:
        super().__init__(vendor_url, secret, token)
        self._log = log
        self._numbers: dict[str, int] = {}
        self._heard: set[str] = set()

    async def accept(
        self, session: str, socket: web.WebSocketResponse, payload: dict[str, str], metadata: object
    ) -> None:
        """Echo a customer's message when it is on disk, and hand it on."""
        delivery, text = str(uuid.uuid4()), payload["text"]
        await self._log.write(self._event(session, text), (_DELIVERY, (delivery, session, text)))
        await self._send(socket, "USER_MESSAGE", payload, metadata)
        await self.forward(session, text)
        await self._log.write((_DELIVERED, (delivery,)))

    async def hear(self, session: str, event: dict[str, Any], body: bytes) -> None:
        """Show what a webhook says when both are on disk."""
        key = f"{event['type']}|{event['id']}|{event['data']['taskId']}|{event['comciscotimestamp']}"
        if key in self._heard:
            return
        self._heard.add(key)
        await self._log.write((_WEBHOOK, (key, body)), self._event(session, event["type"]))
        await super().hear(session, event, body)

    def _event(self, session: str, body: str) -> Row:
        number = self._numbers[session] = self._numbers.get(session, 0) + 1
        return _EVENT, (session, number, body)


async def main() -> None:
    """Serve as ordered on standard input."""
    given = json.loads(sys.stdin.readline())
    log = Log(Path(given["folder"]) / "durable.db")
    await serve(DurableRelay(given["vendor_url"], given["secret"].encode(), given["token"], log))


if __name__ == "__main__":
    uvloop.run(main())
