"""A TCP proxy that cuts connections on demand."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class TcpProxy:
    """Forwards to `port` on this machine; with `tls` it ends TLS in front of it.

    It listens at the bound socket `listening`, else at a free port of the loopback interface; `dial` connects to where
    it forwards to, if that is not `port`.

    `refusing`: new connections are closed at once. `swallow_answer_to`: once a client has sent these bytes, they are
    forwarded, and the connection is cut before the answer comes back. `cut()` closes all connections, `wear()` does so
    and ends another TLS from then on. After `fall_silent()` nothing gets through until `flow()`, on connections whose
    client has sent `silences` at least.
    """

    def __init__(
        self,
        port: int,
        tls: ssl.SSLContext | None = None,
        *,
        listening: socket.socket | None = None,
        dial: Dial | None = None,
        silences: bytes = b"",
    ) -> None:
        self._silences = silences
        self._listening = listening
        self._dial = dial or partial(asyncio.open_connection, "127.0.0.1", port)
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.refusing = False
        self.swallow_answer_to = b""
        self.port = 0

    async def __aenter__(self) -> "TcpProxy":
        await self._listen()
        return self

    async def _listen(self) -> None:
        where: dict[str, Any] = {"host": "127.0.0.1", "port": self.port}
        if self._listening is not None:
            where = {"sock": self._listening}
        self._server = await asyncio.start_server(self._serve, ssl=self._tls, **where)
        self.port = self._server.sockets[0].getsockname()[1]

    async def wear(self, tls: ssl.SSLContext | None) -> None:
        """End this TLS from now on, or none, at the same port."""
        self._server.close()
        self.cut()
        self._tls = tls
        await self._listen()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()

    def fall_silent(self) -> None:
        """Let nothing through any more, and tell nobody: as a network does that loses all packets."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let through what was sent meanwhile, and everything from now on."""
        self._flowing.set()

    def cut(self) -> None:
        """Close all connections, in both directions."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await self._dial()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        meant = asyncio.Event()
        if not self._silences:
            meant.set()
        await asyncio.gather(self._up(reader, writer, far_writer, meant), self._down(far_reader, writer, meant))

    async def _up(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_writer: asyncio.StreamWriter,
        meant: asyncio.Event,
    ) -> None:
        while data := await _read(reader):
            if self._silences and self._silences in data:
                meant.set()
            await self._may_pass(meant)
            if self.swallow_answer_to and self.swallow_answer_to in data:
                self.swallow_answer_to = b""
                writer.transport.abort()
            far_writer.write(data)
        far_writer.close()

    async def _down(self, far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, meant: asyncio.Event) -> None:
        while data := await _read(far_reader):
            await self._may_pass(meant)
            writer.write(data)
        writer.close()

    async def _may_pass(self, meant: asyncio.Event) -> None:
        if meant.is_set():
            await self._flowing.wait()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""
