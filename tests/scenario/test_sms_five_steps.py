"""The five verify steps over SMS: the real server, both emulators, nothing in between (webex-byoc.md A-88, S19)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from support.desk import Desk
from support.installation import DISPUTE, TRANSFER, ServerProcess, emulator, installation
from support.phones import ADA, NUMBER, PNG, Phones, carrier, sms_fields


@pytest_asyncio.fixture
async def world(store_url: str, tmp_path: Path) -> AsyncIterator[tuple[ServerProcess, Desk, Phones]]:
    log = tmp_path / "server.log"
    async with emulator() as sim, carrier(media_needs_login=True) as sms, Phones(sms) as phones:
        order = {"sms": sms_fields(sms), "log_level": 10, "log": log}
        async with installation(store_url, sim, **order) as server, Desk(sim.url) as desk:
            phones.announce_to(f"{server.url}/sms/twilio/{server.answer['sms_connection_id']}")
            yield server, desk, phones
    written = log.read_text(encoding="utf-8")
    assert "server.started" in written
    private = (ADA, ADA[1:], NUMBER[1:], sms_fields(sms)["auth_token"], DISPUTE, "March bill", "here to help")
    assert [word for word in private if word in written] == []


async def test_A88_S19_topic_handoff_reply_and_end_over_sms(world: tuple[ServerProcess, Desk, Phones]) -> None:
    _, desk, phones = world
    await desk.ready()
    await phones.text(DISPUTE)
    task_id = await desk.take()
    got = await phones.until(lambda got: any(text.startswith("You're now chatting with") for text in got))
    assert got[1:3] == [TRANSFER, "You're in the queue."]
    assert len(got) == 4

    task = await desk.task(task_id)
    assert DISPUTE in task["transcript"][0]["text"]
    await desk.say(task_id, "Hello, <b>I am</b> here to help.")
    await phones.until_got("Hello, I am here to help.")
    for text in ("It is the March bill.", "It is far too high."):
        await phones.text(text)
    await desk.until_heard(task_id, ["It is the March bill.", "It is far too high."])

    await phones.text("Look", picture=PNG)
    await desk.until_heard(task_id, ["It is the March bill.", "It is far too high.", "Look"])
    heard = (await desk.task(task_id))["transcript"][-1]
    assert [file["mimeType"] for file in heard["attachments"]] == ["image/png"]

    stopped = await phones.text("Stop!")
    assert stopped
    await phones.until(lambda got: "START" in got[-1])
    await phones.text("start")
    await phones.until(lambda got: "subscribed again" in got[-1])
    heard_now = [m["text"] for m in (await desk.task(task_id))["transcript"] if m["senderType"] == "customer"]
    assert not {"Stop!", "start"} & set(heard_now)

    await desk.end(task_id)
    await phones.until_got("This chat has ended.")
    await phones.text("Hi again")
    got = await phones.until(lambda got: "virtual agent of Lumen" in got[-1] or len(got) > 9)
    assert any("virtual agent of Lumen" in text for text in got[7:])
    assert {m["number"] for m in await phones.messages(ADA)} == {"+14155550199"}
