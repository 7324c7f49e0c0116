"""Sending and seeing files in the widget (webex-byoc.md §13, messaging-protocol.md §11)."""

import pytest
from playwright.async_api import FilePayload, Locator, Page, expect

from support.customer import bubbles, open_chat, send
from support.fake_messaging import PIXEL, FakeMessaging
from support.pages import no_barriers

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = {"capabilities": {"attachments": {"max_count": 5, "max_size_bytes": 1000, "types": ["image/*", "text/plain"]}}}
PHOTO: FilePayload = {"name": "photo.png", "mimeType": "image/png", "buffer": PIXEL}


def cards(page: Page) -> Locator:
    """The cards of files, in the order on the screen."""
    return page.locator("#poly-ai-chat .card-title")


async def with_agent(page: Page, server: FakeMessaging) -> None:
    """The chat is open and a live agent who takes files is there."""
    await open_chat(page, server)
    session = server.session
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("POLY_AGENT_LEFT")
    await session.log("HANDOFF_ACCEPTED", RULES)
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a-1", "name": "Ana"}, "agent_id": "a-1"})
    await expect(page.get_by_role("button", name="Attach a file")).to_be_visible()


async def choose(page: Page, file: FilePayload) -> None:
    """Press the button and pick a file."""
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Attach a file").click()
    await (await chooser.value).set_files(files=[file])


async def test_files_are_offered_only_while_the_server_says_that_somebody_takes_them(
    page: Page, server: FakeMessaging
) -> None:
    await open_chat(page, server)
    button = page.get_by_role("button", name="Attach a file")
    await expect(button).to_have_count(0)
    session = server.session
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("HANDOFF_ACCEPTED")
    await session.log("LIVE_AGENT_JOINED", {"agent_id": "a-1", "agent_name": "Ana"})
    await expect(page.locator("#poly-ai-chat .line-text").last).to_have_text("Ana joined")
    await expect(button).to_have_count(0)
    await session.log("HANDOFF_ACCEPTED", RULES)
    await expect(button).to_be_visible()
    assert await page.locator("#poly-ai-chat input[type=file]").get_attribute("accept") == "image/*,text/plain"
    await session.log("LIVE_AGENT_LEFT", {"agent_id": "a-1"})
    await expect(button).to_have_count(0)


async def test_a_file_is_shown_at_once_uploaded_and_confirmed_by_its_echo(page: Page, server: FakeMessaging) -> None:
    await with_agent(page, server)
    server.upload_gate.clear()
    await choose(page, PHOTO)
    await expect(cards(page)).to_have_text(["photo.png"])
    await expect(page.get_by_role("progressbar", name="photo.png")).to_be_visible()
    await send(page, "Did you get it?")
    await expect(bubbles(page).last).to_have_text("Did you get it?")
    await no_barriers(page, "#poly-ai-chat")
    server.upload_gate.set()
    await expect(page.get_by_role("progressbar")).to_have_count(0)
    await expect(cards(page)).to_have_text(["photo.png"])
    await expect(page.get_by_role("link", name="photo.png").get_by_role("img")).to_be_visible()
    assert server.uploads == [("photo.png", PIXEL)]


async def test_an_upload_that_broke_off_can_be_tried_again(page: Page, server: FakeMessaging) -> None:
    await with_agent(page, server)
    server.upload_refusals = [(503, "")]
    await choose(page, PHOTO)
    await expect(page.get_by_text("Not sent")).to_be_visible()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("link", name="photo.png")).to_be_visible()
    await expect(page.get_by_text("Not sent")).to_have_count(0)
    assert [name for name, _ in server.uploads] == ["photo.png", "photo.png"]
    assert len([event for event in server.session.journal if event["type"] == "EVENT_TYPE_USER_MESSAGE"]) == 1


async def test_a_refused_file_is_taken_back_with_the_servers_sentence(page: Page, server: FakeMessaging) -> None:
    await with_agent(page, server)
    server.upload_refusals = [(415, "Files of this type cannot be sent.")]
    await choose(page, {"name": "tool.txt", "mimeType": "text/plain", "buffer": b"MZ"})
    await expect(page.locator("#poly-ai-chat .line.error")).to_have_text("Files of this type cannot be sent.")
    await expect(cards(page)).to_have_count(0)


async def test_a_file_that_is_too_large_is_not_even_sent(page: Page, server: FakeMessaging) -> None:
    await with_agent(page, server)
    await choose(page, {"name": "big.txt", "mimeType": "text/plain", "buffer": b"x" * 1001})
    await expect(page.get_by_role("alert")).to_have_text("This file is too large to send.")
    assert server.uploads == []


async def test_a_file_that_was_not_forwarded_can_be_sent_again(page: Page, server: FakeMessaging) -> None:
    await with_agent(page, server)
    await choose(page, PHOTO)
    await expect(page.get_by_role("link", name="photo.png")).to_be_visible()
    local_id = next(iter(server.session.echoes))
    notice = {"level": "SYSTEM_MESSAGE_LEVEL_ERROR", "message": "Failed to forward message to live agent"}
    await server.session.log("SYSTEM_MESSAGE", notice, {"local_id": local_id})
    await expect(page.get_by_text("Not delivered to the agent")).to_be_visible()
    async with page.expect_response("**/files*"):
        await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_text("Not delivered to the agent")).to_have_count(0)
    await expect(cards(page)).to_have_text(["photo.png"])
    assert len(server.uploads) == 2


async def test_an_agents_picture_is_shown_and_survives_a_reload(page: Page, server: FakeMessaging) -> None:
    await with_agent(page, server)
    payload = {"message_id": "m-1", "agent_id": "a-1", "text": "", "attachments": [server.file("meter.png")]}
    await server.session.log("LIVE_AGENT_MESSAGE", payload)
    for _ in range(2):
        picture = page.get_by_role("link", name="meter.png").get_by_role("img")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("async (img) => { await img.decode(); return img.naturalWidth }") == 1
        await page.reload()
    await expect(page.get_by_role("button", name="Attach a file")).to_be_visible()
