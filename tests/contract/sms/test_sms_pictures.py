"""Words of pictures that the carrier cannot deliver arrive all the same, with a link (messaging-protocol.md §17.6)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.agent_projects import function_file, topic_file, write_project
from support.installation import TOKEN
from support.phones import ADA, NUMBER, Phones, carrier, sms_fields
from warmline.app import Server
from warmline.channels.sms.client import MEDIA_ERRORS
from warmline.channels.sms.connections import webhook_url
from warmline.channels.sms.pictures import AGAIN, spoiled, without_files
from warmline.domain.effects import SendText
from warmline.domain.texting import MAX_CHARS
from warmline.emulators.sms import RunningSms
from warmline.ports import SentText
from warmline.testing.messaging_client import PATIENCE_S
from warmline.testing.server import Order, free_port, start

SHOW, AFTER = "show me the picture", "what are your hours"
WORDS, HOURS = "Here it is.", "8 to 18"
TEXT = SendText(connection_id="c", number="+1", customer="+2", text="Look:", media=("https://x/1", "https://x/2"))
FAILED = SentText(id="1", connection_id="c", session_id="s", sid="MM1", status="failed", rank=6, at=0, error="30019")


class World:
    """A server whose virtual agent shows a picture, and customers whose numbers nobody has used before."""

    def __init__(self, server: Server, phones: Phones, connection_id: str, picture: str) -> None:
        self.server = server
        self.connection_id = connection_id
        self.phones = phones
        self.picture = picture
        self._customers = 0

    def customer(self) -> str:
        self._customers += 1
        return f"+1415558{self._customers:04d}"

    @property
    def linked(self) -> str:
        """The words with a link in place of the picture."""
        return f"{WORDS}\n{self.picture}"

    async def sent(self, customer: str) -> list[tuple[str, int]]:
        """Status and number of files of each text to the customer, once there is nothing more to come of any."""
        found: list[tuple[str, int]] = []

        async def over() -> bool:
            messages = await self.phones.messages(customer)
            found[:] = [(m["status"], len(m["media"])) for m in messages if m["direction"] == "out"]
            return {status for status, _ in found} <= {"delivered", "failed"}

        await until(over)
        return found


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `done` gives true."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await done():
                return
            await asyncio.sleep(0.02)


def order_of(folder: Path, sim: RunningSms) -> Order:
    """A server on a project that shows a picture, whose number can send it."""
    body = f'conv.add_attachments([Attachment("{sim.url}/phone/", content_type="image")])\nreturn "{WORDS}"'
    project = write_project(
        folder / "project",
        {
            "topics/show.yaml": topic_file("show", SHOW, actions="Call {{fn:show}}."),
            "topics/hours.yaml": topic_file("hours", AFTER, content=HOURS),
            "functions/show.py": function_file("show", body),
        },
    )
    return Order(
        database_url=f"sqlite:///{folder}/w.db",
        project=str(project),
        connector_token=TOKEN,
        sms={**sms_fields(sim), "mms": "true"},
        sms_look_after_s=0.5,
        sms_files_news_s=1.0,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with carrier() as sim, Phones(sim) as phones:
        server, answer = await start(order_of(tmp_path_factory.mktemp("pictures"), sim))
        phones.announce_to(webhook_url(server.url, answer["sms_connection_id"]))
        yield World(server, phones, answer["sms_connection_id"], f"{sim.url}/phone/")
        await server.stop()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_picture_that_can_be_fetched_is_sent_once(world: World) -> None:
    ada = world.customer()
    await world.phones.text(SHOW, ada)
    await world.phones.text(AFTER, ada)
    assert (await world.phones.until_got(HOURS, ada))[1:] == [WORDS, HOURS]
    assert (await world.sent(ada))[1:] == [("delivered", 1), ("delivered", 0)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("fault", [{}, {"code": 12300}, {"code": 11200, "delay_ms": 300}])
async def test_words_of_a_picture_that_the_carrier_cannot_fetch_are_sent_with_its_link(
    world: World, fault: dict[str, Any]
) -> None:
    ada = world.customer()
    await world.phones.fault("fetch", times=1, **fault)
    await world.phones.text(SHOW, ada)
    await world.phones.text(AFTER, ada)
    assert (await world.phones.until_got(HOURS, ada))[1:] == [WORDS, world.linked, HOURS]
    assert (await world.sent(ada))[1:] == [("failed", 0), ("delivered", 0), ("delivered", 0)]
    stored = await world.server.store.line(world.connection_id, NUMBER, ada)

    async def told() -> bool:
        known = await world.server.store.sent_texts(stored.session_id)
        return [(text.status, text.error) for text in known] == [("delivered", "")] * 3

    await until(told)


@pytest.mark.asyncio(loop_scope="module")
async def test_words_of_a_picture_that_the_carrier_refuses_at_once_are_sent_with_its_link(world: World) -> None:
    ada = world.customer()
    await world.phones.text(AFTER, ada)
    await world.phones.until_got(HOURS, ada)
    await world.phones.fault("send", status=400, code=21620, times=1)
    await world.phones.text(SHOW, ada)
    assert (await world.phones.until_got(world.linked, ada))[1:] == [HOURS, world.linked]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_second_text_is_looked_for_before_it_is_sent_again(world: World) -> None:
    ada = world.customer()
    await world.phones.text(AFTER, ada)
    await world.phones.until_got(HOURS, ada)
    await world.phones.fault("fetch", times=1)
    await world.phones.fault("send", times=1)
    await world.phones.fault("send", drop=True, when="after", times=1)
    await world.phones.text(SHOW, ada)
    await world.phones.until_got(world.linked, ada)
    await world.phones.text(AFTER + "?", ada)
    assert (await world.phones.until_got(HOURS, ada))[1:] == [HOURS, WORDS, world.linked, HOURS]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_picture_that_may_have_been_sent_is_looked_for_also_before_it_is_fetched(world: World) -> None:
    ada = world.customer()
    await world.phones.text(AFTER, ada)
    await world.phones.until_got(HOURS, ada)
    await world.phones.fault("fetch", delay_ms=700, times=1)
    await world.phones.fault("status", drop=True)
    await world.phones.fault("send", drop=True, when="after", times=1)
    try:
        await world.phones.text(SHOW, ada)
        assert (await world.phones.until_got(world.linked, ada))[1:] == [HOURS, WORDS, world.linked]
    finally:
        await world.phones.call("DELETE", "/faults")


@pytest.mark.asyncio(loop_scope="module")
async def test_lost_news_of_a_picture_that_failed_are_asked_for(world: World) -> None:
    ada = world.customer()
    await world.phones.text(AFTER, ada)
    await world.phones.until_got(HOURS, ada)
    await world.phones.fault("fetch", times=1)
    await world.phones.fault("status", drop=True)
    try:
        await world.phones.text(SHOW, ada)
        assert (await world.phones.until_got(world.linked, ada))[1:] == [HOURS, WORDS, world.linked]
    finally:
        await world.phones.call("DELETE", "/faults")


async def test_a_picture_that_failed_while_the_server_was_down_is_made_up_for(tmp_path: Path) -> None:
    async with carrier() as sim, Phones(sim) as phones:
        order = order_of(tmp_path, sim)
        order.port = free_port()
        server, answer = await start(order)
        connection_id = answer["sms_connection_id"]
        phones.announce_to(webhook_url(server.url, connection_id))
        await phones.fault("fetch", delay_ms=300_000, times=1)
        try:
            await phones.text(SHOW)

            async def taken() -> bool:
                line = await server.store.line(connection_id, NUMBER, ADA)
                known = await server.store.sent_texts(line.session_id)
                return [text.sid[:2] for text in known] == ["SM", "MM"]

            await until(taken)
        finally:
            await server.stop()
        (picture,) = [m for m in sim.carrier.world.messages.values() if m.sid.startswith("MM")]
        picture.status, picture.error_code = "failed", 30019
        server, _ = await start(order)
        try:
            await phones.text(AFTER)
            assert (await phones.until_got(HOURS))[1:] == [WORDS, f"{WORDS}\n{sim.url}/phone/", HOURS]
        finally:
            await server.stop()


@pytest.mark.parametrize("error", MEDIA_ERRORS)
def test_only_files_that_failed_by_themselves_are_left_out_and_once(error: str) -> None:
    known = replace(FAILED, error=error)
    assert spoiled(TEXT, known)
    assert spoiled(TEXT, replace(known, status="undelivered"))
    for other in (replace(known, error="30003"), replace(known, status="sent"), replace(known, rank=6 + AGAIN), None):
        assert not spoiled(TEXT, other)
    assert not spoiled(replace(TEXT, media=()), known)


def test_links_stand_below_the_words_as_far_as_there_is_room() -> None:
    assert without_files(TEXT) == replace(TEXT, text="Look:\nhttps://x/1\nhttps://x/2", media=())
    assert without_files(replace(TEXT, text="")).text == "https://x/1\nhttps://x/2"
    almost = "w" * (MAX_CHARS - 12)
    assert without_files(replace(TEXT, text=almost)).text == f"{almost}\nhttps://x/1"
    full = "w" * MAX_CHARS
    assert without_files(replace(TEXT, text=full)).text == full
