"""A way from a node to its database or its bus that can be parted: nothing gets through, and nobody is told."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from support.tcp_proxy import TcpProxy

_CLONE_NEWNET = 0x40000000
_HERE, _THERE = "10.77.0.1", "10.77.0.2"
"""Addresses within the two network namespaces only."""


class Way(Protocol):
    """A port of this machine that leads there."""

    port: int

    async def part(self) -> None:
        """Lose everything from now on."""
        ...

    async def join(self) -> None:
        """Let everything through again."""
        ...


class _Proxied:
    """A proxy that falls silent."""

    def __init__(self, proxy: TcpProxy) -> None:
        self._proxy = proxy
        self.port = proxy.port

    async def part(self) -> None:
        self._proxy.fall_silent()

    async def join(self) -> None:
        self._proxy.flow()


class _Namespaces:
    """Two network namespaces with a cable between them, which is pulled out: the kernel itself loses the packets."""

    def __init__(self) -> None:
        self._here, self._there = f"wl-{os.getpid()}-here", f"wl-{os.getpid()}-there"
        self.port = 0

    def make(self) -> None:
        """Make them. Raises CalledProcessError where this process may not."""
        for name in (self._here, self._there):
            _ip("netns", "add", name)
        _ip("-n", self._here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self._there)
        for name, address in ((self._here, _HERE), (self._there, _THERE)):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")

    def remove(self) -> None:
        """Remove what is there of them."""
        for name in (self._here, self._there):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", name)

    def listening(self) -> socket.socket:
        """A socket that listens over there."""
        listener = _socket_in(self._there)
        listener.bind((_THERE, 0))
        return listener

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from here to over there."""
        made = _socket_in(self._here)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (_THERE, port))
        return await asyncio.open_connection(sock=made)

    async def part(self) -> None:
        _ip("-n", self._there, "link", "set", "cable", "down")

    async def join(self) -> None:
        _ip("-n", self._there, "link", "set", "cable", "up")


@contextlib.asynccontextmanager
async def way(kind: str, port: int, *, silences: bytes = b"") -> AsyncIterator[Way]:
    """A way to this port of this machine; `kind` is one of `WAYS`.

    A proxy can part only those connections whose client has sent `silences`.
    """
    async with contextlib.AsyncExitStack() as stack:
        if kind == "proxy":
            yield _Proxied(await stack.enter_async_context(TcpProxy(port, silences=silences)))
            return
        namespaces = _Namespaces()
        stack.callback(namespaces.remove)
        namespaces.make()
        far = await stack.enter_async_context(TcpProxy(port, listening=namespaces.listening()))
        near = await stack.enter_async_context(TcpProxy(0, dial=lambda: namespaces.dial(far.port)))
        namespaces.port = near.port
        yield namespaces


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


def _socket_in(namespace: str) -> socket.socket:
    """A TCP socket that lives in this network namespace; only a thread of its own goes there."""
    made: list[socket.socket] = []

    def go() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with (Path("/run/netns") / namespace).open() as file:
            if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    return made[0]


def _namespaces_work() -> bool:
    """This process may make network namespaces (root, with iproute2)."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    namespaces = _Namespaces()
    try:
        namespaces.make()
        _socket_in(namespaces._here).close()
    except (subprocess.CalledProcessError, OSError, IndexError):
        return False
    finally:
        namespaces.remove()
    return True


WAYS = ("proxy", "namespaces") if _namespaces_work() else ("proxy",)
"""How a network may be parted here: always by a proxy, and by namespaces where this process may make them."""
