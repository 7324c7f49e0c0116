"""Nodes on one bus, for tests: over PostgreSQL, NATS, or a hub in this process that can do what networks do."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from support.nats import NatsServer
from support.postgres import PostgresServer
from warmline.bus import NatsSettings, open_bus
from warmline.bus.cluster import ClusterBus, ClusterSettings
from warmline.domain.errors import BusUnavailable
from warmline.ports import Bus, Poke, Signal, Wake
from warmline.system import SystemIds
from warmline.testing.messaging_client import PATIENCE_S

INSTALLATION = b"an installation"
FAST = ClusterSettings(beat_s=0.3, pause_s=0.1, looks=1000, look_every_s=0.02)


class Heard:
    """Everything that a node's listeners and watcher were told."""

    def __init__(self, bus: Bus, sessions: Sequence[str] = ()) -> None:
        self.signals: list[Signal] = []
        self.watched: list[Poke | Wake] = []
        for session_id in sessions:
            bus.listen(session_id, self.signals.append)
        bus.watch(self.watched.append)

    async def until(self, condition: Callable[[], bool], what: str, timeout: float = PATIENCE_S) -> None:
        """Wait for it."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():  # noqa: ASYNC110 (whatever changes it tells nobody)
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"{what}; heard {self.signals[-5:]}, watched {self.watched[-5:]}") from None

    def clear(self) -> None:
        """Forget it."""
        self.signals.clear()
        self.watched.clear()


class Ground(Protocol):
    """Where nodes meet."""

    def bus(self, port: int = 0, installation: bytes = INSTALLATION) -> Bus:
        """A node's bus, not started; its connection goes through `port` when it is given."""
        ...

    @property
    def port(self) -> int:
        """Where the server listens."""
        ...

    async def restart(self) -> None:
        """Cut everybody off as a restart of the server does."""
        ...


class PostgresGround:
    """Nodes on one database."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server = server
        self._url = url
        self.port = server.port

    def bus(self, port: int = 0, installation: bytes = INSTALLATION) -> Bus:
        """A node's bus."""
        url = self._url.replace(f":{self.port}/", f":{port or self.port}/")
        return open_bus(url, None, SystemIds(), installation)

    async def restart(self) -> None:
        """The server is everybody's: it ends this database's connections, as a restart would."""
        name = urlsplit(self._url).path[1:]
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        await asyncio.to_thread(self._server.sql, query)


class NatsGround:
    """Nodes on one NATS server."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.port = server.port

    def bus(self, port: int = 0, installation: bytes = INSTALLATION) -> Bus:
        """A node's bus."""
        settings = NatsSettings(servers=(f"nats://127.0.0.1:{port or self.port}",))
        return open_bus("sqlite:///unused", settings, SystemIds(), installation)

    async def restart(self) -> None:
        """Stop the server, start it again."""
        await self._server.stop()
        await self._server.start()


class Hub:
    """A transport's far side in this process."""

    def __init__(self) -> None:
        self.ends: list[HubTransport] = []
        self.swallow: Callable[[bytes], bool] = lambda _: False
        self.down = False

    def bus(self, settings: ClusterSettings = FAST, limit: int = 64_000) -> ClusterBus:
        """A node's bus, not started."""
        return ClusterBus(HubTransport(self, limit), SystemIds(), settings)

    def tell(self, message: bytes) -> None:
        """Hand a message to everybody, as if a node had published it."""
        for end in self.ends:
            end.receive(message)


class HubTransport:
    """Implements `bus.transport.Transport`. What the hub swallows is lost; while it is down nobody meets."""

    def __init__(self, hub: Hub, limit: int) -> None:
        self._hub = hub
        self.limit = limit
        self.receive: Callable[[bytes], None]
        self.gate = asyncio.Event()
        self.gate.set()

    async def open(self, receive: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Meet the others."""
        if self._hub.down:
            raise BusUnavailable("the hub is down")
        self.receive = receive
        self._hub.ends.append(self)

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Tell them."""
        await self.gate.wait()
        for message in messages:
            assert len(message) <= self.limit
            if not self._hub.swallow(message):
                self._hub.tell(message)

    async def close(self) -> None:
        """Leave."""
        if self in self._hub.ends:
            self._hub.ends.remove(self)
