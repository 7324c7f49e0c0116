"""The part of the store that forgets: one customer, or what has been kept long enough. See `ports`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What is to be forgotten: sessions, phone numbers (E.164), and customers as projects remember them.

    `customers` are (project id, customer) as in `CustomerStore`.
    """

    sessions: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    customers: tuple[tuple[str, str], ...] = ()


class ErasingStore(Protocol):
    """Forgets for good. The audit log is not touched: it holds ids, never what was said."""

    async def sessions_of(self, *, subject: str = "", number: str = "") -> list[str]:
        """The sessions of a user identity or of a customer's phone number. Reads all sessions: for rare use."""
        ...

    async def erase(self, erasure: Erasure) -> Mapping[str, int]:
        """Delete everything that is stored of these; returns how many rows by table. May be repeated."""
        ...

    async def scrub(self, *, most_bytes: int = 0) -> bool:
        """Overwrite what deleted rows left in unused parts of the database's file; nothing is written meanwhile.

        False when not all of it could be: the file is larger than `most_bytes` (0: whatever it takes), something reads
        from it for long, or the database does that by itself.
        """
        ...

    async def ended_before(self, project_id: str, before: int, limit: int) -> list[str]:
        """Sessions of a project that had ended by then, those that changed longest ago first."""
        ...

    async def forget_dead(self, *, before: int, limit: int) -> int:
        """Forget dead letters that were decided before that time; returns how many."""
        ...

    async def forget_audit(self, *, before: int, limit: int) -> int:
        """Forget entries of the audit log from before that time; returns how many."""
        ...

    async def save_setting(self, key: str, value: str) -> None:
        """Insert or replace a value of `Store.settings`."""
        ...
