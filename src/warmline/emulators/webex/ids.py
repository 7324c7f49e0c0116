"""Identifiers that follow from a seed, so that the same script gives the same bytes."""

import random
import secrets
import uuid


class Ids:
    """Source of ids. Every kind has its own stream, so that one kind's use never shifts another's.

    Args:
        seed: start of the streams; None gives unpredictable ids.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed: int | str = seed if seed is not None else secrets.randbits(64)
        self._streams: dict[str, random.Random] = {}

    def begin_again(self, start: int) -> None:
        """Give out other ids than in the starts before `start` of the same seed."""
        self._seed = f"{self._seed}:{start}"
        self._streams.clear()

    def stream(self, kind: str) -> random.Random:
        """Return the random stream of `kind`."""
        if kind not in self._streams:
            self._streams[kind] = random.Random(f"{self._seed}:{kind}")
        return self._streams[kind]

    def uuid(self, kind: str) -> str:
        """Return the next UUID4 of `kind`."""
        return str(uuid.UUID(int=self.stream(kind).getrandbits(128), version=4))

    def hex(self, kind: str, digits: int = 32) -> str:
        """Return the next hexadecimal string of `kind`."""
        return f"{self.stream(kind).getrandbits(digits * 4):0{digits}x}"
