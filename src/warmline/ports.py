"""What the inside needs from the outside, as Protocols. Implementations live at the edges; `app` names them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from warmline.domain.turn import TurnInput, TurnOutcome


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch (UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class Ids(Protocol):
    """The only source of new identifiers."""

    def uuid(self) -> str:
        """A new UUID in its 36-character form."""
        ...

    def secret(self, size: int = 32) -> str:
        """`size` random bytes, URL-safe base64 without padding; never predictable outside tests."""
        ...


class TurnEngine(Protocol):
    """Runs turns of one project. Knows no store and no provider."""

    async def run(self, turn: TurnInput, before_functions: Callable[[], Awaitable[None]]) -> TurnOutcome:
        """Run one turn to its end.

        `before_functions` is awaited once, before the first function of this turn starts: a turn that was
        interrupted after it is not run again (design.md §8). Never raises for anything the project does:
        that comes as an outcome with `failed` and findings.
        """
        ...

    async def close(self) -> None:
        """Stop workers."""
        ...
