"""SMS takes time: slow agents, silent customers, a carrier that is away (messaging-protocol.md §17)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.installation import LUMEN
from support.phones import NUMBER, Phones, carrier, sms_fields
from warmline.app import Overrides, Server
from warmline.channels.sms import SendSettings, setup
from warmline.channels.sms.connections import webhook_url
from warmline.config import Settings
from warmline.domain.turn import TurnInput, TurnOutcome
from warmline.ports import TurnEngine
from warmline.testing.messaging_client import PATIENCE_S
from warmline.testing.server import SECRET_KEY, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BEN, CHLOE, DORA = "+14155570100", "+14155570101", "+14155570102", "+14155570103"
RULES = """
sentences: {inactive: "Still there?", closed: "Bye."}
inactivity: {after_hours: 0.0003, grace_minutes: 0.02}
"""
QUESTION = "My power is out"


class SlowAgent:
    """Thinks until it is let go."""

    def __init__(self, inner: TurnEngine, ready: asyncio.Event, turns: list[TurnInput]) -> None:
        self._inner = inner
        self._ready = ready
        self._turns = turns

    async def run(self, turn: TurnInput, before_functions: Callable[[], Awaitable[None]], *rest: Any) -> TurnOutcome:
        self._turns.append(turn)
        await self._ready.wait()
        return await self._inner.run(turn, before_functions, *rest)

    async def close(self) -> None:
        await self._inner.close()


class World:
    def __init__(self, phones: Phones, ready: asyncio.Event, turns: list[TurnInput], server: Server) -> None:
        self.phones = phones
        self.ready = ready
        self.turns = turns
        self.server = server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("patience")
    project: Path = shutil.copytree(LUMEN, folder / "lumen")
    (project / "sms").mkdir(exist_ok=True)
    (project / "sms" / "configuration.yaml").write_text(RULES, encoding="utf-8")
    port = free_port()
    settings = Settings(
        database_url=f"sqlite:///{folder}/w.db",
        public_url=f"http://127.0.0.1:{port}",
        secret_key=SECRET_KEY,
        projects=project,
        port=port,
        relaxed=True,
    )
    ready, turns = asyncio.Event(), list[TurnInput]()
    ready.set()
    overrides = Overrides(
        wrap_engine=lambda engine: SlowAgent(engine, ready, turns),
        sms_settings=SendSettings(look_after_s=0.3, recheck_s=0.3),
    )
    async with carrier() as sim, Phones(sim) as phones:
        server = await Server.start(settings, overrides=overrides)
        try:
            made = await setup.save(
                server.store, server.clock, server.ids, server.project_ids[0], sms_fields(sim), "SMS", relaxed=True
            )
            server.sms.connections.forget()
            phones.announce_to(webhook_url(settings.public_url, made.id))
            yield World(phones, ready, turns, server)
        finally:
            await server.stop()


async def test_S8_webhooks_are_answered_while_the_agent_thinks(world: World) -> None:
    world.ready.clear()
    for number in range(3):
        await world.phones.text(f"{QUESTION} {number}", ADA)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            data = await world.phones.call("GET", "/deliveries")
            if [d["status"] for d in data["deliveries"] if d["kind"] == "inbound"] == [200] * 3:
                break
            await asyncio.sleep(0.02)
    assert await world.phones.got(ADA) == []
    world.ready.set()
    await world.phones.until(lambda got: len(got) >= 4, ADA)


async def test_functions_are_told_which_number_was_texted_and_since_when(world: World) -> None:
    began = world.server.clock.now()
    await world.phones.text(QUESTION, DORA)
    await world.phones.until(lambda got: len(got) >= 2, DORA)
    turns = [turn for turn in world.turns if turn.caller_number == DORA]
    assert {turn.callee_number for turn in turns} == {NUMBER}
    (started,) = {turn.started_at for turn in turns}
    assert started is not None
    assert began <= started <= world.server.clock.now()


async def test_S18_a_silent_customer_is_asked_then_told_and_the_next_text_begins_anew(world: World) -> None:
    await world.phones.text(QUESTION, BEN)
    got = await world.phones.until(lambda got: "Still there?" in got, BEN)
    await world.phones.text("Yes, here", BEN)
    await world.phones.until(lambda now: len(now) == len(got) + 1, BEN)
    last = await world.phones.until_got("Bye.", BEN)
    assert [text for text in last if text in ("Still there?", "Bye.")] == ["Still there?", "Still there?", "Bye."]
    await world.phones.text("Hello again", BEN)
    after = await world.phones.until(lambda now: len(now) >= len(last) + 2, BEN)
    assert "virtual agent of Lumen Energy" in after[len(last)]


async def test_a_carrier_that_refuses_our_credentials_stops_the_connection_until_they_are_mended(world: World) -> None:
    store = world.server.store
    (before,) = await store.text_connections()
    await world.phones.fault("send", status=401, code=20003, times=1)
    await world.phones.text(QUESTION, CHLOE)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            (connection,) = await store.text_connections()
            if connection.state == "auth_failed":
                break
            await asyncio.sleep(0.02)
    assert await world.phones.got(CHLOE) == []
    fields = {**before.values, **before.secrets, "agent_name": "Lumi"}
    await setup.save(
        store, world.server.clock, world.server.ids, before.project_id, fields, "SMS", existing=before, relaxed=True
    )
    world.server.sms.connections.forget()
    await world.phones.until(lambda got: len(got) >= 2, CHLOE)
    (mended,) = await store.text_connections()
    assert mended.state == "connected"
