"""Several nodes on one PostgreSQL, each a process of its own, behind something that shares webhooks out by chance."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from support.installation import LUMEN, TOKEN, ServerProcess, connect_order, set_asset_webhook
from warmline.emulators.webex import RunningSim
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.testing.server import free_port

_HOP_BY_HOP = frozenset({"Host", "Content-Length", "Transfer-Encoding", "Connection"})


class Balancer:
    """Gives each request to one of `urls`, by chance; to another one when that answers 503, or is silent.

    Who is silent is asked last for a while.
    """

    def __init__(self, seed: int = 0) -> None:
        self.urls: list[str] = []
        self.port = free_port()
        self.taken: dict[str, int] = {}
        self._random = random.Random(seed)
        self._silent: dict[str, float] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1))
        app = web.Application(client_max_size=1 << 21)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._http.close()

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
        answered = web.Response(status=503)
        mixed = self._random.sample(self.urls, len(self.urls))
        for url in sorted(mixed, key=lambda url: self._silent.get(url, 0.0) > time.monotonic()):
            try:
                async with self._http.request(
                    request.method, url + request.path_qs, data=body, headers=headers
                ) as answer:
                    content = await answer.read()
                    answered = web.Response(status=answer.status, body=content)
                    if answer.status != 503:
                        self.taken[url] = self.taken.get(url, 0) + 1
                        break
            except (aiohttp.ClientError, TimeoutError):
                self._silent[url] = time.monotonic() + 5
        return answered


@dataclass
class Cluster:
    """Nodes, and what is before them."""

    nodes: list[ServerProcess]
    balancer: Balancer

    def customer(self, node: int, **options: Any) -> MessagingClient:
        """A customer with a socket at this node."""
        return MessagingClient(self.nodes[node].url, token=TOKEN, **options)

    async def ready(self) -> None:
        """Wait until every node says that it is: they have shared the partitions out."""
        async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE_S):
            for node in self.nodes:
                while True:
                    async with http.get(f"{node.url}/readyz") as answer:
                        if answer.status == 200:
                            break
                    await asyncio.sleep(0.1)

    def freeze(self, node: int) -> None:
        """Stop it as a laptop's lid or an overloaded machine does."""
        self.nodes[node].signal(signal.SIGSTOP)

    def thaw(self, node: int) -> None:
        """Let it go on."""
        self.nodes[node].signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def cluster(
    database_url: str,
    sim: RunningSim,
    log: Path,
    *,
    urls: Sequence[str] = (),
    buses: Sequence[str] = ("", ""),
    project: Path = LUMEN,
    **order: Any,
) -> AsyncIterator[Cluster]:
    """Two nodes connected to `sim`, with leases of two seconds.

    `urls` are each one's way to the database, `buses` to NATS ("": the bus is PostgreSQL).
    """
    async with Balancer() as balancer:
        made = [
            ServerProcess(
                {
                    "database_url": url,
                    "nats_url": nats_url,
                    "project": str(project),
                    "connector_token": TOKEN,
                    "port": free_port(),
                    "connect": connect_order(sim),
                    "public_url": balancer.url,
                    "lease_ttl_s": 2.0,
                    "log_level": 20,
                    **order,
                },
                log / f"node-{number}.log",
            )
            for number, (url, nats_url) in enumerate(zip(urls or [database_url] * 2, buses, strict=True))
        ]
        try:
            for node in made:
                await node.start()
                balancer.urls.append(node.url)
            answer = made[0].answer
            asset = f"{balancer.url}/hooks/webex/{answer['connection_id']}/asset"
            await set_asset_webhook(sim, asset, answer["asset_webhook_secret"])
            yield Cluster(made, balancer)
        finally:
            for node in made:
                await node.kill()
