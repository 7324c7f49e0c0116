"""What a load balancer does for customers: connects them to any node that says it is ready."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence

import aiohttp

from support.tcp_proxy import TcpProxy

_PACE_S = 0.5


class Front:
    """Asks nodes at `urls` for `/readyz` again and again, and takes them by turns as long as they are ready."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._turn = itertools.count()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1))
        self.ready: Sequence[str] = urls

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the next node that is ready; to any when none is."""
        choice = self.ready or self._urls
        url = choice[next(self._turn) % len(choice)]
        return await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))

    async def watch(self) -> None:
        """Ask them for good."""
        while True:
            await self.look()
            await asyncio.sleep(_PACE_S)

    async def close(self) -> None:
        """Ask no more."""
        await self._http.close()

    async def look(self) -> None:
        """Ask each once."""
        answers = await asyncio.gather(*map(self._is_ready, self._urls))
        self.ready = [url for url, ready in zip(self._urls, answers, strict=True) if ready]

    async def _is_ready(self, url: str) -> bool:
        try:
            async with self._http.get(f"{url}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


@contextlib.asynccontextmanager
async def front(urls: Sequence[str]) -> AsyncIterator[str]:
    """The address of a load balancer before the nodes at `urls`, as browsers on this machine name it."""
    balancer = Front(urls)
    async with TcpProxy(0, dial=balancer.dial) as proxy:
        watching = asyncio.create_task(balancer.watch())
        try:
            yield f"http://localhost:{proxy.port}"
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await balancer.close()
