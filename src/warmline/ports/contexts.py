"""The part of the store that keeps verified context. See `ports`."""

from collections.abc import Mapping
from typing import Protocol


class ContextStore(Protocol):
    """Keeps what a customer's page vouched for, by session (messaging-protocol.md §12)."""

    async def context(self, session_id: str) -> dict[str, object]:
        """The session's verified context; {} when there is none."""
        ...

    async def save_context(self, session_id: str, context: Mapping[str, object]) -> None:
        """Insert or replace all of it; durable when this returns."""
        ...
