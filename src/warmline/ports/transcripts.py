"""The part of the store that keeps the contact centres' own transcripts (webex-byoc.md §18.3). See `ports`."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A handoff's transcript as the platform keeps it, or what is done to get it.

    Times are milliseconds since the epoch; `next_at` 0: nothing more is tried. `content` None: it is not here.
    """

    handoff_id: str
    session_id: str
    connection_id: str
    remote_id: str
    ended_at: int
    tries: int = 0
    next_at: int = 0
    content: bytes | None = field(default=None, repr=False)


class TranscriptStore(Protocol):
    """Keeps transcripts beside the session's log."""

    async def save_transcript(self, transcript: Transcript) -> None:
        """Insert or replace the handoff's one."""
        ...

    async def transcripts_due(self, now: int, limit: int = 20) -> list[Transcript]:
        """Those whose next try is due, oldest first."""
        ...

    async def transcripts(self, session_id: str) -> list[Transcript]:
        """Those of a session, in the order of its handoffs."""
        ...
