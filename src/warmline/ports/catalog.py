"""The part of the store that lists and searches conversations. It follows the logs and may lag behind them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from warmline.domain.catalog import Entry, Followed, HandoffFacts
from warmline.ports.event_hooks import Receiver
from warmline.ports.records import LateDelivery, OutboxRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which conversations a list shows, newest change first.

    Empty fields do not narrow. `stages` are values of `domain.catalog.Stage`. `words` are searched in what was said;
    all must occur in one message. `before` is (updated_at, session id) of the last entry of the page before.
    `sandbox`: also those in the environment "sandbox", where projects are tried. `patience_s`: so long a search looks
    on when it has found some; until it has, twenty times as long at most, or no longer either when it is `hasty`.
    """

    projects: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    channel: str = ""
    connection_id: str = ""
    words: str = ""
    sandbox: bool = False
    before: tuple[int, str] | None = None
    limit: int = 50
    patience_s: float = math.inf
    hasty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of conversations.

    `back_to` is not 0 when a search was stopped before the page was full: what changed at this time (epoch ms) or
    later was looked through, what changed before it was not.
    """

    entries: tuple[Entry, ...] = ()
    back_to: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestones:
    """What has ever happened in a project."""

    joined: bool
    """A live agent has joined a handoff."""
    completed: bool
    """A handoff was ended on the contact centre's side after an agent had joined."""


class CatalogStore(Protocol):
    """Keeps the entries of conversations."""

    async def catalog_entry(self, session_id: str) -> Entry | None:
        """The entry as it is stored."""
        ...

    async def save_catalog(self, followed: Sequence[Followed], receivers: Sequence[Receiver] = ()) -> None:
        """Replace entries by newer ones (older ones change nothing), with their handoffs and texts.

        In the same transaction, queue what `receivers` want of the events that are new.
        """
        ...

    async def catalog_behind(self, limit: int) -> list[str]:
        """Sessions whose log is longer than their entry knows, or that have none."""
        ...

    async def date_texts(self) -> int:
        """Give some texts from before an upgrade, the newest first, what searches are quicker with.

        Gives since when (epoch ms) all have it; 0: none are left.
        """
        ...

    async def conversations(self, wanted: Wanted) -> Listing:
        """A page of the entries that fit."""
        ...

    async def handoffs_of(self, session_id: str) -> list[HandoffFacts]:
        """The handoffs of a session, in order."""
        ...

    async def deliveries(self, session_id: str) -> list[tuple[OutboxRow, bool]]:
        """A session's effects that are not done, oldest first; True: given up."""
        ...

    async def late_deliveries(self, session_id: str) -> list[LateDelivery]:
        """A session's effects that were done after failed attempts, oldest first."""
        ...

    async def milestones(self, project_id: str) -> Milestones:
        """What has ever happened."""
        ...

    async def open_handoffs(self, connection_id: str) -> int:
        """How many handoffs are under way over a connection."""
        ...
