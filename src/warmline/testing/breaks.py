"""Breaks a promise on purpose, for tests that want to know whether the tests would notice.

As a plugin of pytest: `WARMLINE_BREAK=inbox-unique pytest -p warmline.testing.breaks …`. The program knows nothing
of it, and nothing of the program imports it.
"""

import asyncio
import os
import uuid
from collections.abc import Callable
from typing import Any

from warmline.conversation.service import Conversations
from warmline.delivery.leases import Leases
from warmline.delivery.streams import Streams
from warmline.domain.copies import replace
from warmline.domain.events import Recorded
from warmline.handoff.providers.webex import webhook
from warmline.ports import Change, Committed, InboxRow, Poke, Settlement
from warmline.store.base import SqlStore

VARIABLE = "WARMLINE_BREAK"


def _skip_the_inbox_uniqueness() -> None:
    accept = SqlStore.accept

    async def anything(self: SqlStore, row: InboxRow) -> int | None:
        return await accept(self, replace(row, key=uuid.uuid4().hex))

    _put(SqlStore, "accept", anything)


def _skip_the_lease_check() -> None:
    def agree(self: Leases, settlement: Settlement) -> None:
        del self, settlement

    _put(Leases, "check", agree)


def _echo_before_commit() -> None:
    commit = Conversations._commit

    async def too_early(self: Conversations, change: Change) -> Committed:
        stored = await self._store.session(change.session_id)
        if stored is not None and change.decide is not None and change.dedup_key.startswith("client:"):
            first = stored.session.last_sequence + 1
            events = tuple(
                Recorded(sequence=number, id=uuid.uuid4().hex, at=change.at, event=event)
                for number, event in enumerate(change.decide(stored.session).events, first)
            )
            self._bus.send(Poke(session_id=change.session_id, upto=first + len(events) - 1, events=events))
        return await commit(self, change)

    _put(Conversations, "_commit", too_early)


def _send_side_by_side() -> None:
    async def all_at_once(self: Streams, stream: Any) -> None:
        rows, stream.rows = [row for _, row in stream.rows], []
        await asyncio.gather(*(self._deliver(row) for row in rows))
        for row in rows:
            self._settled.add(row.id)
            stream.ids.discard(row.id)
        stream.state = type(stream.state).IDLE
        self._leave(stream)

    _put(Streams, "_run", all_at_once)


def _ignore_the_transport_key() -> None:
    def another(envelope: object, body: bytes) -> str:
        del envelope, body
        return uuid.uuid4().hex

    _put(webhook, "_transport_key", another)


BREAKS: dict[str, Callable[[], None]] = {
    "inbox-unique": _skip_the_inbox_uniqueness,
    "lease-check": _skip_the_lease_check,
    "echo-after-commit": _echo_before_commit,
    "one-in-flight": _send_side_by_side,
    "transport-key": _ignore_the_transport_key,
}
"""What can be broken."""


def _put(owner: object, name: str, broken: object) -> None:
    """Put something broken in the place of what is there; raises AttributeError when it is not there any more."""
    getattr(owner, name)
    setattr(owner, name, broken)


def pytest_configure() -> None:
    """Break what the environment names. Raises KeyError when there is no such promise."""
    BREAKS[os.environ[VARIABLE]]()
