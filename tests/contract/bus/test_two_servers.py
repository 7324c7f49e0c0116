"""A customer's socket on one server, the virtual agent's turn on another: over NOTIFY and over NATS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from time import monotonic

import aiohttp
import pytest

from support.agent_projects import write_project
from support.nats import NatsServer, nats_server
from warmline.app import Overrides, Server
from warmline.bus import NatsSettings
from warmline.channels.messaging import MessagingLimits
from warmline.config import Settings
from warmline.ports import Connector
from warmline.system import SystemClock
from warmline.testing.engine import ScriptedEngine
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.testing.server import free_port
from warmline.web.limits import RateLimit

PLENTY = RateLimit(count=1_000_000, seconds=1)


async def start(name: str, project: Path, database_url: str, nats: NatsSettings | None) -> Server:
    """A server whose virtual agent tells the server's name in its greeting."""
    port = free_port()
    settings = Settings(
        database_url=database_url,
        public_url=f"http://127.0.0.1:{port}",
        secret_key="k" * 40,
        projects=project,
        port=port,
        nats=nats,
    )
    engine = ScriptedEngine(SystemClock(), greeting=name)
    overrides = Overrides(
        wrap_engine=lambda _: engine, messaging_limits=MessagingLimits(frames=PLENTY, requests=PLENTY)
    )
    return await Server.start(settings, overrides=overrides)


@asynccontextmanager
async def customer_of(server: Server, answered_by: str) -> AsyncIterator[MessagingClient]:
    """A customer at `server` whose virtual agent is on the server of that name: leases decide, so we ask some."""
    for _ in range(60):
        async with MessagingClient(server.url) as client:
            await client.start()
            greeting = await client.expect("POLY_AGENT_MESSAGE")
            if greeting.payload["text"] == answered_by:
                yield client
                return
    raise AssertionError(f"{answered_by} answered nobody")


@asynccontextmanager
async def two_servers(folder: Path, database_url: str, nats: NatsServer | None) -> AsyncIterator[tuple[Server, Server]]:
    """Servers "here" and "there" on one database."""
    project = write_project(folder / "project", {})
    settings = NatsSettings(servers=(f"nats://127.0.0.1:{nats.port}",)) if nats else None
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("here", "there"):
            server = await start(name, project, database_url, settings)
            stack.push_async_callback(server.stop)
            servers.append(server)
        connector = Connector(id="c", token="demo-connector-token", project_id="sample", host="localhost")
        await servers[0].store.save_connector(connector)
        yield servers[0], servers[1]


async def ready(server: Server) -> tuple[int, dict[str, str]]:
    """What it answers to whoever asks whether it is ready."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/readyz") as answer:
        return answer.status, (await answer.json())["problems"]


@pytest.mark.parametrize("kind", ["notify", "nats"])
async def test_answers_and_typing_cross_from_server_to_server_at_once(
    kind: str, tmp_path: Path, postgres_url: str
) -> None:
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(tmp_path)) if kind == "nats" else None
        here, there = await stack.enter_async_context(two_servers(tmp_path, postgres_url, nats))
        client = await stack.enter_async_context(customer_of(here, "there"))
        answers, typings = [], []
        for number in range(1, 10):
            asked = monotonic()
            await client.say(f"question {number}")
            said = await client.expect("POLY_AGENT_MESSAGE", number + 1)
            answers.append(monotonic() - asked)
            assert said.payload["text"] == f"You said: question {number}"
            asked = monotonic()
            there.conversations.show(client.session_id, "typing", started=True, agent_id="7", agent_name="Ann")
            await client.expect("LIVE_AGENT_TYPING", number)
            typings.append(monotonic() - asked)
        # Whoever only looked now and then would need longer for most of them.
        assert median(answers) < 1, answers
        assert median(typings) < 1, typings
        assert [event.sequence for event in client.journal()] == list(range(1, len(client.journal()) + 1))


async def test_without_its_bus_a_conversation_goes_on_and_the_server_says_that_it_is_not_ready(
    tmp_path: Path, postgres_url: str
) -> None:
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(tmp_path))
        here, there = await stack.enter_async_context(two_servers(tmp_path, postgres_url, nats))
        client = await stack.enter_async_context(customer_of(here, "there"))
        assert await ready(here) == (200, {})
        await nats.stop()
        await client.say("are you there?")
        said = await client.expect("POLY_AGENT_MESSAGE", 2)
        assert said.payload["text"] == "You said: are you there?"
        for server in (here, there):
            assert await ready(server) == (503, {"bus": "bus_unreachable"})
        await nats.start()
        async with asyncio.timeout(PATIENCE_S):
            while [await ready(here), await ready(there)] != [(200, {})] * 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await client.say("and now?")
        await client.expect("POLY_AGENT_MESSAGE", 3)
        assert [event.sequence for event in client.journal()] == list(range(1, len(client.journal()) + 1))
