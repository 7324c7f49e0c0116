"""The bus within one process."""

from collections.abc import Callable
from functools import partial

import structlog

from warmline.ports import Poke, Signal, Wake

_log = structlog.get_logger(__name__)


class MemoryBus:
    """Hands signals to listeners of the same process, at once and in order (implements `ports.Bus`).

    There are no other nodes: nothing to reach, and nothing to watch.
    """

    def __init__(self) -> None:
        self._sinks: dict[str, list[Callable[[Signal], None]]] = {}

    async def start(self) -> None:
        """Nothing to reach."""

    async def stop(self) -> None:
        """Nothing to let go."""

    async def check(self) -> None:
        """It always works."""

    def send(self, signal: Signal) -> None:
        """Call every listener of the session. A listener that raises is logged and does not stop the others."""
        if isinstance(signal, Wake):
            return
        for sink in tuple(self._sinks.get(signal.session_id, ())):
            try:
                sink(signal)
            except Exception:
                _log.exception("bus.listener_failed", session_id=signal.session_id)

    def listen(self, session_id: str, sink: Callable[[Signal], None]) -> Callable[[], None]:
        """Listen to one session; the returned function ends it and may be called twice."""
        self._sinks.setdefault(session_id, []).append(sink)
        return partial(self._forget, session_id, sink)

    def watch(self, sink: Callable[[Poke | Wake], None]) -> Callable[[], None]:
        """Nobody ever calls `sink`."""
        return lambda: None

    def listened(self) -> tuple[str, ...]:
        """The sessions that have a listener."""
        return tuple(self._sinks)

    def _forget(self, session_id: str, sink: Callable[[Signal], None]) -> None:
        sinks = self._sinks.get(session_id)
        if sinks is not None and sink in sinks:
            sinks.remove(sink)
            if not sinks:
                del self._sinks[session_id]
