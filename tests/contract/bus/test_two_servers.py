"""A customer's socket on one server, the virtual agent's turn on another: over NOTIFY and over NATS."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from time import monotonic

import pytest

from support.agent_projects import write_project
from support.nats import nats_server
from warmline.app import Overrides, Server
from warmline.bus import NatsSettings
from warmline.channels.messaging import MessagingLimits
from warmline.config import Settings
from warmline.ports import Connector
from warmline.system import SystemClock
from warmline.testing.engine import ScriptedEngine
from warmline.testing.messaging_client import MessagingClient
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
            greeting = await client.expect("POLY_AGENT_MESSAGE", timeout=10)
            if greeting.payload["text"] == answered_by:
                yield client
                return
    raise AssertionError(f"{answered_by} answered nobody")


@pytest.mark.parametrize("kind", ["notify", "nats"])
async def test_answers_and_typing_cross_from_server_to_server_at_once(
    kind: str, tmp_path: Path, postgres_url: str
) -> None:
    project = write_project(tmp_path / "project", {})
    async with AsyncExitStack() as stack:
        nats = None
        if kind == "nats":
            server = await stack.enter_async_context(nats_server(tmp_path))
            nats = NatsSettings(servers=(f"nats://127.0.0.1:{server.port}",))
        here = await start("here", project, postgres_url, nats)
        stack.push_async_callback(here.stop)
        await here.store.save_connector(
            Connector(id="c", token="demo-connector-token", project_id="sample", host="localhost")
        )
        there = await start("there", project, postgres_url, nats)
        stack.push_async_callback(there.stop)
        client = await stack.enter_async_context(customer_of(here, "there"))
        answers, typings = [], []
        for number in range(1, 10):
            asked = monotonic()
            await client.say(f"question {number}")
            said = await client.expect("POLY_AGENT_MESSAGE", number + 1, timeout=20)
            answers.append(monotonic() - asked)
            assert said.payload["text"] == f"You said: question {number}"
            asked = monotonic()
            there.conversations.show(client.session_id, "typing", started=True, agent_id="7", agent_name="Ann")
            await client.expect("LIVE_AGENT_TYPING", number, timeout=20)
            typings.append(monotonic() - asked)
        # Whoever only looked now and then would need longer for most of them.
        assert median(answers) < 1, answers
        assert median(typings) < 1, typings
        assert [event.sequence for event in client.journal()] == list(range(1, len(client.journal()) + 1))
