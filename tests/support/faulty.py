"""Real parts with a fault that a test can switch on."""

import asyncio
from typing import Any

from warmline.bus.memory import MemoryBus
from warmline.domain.errors import StoreUnavailable
from warmline.ports import Poke, Signal, Store


class FaultyStore:
    """A store whose methods named in `down` raise StoreUnavailable.

    Those named in `slow` wait for `gate` before they begin, those in `late` before they return. `calls` are all that
    were begun, `answered` those that the real store has answered.
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.down: set[str] = set()
        self.slow: set[str] = set()
        self.late: set[str] = set()
        self.gate = asyncio.Event()
        self.calls: list[str] = []
        self.answered: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if name in self.slow:
                await self.gate.wait()
            if name in self.down:
                raise StoreUnavailable("switched off by the test")
            result = await method(*args, **kwargs)
            self.answered.append(name)
            if name in self.late:
                await self.gate.wait()
            return result

        return call


class FaultyBus(MemoryBus):
    """A bus that loses every poke, or tells only that there is news, or tells everything twice."""

    def __init__(self) -> None:
        super().__init__()
        self.lose = False
        self.bare = False
        self.twice = False

    def send(self, signal: Signal) -> None:
        """Hand on what the faults leave of it."""
        if not isinstance(signal, Poke):
            super().send(signal)
            return
        if self.lose:
            return
        poke = Poke(session_id=signal.session_id, upto=signal.upto) if self.bare else signal
        for _ in range(2 if self.twice else 1):
            super().send(poke)
