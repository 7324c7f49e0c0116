"""The load balancer of `make cluster`: customers get to nodes that are ready."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from support.front import Front, front


@dataclass
class Node:
    """Says that it is ready, or not."""

    url: str = ""
    status: int = 200


@contextlib.asynccontextmanager
async def node() -> AsyncIterator[Node]:
    """A node that is ready."""
    made = Node()

    async def ready(_: web.Request) -> web.Response:
        return web.Response(status=made.status)

    app = web.Application()
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def reached(balancer: Front) -> set[str]:
    """Where four customers get to."""
    found = set()
    for _ in range(4):
        _, writer = await balancer.dial()
        host, port = writer.get_extra_info("peername")
        found.add(f"http://{host}:{port}")
        writer.close()
    return found


async def test_customers_get_to_nodes_that_are_ready() -> None:
    async with node() as one, contextlib.AsyncExitStack() as stack:
        two = await stack.enter_async_context(node())
        balancer = Front([one.url, two.url])
        stack.push_async_callback(balancer.close)
        await balancer.look()
        assert await reached(balancer) == {one.url, two.url}
        one.status = 503
        await balancer.look()
        assert await reached(balancer) == {two.url}
        two.status = 503
        await balancer.look()
        assert await reached(balancer) == {one.url, two.url}, "when none is ready, any is better than none"


async def test_a_node_that_is_gone_is_left_out() -> None:
    async with node() as one:
        async with node() as two:
            gone = two.url
        balancer = Front([one.url, gone])
        await balancer.look()
        assert await reached(balancer) == {one.url}
        await balancer.close()


async def test_bytes_go_both_ways() -> None:
    async with node() as one, front([one.url]) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
