"""What the store keeps sealed: sealing it anew with another key of the operator, and giving up what does not open."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class SealedBy(StrEnum):
    """Which of the operator's keys opens something that is sealed."""

    CURRENT = "current"
    PREVIOUS = "previous"
    UNKNOWN = "unknown"
    """A key that is not configured."""
    DAMAGED = "damaged"
    """None: its key is configured, and yet it does not open."""

    @property
    def opens(self) -> bool:
        """Whether it can be opened."""
        return self in (SealedBy.CURRENT, SealedBy.PREVIOUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A secret as it lies in the store, unopened.

    `kind` is "connection", "project" or "receiver"; `owner_id` says which, `owner` what operators call it ("": as its
    id). `name` is the secret's own.
    """

    kind: str
    owner_id: str
    owner: str
    name: str
    by: SealedBy
    sealed: bytes = field(repr=False)


class SealedStore(Protocol):
    """Tells what is sealed, seals it anew, and forgets what cannot be opened."""

    async def sealed_secrets(self) -> list[SealedSecret]:
        """All that is sealed, by kind, owner and name. Opens each to see that it can be, and keeps nothing of it."""
        ...

    async def seal_anew(self, secrets: Sequence[SealedSecret]) -> int:
        """Seal those of `secrets` with the current key that a previous one had sealed; returns how many.

        One that is stored anew or deleted meanwhile is left as it is then. May be stopped and repeated at any time.
        """
        ...

    async def forget_sealed(self, secrets: Sequence[SealedSecret]) -> int:
        """Forget those of `secrets` that cannot be opened, unless they were stored anew meanwhile; returns how many.

        Connections and projects lose them. A receiver of event webhooks gets a secret that nobody knows and is paused.
        """
        ...
