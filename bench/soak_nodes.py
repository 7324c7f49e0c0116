"""The nodes of a soak: several real servers on one PostgreSQL, what is in front of them, and what they stand on."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import asyncpg

from servers import ROOT, EmulatorProcess, WarmlineServer, postgres_database
from warmline.testing.rough_proxy import RoughProxy
from warmline.testing.server import free_port

sys.path.insert(0, str(ROOT / "tests"))

from support.nats import NatsServer
from support.nodes import Balancer

_ROUGH = 0.3
"""So many of the customers' connections go over a bad network."""
_ROUGH_LIFE_S = (2.0, 40.0)
_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Node(Protocol):
    """A server that may be killed, frozen, stopped and started again."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        ...

    async def kill(self) -> None:
        """`kill -9`."""
        ...

    async def end(self) -> None:
        """Stop it in order."""
        ...

    async def start_again(self) -> None:
        """Start it on the same database and port."""
        ...


class Database:
    """The superuser's hands on the PostgreSQL that the nodes share. Each node logs in as a user of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def make_users(self, nodes: int) -> list[str]:
        """A user for each node; returns their URLs."""
        where = urlsplit(self.url)
        names = [f"node_{number}" for number in range(1, nodes + 1)]
        db = await asyncpg.connect(self.url)
        try:
            for name in names:
                await db.execute(f"CREATE ROLE {name} SUPERUSER LOGIN")
        finally:
            await db.close()
        return [self.url.replace(f"{where.username}@", f"{name}@", 1) for name in names]

    async def cut(self, node: int | None = None, *, application: str = "") -> None:
        """End the connections of a node, or of all; only those that call themselves so, if `application` is given."""
        user = "node%" if node is None else f"node_{node + 1}"
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE $1 AND application_name LIKE $2"
        )
        with suppress(*_LOST):
            db = await asyncpg.connect(self.url, timeout=5)
            try:
                await db.execute("SET statement_timeout = 5000")
                await db.fetch(query, user, application or "%")
            finally:
                await db.close(timeout=5)

    async def crash(self) -> None:
        """Kill one of its processes: PostgreSQL ends all others, recovers from its log and goes on."""
        with suppress(*_LOST):
            db = await asyncpg.connect(self.url, timeout=5)
            pid = await db.fetchval("SELECT pg_backend_pid()")
            os.kill(pid, signal.SIGKILL)
            with suppress(*_LOST):
                await db.close(timeout=1)


class Nodes:
    """Several nodes behind a balancer, whose customers come by themselves: any of them to any node, anew each time.

    Args:
        chance: decides who connects where, and what bad networks do.
    """

    connector_token = WarmlineServer.connector_token

    def __init__(
        self, nodes: list[WarmlineServer], database: Database, nats: NatsServer | None, chance: random.Random
    ) -> None:
        self.nodes = nodes
        self.database = database
        self.nats = nats
        self._chance = chance
        self._rough: list[RoughProxy] = []

    def door(self) -> str:
        """One of the nodes, over a good network or a bad one."""
        number = self._chance.randrange(len(self.nodes))
        if self._chance.random() < _ROUGH:
            return self._rough[number].url
        return self.nodes[number].url

    @property
    def broken(self) -> int:
        """So many connections of customers were broken by the network."""
        return sum(proxy.fates.total() for proxy in self._rough)

    async def open_doors(self, stack: AsyncExitStack) -> None:
        """Let customers come, as long as `stack` lasts."""
        for node in self.nodes:
            proxy = RoughProxy(urlsplit(node.url).port or 0, random.Random(self._chance.random()), life_s=_ROUGH_LIFE_S)
            self._rough.append(await stack.enter_async_context(proxy))


@asynccontextmanager
async def started(
    count: int, emulator: EmulatorProcess, folder: Path, *, nats: bool, chance: random.Random, lease_ttl_s: float
) -> AsyncIterator[Nodes]:
    """`count` nodes on a fresh PostgreSQL, connected to `emulator`; with NATS between them, or without."""
    async with AsyncExitStack() as stack:
        database = Database(await stack.enter_async_context(postgres_database(folder)))
        urls = await database.make_users(count)
        more: dict[str, Any] = {"lease_ttl_s": lease_ttl_s, "log_level": 20}
        bus = None
        if nats:
            bus = NatsServer(folder)
            stack.push_async_callback(bus.stop)
            await bus.start()
            more["nats_url"] = f"nats://127.0.0.1:{bus.port}"
        balancer = await stack.enter_async_context(Balancer(chance.getrandbits(32)))
        servers = [
            WarmlineServer(
                folder, url, log=folder / f"node-{number}.log", port=free_port(), public_url=balancer.url, **more
            )
            for number, url in enumerate(urls, 1)
        ]
        values, secrets = await emulator.started(stack)
        answers = [await stack.enter_async_context(server.with_values(values, secrets)) for server in servers]
        balancer.urls += [server.url for server in servers]
        hook = f"{balancer.url}/hooks/webex/{answers[0]['connection_id']}/asset"
        await emulator.tell({"url": hook, "secret": answers[0]["asset_webhook_secret"]})
        nodes = Nodes(servers, database, bus, chance)
        await nodes.open_doors(stack)
        yield nodes


class NodeChaos:
    """What goes wrong with nodes, their database and their bus, one thing after the other, by chance.

    `happened` tells what, and when, in words for people.
    """

    def __init__(self, nodes: Nodes, chance: random.Random, lease_ttl_s: float) -> None:
        self._nodes = nodes
        self._chance = chance
        self._ttl_s = lease_ttl_s
        self._deeds = (
            self.kill,
            self.kill,
            self.freeze,
            self.freeze_for_long,
            self.restart_all,
            self.lose_database,
            self.fail_over,
            self.crash_database,
            self.cut_bus,
        )
        self._left: list[Any] = []

    async def next(self) -> str:
        """Do the next one to its end; returns its name. All come before one comes again."""
        if not self._left:
            self._left = self._chance.sample(self._deeds, len(self._deeds))
        deed = self._left.pop()
        node = self._chance.randrange(len(self._nodes.nodes))
        seconds = self._chance.random()
        await deed(node, seconds)
        return str(deed.__name__)

    async def kill(self, node: int, part: float) -> None:
        """`kill -9` of a node, and its start up to a lease later."""
        await self._nodes.nodes[node].kill()
        await asyncio.sleep(part * self._ttl_s)
        await self._nodes.nodes[node].start_again()

    async def freeze(self, node: int, part: float) -> None:
        """SIGSTOP for less than a lease lasts."""
        await self._frozen(node, part * self._ttl_s * 0.8)

    async def freeze_for_long(self, node: int, part: float) -> None:
        """SIGSTOP for longer than a lease lasts."""
        await self._frozen(node, self._ttl_s * (1.3 + part))

    async def _frozen(self, node: int, seconds: float) -> None:
        server = self._nodes.nodes[node]
        server.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            server.signal(signal.SIGCONT)

    async def restart_all(self, node: int, part: float) -> None:
        """All nodes in order, one after the other."""
        del node, part
        for server in self._nodes.nodes:
            await server.end()
            await server.start_again()

    async def lose_database(self, node: int, part: float) -> None:
        """One node has no connection to the database for longer than a moment."""
        until = asyncio.get_running_loop().time() + self._ttl_s * (0.5 + part)
        while asyncio.get_running_loop().time() < until:
            await self._nodes.database.cut(node)
            await asyncio.sleep(0.1)

    async def fail_over(self, node: int, part: float) -> None:
        """All connections to the database break at once, as when it moves to another machine."""
        del node, part
        await self._nodes.database.cut()

    async def crash_database(self, node: int, part: float) -> None:
        """PostgreSQL crashes and recovers."""
        del node, part
        await self._nodes.database.crash()

    async def cut_bus(self, node: int, part: float) -> None:
        """The nodes do not hear each other for a while."""
        nats = self._nodes.nats
        until = asyncio.get_running_loop().time() + self._ttl_s * (0.5 + part)
        if nats is not None:
            await nats.stop()
            await asyncio.sleep(self._ttl_s * (0.5 + part))
            await nats.start()
            return
        while asyncio.get_running_loop().time() < until:
            await self._nodes.database.cut(application="warmline bus")
            await asyncio.sleep(0.1)
