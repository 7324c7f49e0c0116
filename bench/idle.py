"""Holds idle customers' sockets open, in a process of its own so that its memory and time are not the server's.

Run by `bench/sockets.py`: reads {"url", "token", "sockets", "heartbeat_s", "source"} as JSON, prints {"open"} when all
of them are, and holds them until standard input closes.
"""

import asyncio
import base64
import json
import os
import resource
import sys
from urllib.parse import urlsplit

import aiohttp

_HEARTBEAT = b'{"type":"EVENT_TYPE_HEARTBEAT","payload":{}}'
_AT_ONCE = 32


class IdleSocket(asyncio.Protocol):
    """A WebSocket that reads nothing and now and then says that it is there."""

    def __init__(self, path: str, host: str) -> None:
        self._head = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._transport: asyncio.Transport | None = None
        self.opened = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """Pings are answered; everything else is passed over."""
        if not self.opened.done():
            if data.startswith(b"HTTP/1.1 101"):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(ConnectionError(data[:40].decode(errors="replace")))
        elif data == b"\x89\x00":
            self._frame(0x8A, b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        self.lost = True
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("lost"))

    def beat(self) -> None:
        """Send a heartbeat."""
        self._frame(0x81, _HEARTBEAT)

    def _frame(self, kind: int, payload: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(bytes((kind, 0x80 | len(payload), 0, 0, 0, 0)) + payload)


async def main() -> None:
    """Open them, say so, and hold them."""
    order = json.loads(sys.stdin.readline())
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    parts = urlsplit(order["url"])
    sockets: list[IdleSocket] = []
    places = asyncio.Semaphore(_AT_ONCE)
    connector = aiohttp.TCPConnector(limit=_AT_ONCE, local_addr=(order["source"], 0))
    async with aiohttp.ClientSession(connector=connector) as http:

        async def open_one() -> None:
            async with places:
                headers = {"X-Token": order["token"], "X-Host": "localhost"}
                async with http.post(f"{order['url']}/api/v1/access-token", json={}, headers=headers) as answer:
                    token = (await answer.json())["access_token"]
                headers = {"Authorization": f"Bearer {token}"}
                async with http.post(f"{order['url']}/api/v1/sessions", json={}, headers=headers) as answer:
                    session = (await answer.json())["session_id"]
                path = f"/ws?access_token={token}&session_id={session}"
                _, socket = await asyncio.get_running_loop().create_connection(
                    lambda: IdleSocket(path, parts.netloc), parts.hostname, parts.port, local_addr=(order["source"], 0)
                )
                await socket.opened
                sockets.append(socket)

        await asyncio.gather(*(open_one() for _ in range(order["sockets"])))
    print(json.dumps({"open": len(sockets)}), flush=True)
    beating = asyncio.create_task(_beat(sockets, order["heartbeat_s"]))
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps({"open": sum(not socket.lost for socket in sockets)}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    beating.cancel()


async def _beat(sockets: list[IdleSocket], every_s: float) -> None:
    """Each of them once in that time, evenly spread."""
    while True:
        for number, socket in enumerate(sockets):
            socket.beat()
            if number % 20 == 19:
                await asyncio.sleep(every_s * 20 / len(sockets))
        await asyncio.sleep(every_s / len(sockets))


if __name__ == "__main__":
    asyncio.run(main())
