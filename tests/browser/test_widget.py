"""The widget in a real browser against a scriptable server (messaging-protocol.md §15, checks V6 to V14)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect
from support.chromium import launch_chromium
from support.fake_messaging import FakeMessaging

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await launch_chromium(playwright)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[FakeMessaging]:
    fake = FakeMessaging()
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    yield page
    await context.close()
    assert problems == []


async def open_chat(page: Page, server: FakeMessaging) -> None:
    """Load the site, open the chat, and wait for the greeting."""
    await page.goto(server.url)
    await page.get_by_role("button", name="Open chat").click()
    await expect(page.get_by_role("dialog").get_by_text("Hello, how can I help?").first).to_be_visible()


def bubbles(page: Page):
    return page.locator("#poly-ai-chat .bubble:not(.dots)")


async def send(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")


async def test_first_open_says_who_asks_and_shows_the_greeting(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    await expect(page.get_by_role("button", name="Open chat")).to_be_visible()
    assert server.rest_calls == []
    await page.get_by_role("button", name="Open chat").click()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    (_, token_headers, token_body), (_, session_headers, session_body) = server.rest_calls
    assert token_headers["X-Token"] == server.config["token"]
    assert token_headers["X-Host"] == "localhost"
    assert token_body == {}
    assert session_headers["Authorization"].startswith("Bearer ")
    assert session_body == {"platform": "web", "streaming_enabled": True, "language": "en"}
    assert len(server.session.frames("REQUEST_POLY_AGENT_JOIN")) == 1
    assert server.session.cursors == [None]
