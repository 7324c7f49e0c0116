"""The open sockets, asked now and then whether anybody is still there (RFC 6455 section 5.5.2)."""

import asyncio
import math
from collections.abc import Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

_PAUSE_S = 0.1


class Patient(Protocol):
    """A socket whose pulse is felt."""

    def feel(self, now: float, grace_s: float) -> None:
        """Ping it if nothing was heard since the last time; cut it off if that was no use for `grace_s`.

        `now` is in seconds, as the event loop counts them.
        """
        ...


S = TypeVar("S", bound=Patient)


class OpenSockets(Generic[S]):
    """All of one node. One task pings them, as a timer for each would cost almost two kilobytes a socket.

    Args:
        ping_s: a socket is pinged after so many seconds of silence at the latest, and then has as many to answer.
    """

    def __init__(self, ping_s: float) -> None:
        self._ping_s = ping_s
        self._sockets: dict[S, None] = {}
        self._pinging: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[S]:
        return iter(tuple(self._sockets))

    def add(self, socket: S) -> None:
        """It is open."""
        self._sockets[socket] = None
        if self._pinging is None:
            self._pinging = asyncio.create_task(self._ping(), name="messaging-pings")

    def discard(self, socket: S) -> None:
        """It is open no more."""
        self._sockets.pop(socket, None)

    async def stop(self) -> None:
        """Ask nobody any more."""
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)

    async def _ping(self) -> None:
        """Visit each of them twice in the interval, evenly spread: thousands of pings would be a burst."""
        half = self._ping_s / 2
        try:
            while self._sockets:
                pause = min(half, max(_PAUSE_S, half / len(self._sockets)))
                await asyncio.sleep(pause)
                self._visit(math.ceil(len(self._sockets) * pause / half))
        finally:
            self._pinging = None

    def _visit(self, count: int) -> None:
        now = asyncio.get_running_loop().time()
        for socket in list(islice(self._sockets, count)):
            # Whoever was visited goes to the end of the queue.
            del self._sockets[socket]
            self._sockets[socket] = None
            socket.feel(now, self._ping_s)
