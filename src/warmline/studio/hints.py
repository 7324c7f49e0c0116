"""Tells open pages that something changed: hints, as on the bus. What changed they fetch themselves."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from warmline.domain.catalog import Entry
from warmline.ports import EVERYTHING, Bus, Poke, Wake

_OTHERS_LAG_S = 1.0
"""So long after another node wrote a log its lists show it (`conversation.catalog.PACE_S`, with some room)."""


@dataclass(slots=True, eq=False)
class Ear:
    """An open page. It hears of the sessions of `project_id`, or of `session_id` alone; both "": of none."""

    sign_in_id: str
    project_id: str = ""
    session_id: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Hints:
    """The pages that are open on this node. Costs nothing while there are none."""

    def __init__(self, bus: Bus) -> None:
        """Nothing is heard before a page is open."""
        self._bus = bus
        self._ears: set[Ear] = set()
        self._stop_watching: Callable[[], None] = lambda: None
        self.closed = False

    @contextmanager
    def listening(self, ear: Ear) -> Iterator[None]:
        """Let a page hear what changes."""
        if not self._ears:
            self._stop_watching = self._bus.watch(self._hear)
        self._ears.add(ear)
        try:
            yield
        finally:
            self._ears.discard(ear)
            if not self._ears:
                self._stop_watching()

    def count(self, sign_in_id: str = "") -> int:
        """How many pages are open, or those of one sign-in."""
        return sum(1 for ear in self._ears if sign_in_id in ("", ear.sign_in_id))

    def saved(self, entries: Sequence[Entry]) -> None:
        """The lists show something new of these conversations."""
        for ear in self._ears:
            for entry in entries:
                if entry.session_id == ear.session_id or (ear.project_id and entry.project_id == ear.project_id):
                    ear.news.set()

    def close(self) -> None:
        """The server stops: let all pages go."""
        self.closed = True
        for ear in self._ears:
            ear.news.set()

    def _hear(self, signal: Poke | Wake) -> None:
        """Another node wrote a log or changed a connection, or nobody knows what was missed."""
        match signal:
            case Poke(session_id=session_id):
                told = [ear for ear in self._ears if ear.project_id or ear.session_id == session_id]
            case Wake(topic=topic) if topic in (EVERYTHING, "connections"):
                told = list(self._ears)
            case _:
                told = []
        for ear in told:
            asyncio.get_running_loop().call_later(_OTHERS_LAG_S, ear.news.set)
