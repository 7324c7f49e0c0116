"""The virtual agent's engine."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from warmline.domain.turn import TurnInput, TurnOutcome


class TurnEngine(Protocol):
    """Runs turns of one project. Knows no store and no provider."""

    async def run(
        self,
        turn: TurnInput,
        before_functions: Callable[[], Awaitable[None]],
        stream: Callable[[str], None] | None = None,
    ) -> TurnOutcome:
        """Run one turn to its end.

        `before_functions` is awaited once, before the first function of this turn starts: a turn that was
        interrupted after it is not run again (design.md §8). When it raises StoreUnavailable, so does this. Never
        raises for anything the project does: that comes as an outcome with `failed` and findings.

        `stream`, where the customer reads answers while they come, may be given the beginning of the first text of
        the outcome, in pieces; it returns at once. None: nobody would read it.
        """
        ...

    async def close(self) -> None:
        """Stop workers."""
        ...
