"""Links between handoffs and conversations over there, and how far our part of each has come."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from warmline.delivery.cache import Cache
from warmline.ports import Link, Store

_KEY = "delivery"
"""Where delivery keeps its own record inside `Link.data`."""

_PARTS = uuid.UUID("6b6f0f5e-5d0c-4f0f-9d3a-7c7f6d1a2b10")
"""Namespace of the ids of brief parts."""

_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """They refused to open after all (`OpenRefused`), at `at` milliseconds since the epoch."""

    reason: str
    at: int
    retry_after: float | None = None
    adopt: str = ""
    older: str = ""
    shorten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """A message that was sent again `times` times, the last time at `due` (milliseconds since the epoch)."""

    times: int
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefOf:
    """Which brief it is: the fields of `effects.OpenConversation` that it is made from."""

    through: int
    answered: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a handoff has come over there.

    `brief_limit` is the length (code points) the brief was cut to, so that it is cut the same way again;
    of its `brief_parts`, `brief_sent` were sent; `brief_of` is what it tells. `shortened`: they refused a longer one.
    `resent` tells of messages by id, `aliases` their ids by the ids they went out under instead.
    `confirmed` are messages that were confirmed when their session had ended.
    """

    brief_limit: int = 0
    brief_parts: int = 1
    brief_sent: int = 1
    brief_of: BriefOf | None = None
    refusals: int = 0
    refused: Refusal | None = None
    shortened: bool = False
    resent: Mapping[str, Resent] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    confirmed: tuple[str, ...] = ()


def part_id(handoff_id: str, part: int, refusals: int = 0) -> str:
    """The message id of a part of the brief, from 0; the same in every attempt until they refuse it after all."""
    return str(uuid.uuid5(_PARTS, f"{handoff_id}/{part}/{refusals}" if refusals else f"{handoff_id}/{part}"))


def progress(link: Link) -> Progress:
    """The progress noted in a link."""
    noted = link.data.get(_KEY)
    return Progress() if noted is None else msgspec.convert(noted, Progress)


def with_progress(link: Link, now: Progress) -> Link:
    """The link with this progress noted."""
    noted: Mapping[str, Any] = msgspec.to_builtins(now)
    return replace(link, data={**link.data, _KEY: noted})


class Links:
    """Links in memory, beside those in the store. What is not known here may still be in the store.

    Owners of partitions write them: those of other nodes, too. So what is in memory counts only while this node owns
    all partitions (`alone`); else the store is asked each time.
    """

    def __init__(self, store: Store, alone: Callable[[], bool] = lambda: True) -> None:
        self._store = store
        self._alone = alone
        self._by_handoff: Cache[str, Link] = Cache(_REMEMBERED)
        self._by_remote: Cache[tuple[str, str], Link] = Cache(_REMEMBERED)
        self._watchers: list[Callable[[Link], None]] = []

    def watch(self, callback: Callable[[Link], None]) -> None:
        """Call `callback` after a link was saved here."""
        self._watchers.append(callback)

    async def get(self, handoff_id: str) -> Link | None:
        """The link of a handoff."""
        link = self._by_handoff.get(handoff_id) if self._alone() else None
        if link is None:
            link = await self._store.link(handoff_id)
            if link is not None:
                self._remember(link)
        return link

    async def by_remote(self, connection_id: str, remote_id: str) -> Link | None:
        """The link of a conversation over there; any of them where several sessions are in it."""
        link = self.known(connection_id, remote_id) if self._alone() else None
        if link is None:
            link = next(iter(await self._store.links_by_remote(connection_id, remote_id)), None)
            if link is not None:
                self._remember(link)
        return link

    async def beside(self, link: Link) -> list[Link]:
        """The links of other handoffs in the same conversation, as they lie in the store."""
        found = await self._store.links_by_remote(link.connection_id, link.remote_id)
        return [other for other in found if other.handoff_id != link.handoff_id]

    def known(self, connection_id: str, remote_id: str) -> Link | None:
        """The link if it is in memory."""
        return self._by_remote.get((connection_id, remote_id))

    def forget(self) -> None:
        """What is in memory may be old."""
        self._by_handoff = Cache(_REMEMBERED)
        self._by_remote = Cache(_REMEMBERED)

    async def save(self, link: Link) -> None:
        """Save it durably; one of the same handoff is replaced."""
        await self._store.save_link(link)
        self.saved(link)

    def saved(self, link: Link) -> None:
        """A change that carried this link was committed."""
        before = self._by_handoff.get(link.handoff_id)
        if before is not None and before.remote_id != link.remote_id:
            self._by_remote.forget((before.connection_id, before.remote_id))
        self._remember(link)
        for watcher in self._watchers:
            watcher(link)

    def _remember(self, link: Link) -> None:
        self._by_handoff.put(link.handoff_id, link)
        self._by_remote.put((link.connection_id, link.remote_id), link)
