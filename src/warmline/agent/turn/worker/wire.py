"""The processes' end of the engine's sockets: frames in and out, and descriptors that come with them."""

import contextlib
import os
import socket
import threading
from typing import Any

from warmline.agent.turn import protocol

_DESCRIPTORS = 2


class Wire:
    """One connection to the engine. Blocks; belongs to the process that made it."""

    def __init__(self, descriptor: int) -> None:
        """Speak over the stream socket `descriptor`, which belongs to this object from now on."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._asking = threading.Lock()
        self._owner = os.getpid()

    def fileno(self) -> int:
        """Give the socket's descriptor."""
        return self._socket.fileno()

    def receive(self) -> tuple[protocol.Request | None, list[int]]:
        """Wait for a request; None when the engine is gone. Second: the descriptors that came with it."""
        descriptors: list[int] = []
        header = self._exactly(protocol.HEADER, descriptors)
        if header is None:
            return None, []
        body = self._exactly(int.from_bytes(header, "big"), descriptors)
        return (None, []) if body is None else (protocol.read_request(body), descriptors)

    def send(self, message: protocol.Message) -> None:
        """Send a message."""
        self._socket.sendall(protocol.frame(message))

    def ask(self, kind: str, **payload: Any) -> protocol.Answer:
        """Ask the engine something during a call; one thread after the other.

        Raises:
            RuntimeError: this is a copy of the worker that a function forked, or the engine is gone.
        """
        if os.getpid() != self._owner:
            raise RuntimeError("only the function's own process can ask the server")
        with self._asking:
            self.send(protocol.Ask(kind=kind, payload=payload))
            answer, _ = self.receive()
        if not isinstance(answer, protocol.Answer):
            raise RuntimeError("the server is gone")
        return answer

    def close(self) -> None:
        """Close the socket in this process."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _exactly(self, size: int, descriptors: list[int]) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            try:
                piece, came, _, _ = socket.recv_fds(self._socket, size - len(data), _DESCRIPTORS)
            except OSError:
                return None
            descriptors += came
            if not piece:
                return None
            data += piece
        return bytes(data)
