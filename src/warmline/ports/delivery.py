"""How an effect's handler answers delivery."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from warmline.ports.records import OutboxRow, Settlement


@dataclass(frozen=True, slots=True)
class Done:
    """The effect has happened, or is not wanted any more; delivery settles the row."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The handler settled the row in a change of its own."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do until the stream is woken; looked at again after `recheck_s` at the latest."""

    recheck_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not work now. `after` seconds, or None for the usual backoff. `certain`: it did not take effect.

    When it may have taken effect, waking the stream asks the handler before the time is up (the row's `next_at`
    is still in the future then), so that it can see whether a confirmation came.
    """

    error: str
    after: float | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It will never work: a dead letter."""

    error: str


Outcome = Done | Settled | Waiting | Retry | GiveUp

Handler = Callable[[OutboxRow, Settlement], Awaitable[Outcome]]
"""Makes an effect happen. Called for one row of a stream at a time, oldest first; may be called again."""
