"""The part of the store that keeps files while they are passed on (webex-byoc.md §13). See `ports`."""

from dataclasses import dataclass, field
from typing import Protocol

MAX_FILE_BYTES = 10 * 1024 * 1024
"""The largest file that is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a session. `expires_at` (milliseconds since the epoch) is when it is forgotten."""

    id: str
    session_id: str
    name: str
    mime_type: str
    content: bytes = field(repr=False)
    created_at: int
    expires_at: int


class FileStore(Protocol):
    """Keeps files durably, for all nodes."""

    async def save_file(self, file: StoredFile) -> None:
        """Insert; durable when this returns. Raises RuleViolation when it is larger than `MAX_FILE_BYTES`."""
        ...

    async def file(self, file_id: str) -> StoredFile | None:
        """The file, also an expired one that was not forgotten yet."""
        ...

    async def forget_files(self, *, expired_by: int) -> int:
        """Forget files whose time had come by then (milliseconds since the epoch); returns how many."""
        ...
