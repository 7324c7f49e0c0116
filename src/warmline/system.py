"""The real clock, the real source of identifiers, and the process's garbage collector."""

import asyncio
import gc
import os
import secrets
import socket
import time
from collections import deque

from warmline.config import Settings


class SystemClock:
    """Implements `ports.Clock` on the machine's clocks."""

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch (UTC)."""
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)
    """Seconds that never jump."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


_AT_ONCE = 256
_VARIANTS = "89ab" * 4
"""The first digit of a UUID's fourth group: two fixed bits, two random ones (RFC 9562, section 4.1)."""


class SystemIds:
    """Implements `ports.Ids` on the operating system's randomness; safe to call from any thread."""

    def __init__(self) -> None:
        self._random: deque[bytes] = deque()

    def uuid(self) -> str:
        """A random UUID (version 4)."""
        try:
            raw = self._random.pop()
        except IndexError:
            raw = self._draw()
        # The form of str(uuid.UUID(bytes=raw, version=4)), without the object in between: every event needs one.
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[raw[8] >> 4]}{text[17:20]}-{text[20:]}"

    def _draw(self) -> bytes:
        """Take a supply: each call to the system lets another thread run first, which costs more than the bytes."""
        supply = os.urandom(16 * _AT_ONCE)
        self._random.extend(supply[start : start + 16] for start in range(16, len(supply), 16))
        return supply[:16]

    def secret(self, size: int = 32) -> str:
        """`size` random bytes, URL-safe base64 without padding; never begins like an option of a command line."""
        while (secret := secrets.token_urlsafe(size)).startswith("-"):
            pass
        return secret


def node_name(settings: Settings) -> str:
    """What this process is called among those on the same database: the same again after a restart."""
    return settings.node or f"{socket.gethostname()}:{settings.port}"


_NEW_BEFORE_A_COLLECTION = 10_000
_COLLECTIONS_BEFORE_A_FULL_ONE = 6


def make_full_collections_rare() -> None:
    """Call once in a server's process when everything has started: until then nothing is worth looking at again.

    A full collection stops every conversation while it looks at every object, about a hundred for each open socket;
    with 10,000 of them that is a pause of a second. CPython makes one whenever the objects have grown by a quarter
    (https://docs.python.org/3.11/library/gc.html#gc.set_threshold), at the earliest after 70,000 new objects; now after
    ten times as many, some 7,000 conversations. They are not switched off: connections that end leave cycles behind.
    Small collections, by default one for every 700 new objects, took a twentieth of a busy server's time: what a
    message needs is gone without them, so that they find little, whenever they are.
    """
    gc.collect()
    gc.freeze()
    _, middle, _ = gc.get_threshold()
    gc.set_threshold(_NEW_BEFORE_A_COLLECTION, middle, _COLLECTIONS_BEFORE_A_FULL_ONE)
