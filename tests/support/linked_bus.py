"""Nodes in this process that hear each other."""

from collections.abc import Callable

from warmline.bus.memory import MemoryBus
from warmline.ports import Poke, Signal, Wake


class LinkedBus(MemoryBus):
    """A bus whose signals the other nodes hear at once."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[LinkedBus] = []
        self._watching: list[Callable[[Poke | Wake], None]] = []

    def send(self, signal: Signal) -> None:
        """Tell it here and there."""
        super().send(signal)
        for other in self.others:
            other.hear(signal)

    def hear(self, signal: Signal) -> None:
        """Another node told something."""
        if isinstance(signal, Poke | Wake):
            for sink in self._watching:
                sink(signal)

    def watch(self, sink: Callable[[Poke | Wake], None]) -> Callable[[], None]:
        """Call `sink` with what others send."""
        self._watching.append(sink)
        return lambda: self._watching.remove(sink)


def linked() -> tuple[LinkedBus, LinkedBus]:
    """Two that hear each other."""
    one, two = LinkedBus(), LinkedBus()
    one.others, two.others = [two], [one]
    return one, two
