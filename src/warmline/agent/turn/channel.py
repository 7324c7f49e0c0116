"""The engine's end of the sockets to templates and workers."""

import array
import asyncio
import contextlib
import socket
from collections.abc import Sequence

import msgspec

from warmline.agent.turn import protocol


class Channel:
    """A connection to one process. One reader and one writer at a time."""

    def __init__(self, end: socket.socket) -> None:
        """Speak over `end`, a connected stream socket."""
        end.setblocking(False)
        self._socket = end

    async def send(self, request: protocol.Request, descriptors: Sequence[int] = ()) -> None:
        """Send a request, with copies of `descriptors`.

        Raises:
            OSError: the process is gone.
        """
        data = protocol.frame(request)
        if descriptors:
            ancillary = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            data = data[self._socket.sendmsg([data], [ancillary]) :]
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> protocol.Message:
        """Wait for the next message.

        Raises:
            EOFError: the process is gone.
            OSError: the process is gone.
            msgspec.MsgspecError: it is no message.
        """
        size = int.from_bytes(await self._exactly(protocol.HEADER), "big")
        if size > protocol.MAX_FRAME:
            raise msgspec.DecodeError("frame too large")
        return protocol.read_message(await self._exactly(size))

    def close(self) -> None:
        """Close the connection; nobody may be waiting on it."""
        with contextlib.suppress(OSError):
            self._socket.close()

    async def _exactly(self, size: int) -> bytes:
        loop, data = asyncio.get_running_loop(), bytearray()
        while len(data) < size:
            piece = await loop.sock_recv(self._socket, size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)
