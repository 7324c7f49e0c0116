"""Time, identity and secrecy."""

from typing import Protocol

from warmline.ports.sealed import SealedBy


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


class SecretBox(Protocol):
    """Encrypts what must not lie on disk in the clear."""

    def seal(self, plain: bytes) -> bytes:
        """Encrypt with the current key."""
        ...

    def open(self, sealed: bytes) -> bytes:
        """Decrypt with the current or a previous key. Raises ConfigError when no key fits."""
        ...

    def sealed_by(self, sealed: bytes) -> SealedBy:
        """Which key opens it."""
        ...
