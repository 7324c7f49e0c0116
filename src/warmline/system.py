"""The real clock and the real source of identifiers."""

import asyncio
import secrets
import time
import uuid


class SystemClock:
    """Implements `ports.Clock` on the machine's clocks."""

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch (UTC)."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class SystemIds:
    """Implements `ports.Ids` on the operating system's randomness; safe to call from any thread."""

    def uuid(self) -> str:
        """A random UUID (version 4)."""
        return str(uuid.uuid4())

    def secret(self, size: int = 32) -> str:
        """`size` random bytes, URL-safe base64 without padding."""
        return secrets.token_urlsafe(size)
