"""What one socket still has to be sent."""

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias

from aiohttp import web
from aiohttp.http_websocket import WSMsgType

from warmline.channels.messaging.deps import MessagingLimits
from warmline.channels.messaging.feed import TRY_AGAIN

BytesWebSocket: TypeAlias = web.WebSocketResponse[Literal[False]]
"""A WebSocket that gives text frames as bytes, as they came."""

_Kind = Literal["event", "transient", "own", "ping", "pong"]
_OPCODES = {"ping": WSMsgType.PING, "pong": WSMsgType.PONG}


class Outgoing:
    """Sends frames to one socket in order, without ever making the sender wait (a `feed.Receiver`).

    Nothing is sent before `release`, so that the replay comes first. A socket that takes too little is given
    up: `done(code)` is called once, when the socket is to be closed with `code`.
    """

    __slots__ = (
        "_bytes",
        "_closed",
        "_code",
        "_count",
        "_done",
        "_frames",
        "_held",
        "_limits",
        "_writing",
        "_ws",
        "sent",
    )

    def __init__(self, ws: BytesWebSocket, cursor: int, limits: MessagingLimits, done: Callable[[int], None]) -> None:
        self.sent = cursor
        """Everything up to this sequence was sent."""
        self._ws = ws
        self._limits = limits
        self._done = done
        self._frames: list[tuple[_Kind, int, bytes]] = []
        self._count = 0
        self._bytes = 0
        self._held = True
        self._closed = False
        self._code: int | None = None
        self._writing: asyncio.Task[None] | None = None

    def event(self, sequence: int, frame: bytes) -> None:
        """Send a journaled event unless it was sent."""
        self._put("event", sequence, frame)

    def transient(self, after: int, frame: bytes) -> None:
        """Send something that was shown after the event `after`, unless later events were sent."""
        self._put("transient", after, frame)

    def own(self, frame: bytes) -> None:
        """Send something that is for this socket only."""
        self._put("own", 0, frame)

    def ping(self) -> None:
        """Ask whether anybody is there."""
        self._put("ping", 0, b"")

    def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        self._put("pong", 0, payload)

    def finish(self, code: int) -> None:
        """Send what is waiting, then close with `code`; nothing can be added after this."""
        if self._code is None:
            self._code = code
            self._write()

    async def replay(self, batch: bytes, through: int) -> None:
        """Send a batch of events up to sequence `through` now. Raises ConnectionError when the socket is gone."""
        await self._ws.send_frame(batch, WSMsgType.TEXT)
        self.sent = max(self.sent, through)

    def release(self) -> None:
        """The replay is over: send what came meanwhile and everything from now on."""
        self._held = False
        self._write()

    def abandon(self) -> None:
        """The socket is gone, and is let go of: thousands that refer to themselves would wait for a long collection."""
        self._drop()
        self._done = _nobody

    def _drop(self) -> None:
        self._closed = True
        self._frames = []
        if self._writing is not None:
            self._writing.cancel()

    def _put(self, kind: _Kind, sequence: int, frame: bytes) -> None:
        if self._closed or self._code is not None:
            return
        self._frames.append((kind, sequence, frame))
        self._bytes += len(frame)
        self._count += 1
        if self._count > self._limits.queue_frames or self._bytes > self._limits.queue_bytes:
            self._drop()
            self._done(TRY_AGAIN)
            return
        self._write()

    def _write(self) -> None:
        if self._writing is None and not self._held and not self._closed:
            self._writing = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._frames:
                frames, self._frames = self._frames, []
                for kind, sequence, frame in frames:
                    self._count -= 1
                    self._bytes -= len(frame)
                    if self._shows(kind, sequence):
                        await self._ws.send_frame(frame, _OPCODES.get(kind, WSMsgType.TEXT))
        except ConnectionError:
            self._closed = True
            self._frames = []
        finally:
            self._writing = None
        if self._code is not None and not self._closed:
            self._closed = True
            self._done(self._code)

    def _shows(self, kind: _Kind, sequence: int) -> bool:
        if kind == "event":
            fresh = sequence > self.sent
            self.sent = max(self.sent, sequence)
            return fresh
        return kind != "transient" or sequence >= self.sent


def _nobody(_: int) -> None:
    """Who is told the end of a socket that is gone."""
