"""Receivers of event webhooks, the events that wait for them, and who sends them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from warmline.domain.events import Recorded
from warmline.domain.published import kind_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A program outside that is told what happens in conversations.

    `kinds` are of `domain.published.KINDS`. `project_id` "" means every project. `sandbox`: also what happens in the
    environment "sandbox", where projects are tried. `previous` is the secret before the last rotation; it signs, too,
    until `previous_until` (epoch milliseconds). Times are epoch milliseconds, 0: never.
    """

    id: str
    name: str
    url: str
    kinds: tuple[str, ...]
    project_id: str = ""
    sandbox: bool = False
    paused: bool = False
    secret: str = field(default="", repr=False)
    previous: str = field(default="", repr=False)
    previous_until: int = 0
    created_at: int = 0
    accepted_at: int = 0
    """When it last accepted an event."""

    def wants(self, project_id: str, environment: str, recorded: Recorded) -> bool:
        """Whether this event is for it. What happened before it was made is not."""
        return (
            self.project_id in ("", project_id)
            and (self.sandbox or environment != "sandbox")
            and kind_of(recorded.event) in self.kinds
            and recorded.at >= self.created_at
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedEvent:
    """An event that waits for a receiver, or was given up. Its content is read from the log when it is sent."""

    receiver_id: str
    session_id: str
    sequence: int
    created_at: int
    attempts: int = 0
    next_at: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a receiver has not got: how many wait and since when the oldest, how many were given up, the last error."""

    waiting: int = 0
    oldest_at: int = 0
    dead: int = 0
    error: str = ""


class EventQueueStore(Protocol):
    """Keeps receivers and what waits for them. `CatalogStore.save_catalog` fills the queue."""

    async def receivers(self) -> list[Receiver]:
        """All, oldest first, secrets opened."""
        ...

    async def save_receiver(self, receiver: Receiver) -> None:
        """Insert or replace; secrets are sealed, `accepted_at` stays as it is."""
        ...

    async def delete_receiver(self, receiver_id: str) -> None:
        """Remove it with everything that waits for it."""
        ...

    async def events_due(
        self, receiver_id: str, partitions: Collection[int], now: int, limit: int
    ) -> list[QueuedEvent]:
        """Of each session the first event that waits, if it is due; oldest first."""
        ...

    async def events_accepted(self, events: Sequence[QueuedEvent], now: int) -> None:
        """The receiver of all these has them: forget them."""
        ...

    async def event_failed(self, event: QueuedEvent, *, dead: bool) -> None:
        """Keep an event with its attempts, its error and when it is due again; `dead`: it is given up."""
        ...

    async def hasten_events(self, receiver_ids: Collection[str], *, after: int) -> None:
        """Let what waits for these receivers and would be due after that time be due now."""
        ...

    async def give_up_events(self, receiver_id: str, *, before: int, error: str) -> int:
        """Give up what has waited since before that time; returns how many."""
        ...

    async def redeliver_events(self, receiver_id: str, now: int) -> int:
        """Let everything that was given up wait again; returns how many."""
        ...

    async def dead_events(self, receiver_id: str, limit: int = 100) -> list[QueuedEvent]:
        """What was given up, newest first."""
        ...

    async def backlogs(self) -> dict[str, Backlog]:
        """By receiver; those for whom nothing waits are left out."""
        ...

    async def forget_events(self, *, before: int) -> int:
        """Forget events, given up or waiting, that were queued before that time; returns how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a receiver answered. `status` is the HTTP status, 0 without one; `error` is a code, "" when it accepted."""

    status: int
    error: str
    milliseconds: int


class EventSender(Protocol):
    """Sends what waits."""

    def problem(self, url: str) -> str:
        """Why nothing can be sent to an address ("bad_address", "private_address"); "" when it can."""
        ...

    async def changed(self) -> None:
        """Receivers were added, changed or removed."""
        ...

    async def test(self, receiver: Receiver) -> Tried:
        """Send a signed event of the kind "test" now, once."""
        ...
