"""Identifiers that count instead of surprising."""

import base64
import hashlib
import itertools


class SequentialIds:
    """Implements `ports.Ids`: the same calls give the same values. `seed` keeps two sources apart."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = itertools.count(1)

    def uuid(self) -> str:
        """The next UUID, of version 4 by its form."""
        return f"{self._seed:08x}-0000-4000-8000-{next(self._count):012x}"

    def secret(self, size: int = 32) -> str:
        """The next `size` bytes, URL-safe base64 without padding."""
        raw = hashlib.shake_256(f"{self._seed}/{next(self._count)}".encode()).digest(size)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
