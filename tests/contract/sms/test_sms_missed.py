"""Texts whose webhook never got its 200 are fetched from the carrier's list, once (messaging-protocol.md §17.1)."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from support.installation import LUMEN
from support.phones import NUMBER, OTHER_NUMBER, PNG, Phones, carrier, sms_fields
from warmline.agent.project.folders import find_projects
from warmline.app import Overrides, Server
from warmline.channels.sms import LookSettings, setup
from warmline.channels.sms.connections import webhook_url
from warmline.config import Settings
from warmline.domain.events import UserMessage
from warmline.domain.line import HOUR_MS
from warmline.emulators.sms import NumberSpec, SmsSettings
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemClock, SystemIds
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S
from warmline.testing.server import SECRET_KEY, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWAY, OFTEN, LOST, ELSEWHERE, PICTURE, LATE, GONE = (f"+1415558000{n}" for n in range(7))
QUESTION = "My power is out"


class World:
    def __init__(self, phones: Phones, server: Server, connection_id: str) -> None:
        self.phones = phones
        self.server = server
        self.connection_id = connection_id

    async def said(self, customer: str, count: int) -> list[str]:
        """What the customer has said to the virtual agent, once it is that much."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                line = await self.server.store.line(self.connection_id, NUMBER, customer)
                log = await self.server.store.events(line.session_id, 0)
                said = [r.event.text for r in log if isinstance(r.event, UserMessage)]
                if len(said) >= count:
                    return said
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port, folder = free_port(), tmp_path_factory.mktemp("missed")
    settings = Settings(
        database_url=f"sqlite:///{folder}/w.db",
        public_url=f"http://127.0.0.1:{port}",
        secret_key=SECRET_KEY,
        projects=LUMEN,
        port=port,
        relaxed=True,
    )
    async with carrier() as sim, Phones(sim) as phones:
        made_id = await connected(settings, sms_fields(sim))
        url = webhook_url(settings.public_url, made_id) + "#rc=5&rp=all"
        elsewhere = NumberSpec(number=OTHER_NUMBER, sms_url="http://127.0.0.1:9/other")
        sim.carrier.configure(
            SmsSettings(sending_ms=1, delivery_ms=1, numbers=(NumberSpec(number=NUMBER, sms_url=url), elsewhere))
        )
        await texts_while_nobody_listens(phones)
        overrides = Overrides(sms_looks=LookSettings(every_s=0.2, grace_s=0.05))
        server = await Server.start(settings, overrides=overrides)
        try:
            yield World(phones, server, made_id)
        finally:
            await server.stop()


async def connected(settings: Settings, fields: dict[str, str]) -> str:
    """Add the numbers while no server runs; they are two hours old. Returns the connection's id."""
    store = open_store(settings.database_url, SystemIds(), AesSecretBox(SECRET_KEY))
    await store.start()
    try:
        project_id = next(iter(find_projects(LUMEN)))
        earlier = ManualClock(SystemClock().now() - 2 * HOUR_MS)
        made = await setup.save(store, earlier, SystemIds(), project_id, fields, "SMS", relaxed=True)
        return made.id
    finally:
        await store.close()


async def texts_while_nobody_listens(phones: Phones) -> None:
    messages = phones.sim.carrier.world.messages
    for n in range(3):
        await phones.text(f"{QUESTION} {n}", AWAY)
    for n in range(12):
        sid = await phones.text(f"Text {n}", OFTEN)
        messages[sid].at += n * 10_000 - 130_000
    await phones.text(QUESTION, ELSEWHERE, to=OTHER_NUMBER)


async def test_texts_of_an_outage_are_answered_at_the_next_start_in_order(world: World) -> None:
    assert await world.said(AWAY, 3) == [f"{QUESTION} {n}" for n in range(3)]
    await world.phones.until(lambda got: len(got) == 4, AWAY)


async def test_texts_that_were_written_over_minutes_are_not_too_fast_because_they_are_read_at_once(
    world: World,
) -> None:
    assert await world.said(OFTEN, 12) == [f"Text {n}" for n in range(12)]


async def test_a_lost_webhook_is_made_up_for_and_comes_too_late_then(world: World) -> None:
    await world.phones.fault("inbound", drop=True, times=1)
    sid = await world.phones.text(QUESTION, LOST)
    got = await world.phones.until(lambda got: len(got) == 2, LOST)
    carrier_side = world.phones.sim.carrier
    announced = carrier_side.announce(carrier_side.world.messages[sid])
    assert announced is not None
    await announced
    assert [d.status for d in carrier_side.webhooks.deliveries if d.fields.get("MessageSid") == sid] == [200]
    await world.phones.text("Thanks", LOST)
    await world.phones.until(lambda now: len(now) == len(got) + 1, LOST)
    assert await world.said(LOST, 2) == [QUESTION, "Thanks"]


async def test_a_carrier_that_cannot_be_asked_is_told_from_the_second_time_on(world: World) -> None:
    def told(logs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
        return [(line["log_level"], line["why"]) for line in logs if line["event"] == "sms.missed_not_looked_for"]

    await world.phones.fault("inbound", drop=True, times=1)
    with capture_logs() as logs:
        await world.phones.fault("list", status=503, times=2)
        await world.phones.text(QUESTION, LATE)
        await world.phones.until(lambda got: len(got) == 2, LATE)
    assert told(logs) == [("info", "server_error"), ("warning", "server_error")]


async def test_a_picture_is_found_with_its_text(world: World) -> None:
    await world.phones.fault("inbound", drop=True, times=1)
    await world.phones.text("Look", PICTURE, picture=PNG)
    await world.phones.until(lambda got: "Files can be sent only while you are connected to our team." in got, PICTURE)
    assert await world.said(PICTURE, 1) == ["Look"]


async def test_a_text_whose_picture_is_gone_does_not_hold_up_the_others(world: World) -> None:
    await world.phones.fault("inbound", drop=True, times=1)
    await world.phones.fault("media", status=404)
    await world.phones.text(QUESTION, GONE, picture=PNG)
    await world.phones.until(lambda got: len(got) == 2, GONE)
    assert await world.said(GONE, 1) == [QUESTION]
    await world.phones.call("DELETE", "/faults")


async def test_numbers_that_announce_their_texts_to_somebody_else_are_theirs(world: World) -> None:
    line = await world.server.store.line(world.connection_id, OTHER_NUMBER, ELSEWHERE)
    assert line.session_id == ""
    assert await world.phones.got(ELSEWHERE) == []
