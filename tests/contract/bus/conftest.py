"""Nodes that meet on PostgreSQL or on NATS."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.buses import Ground, NatsGround, PostgresGround
from support.nats import nats_server
from support.postgres import PostgresServer
from warmline.ports import Bus

Join = Callable[..., Awaitable[Bus]]


@pytest.fixture(params=["postgres", "nats"])
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    """Where nodes meet: each test that asks runs once on PostgreSQL and once on NATS."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        yield PostgresGround(server, request.getfixturevalue("postgres_url"))
        return
    async with nats_server(tmp_path) as nats:
        yield NatsGround(nats)


@pytest.fixture
async def join(ground: Ground) -> AsyncIterator[Join]:
    """Starts the bus of one more node; all are stopped at the end."""
    async with AsyncExitStack() as nodes:

        async def start(**where: object) -> Bus:
            bus = ground.bus(**where)  # type: ignore[arg-type]
            nodes.push_async_callback(bus.stop)
            await bus.start()
            return bus

        yield start
