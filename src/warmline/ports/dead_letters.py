"""The part of the store that keeps effects which could not be delivered. See `ports`."""

from typing import Protocol

from warmline.ports.records import OutboxRow


class DeadLetterStore(Protocol):
    """Keeps dead letters until somebody retries or discards them."""

    async def dead(self, limit: int = 100) -> list[OutboxRow]:
        """Dead letters, newest first."""
        ...

    async def dead_letters(
        self, project_id: str, *, connection_id: str = "", before: int = 0, limit: int = 50
    ) -> list[OutboxRow]:
        """Those of a project's conversations, newest first; with `before`, those whose id is below it."""
        ...

    async def dead_count(self, *, project_id: str = "", connection_id: str = "", most: int = 1000) -> int:
        """How many there are; counts up to `most`."""
        ...

    async def dead_letter(self, row_id: int) -> OutboxRow | None:
        """The dead letter; None when there is none with this id."""
        ...

    async def revive(self, row_id: int, *, at: int = 0) -> OutboxRow | None:
        """Make a dead letter pending again, as if it had been decided `at` (0: when it was); None when it is not dead.

        Its last error stays: what became of the last attempt may not be known.
        """
        ...

    async def discard(self, row_id: int) -> bool:
        """Forget a dead letter; False when there is none with this id."""
        ...
