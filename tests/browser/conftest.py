"""Real pages for the tests of what a browser shows."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from support.chromium import launch_chromium
from support.fake_messaging import FakeMessaging
from warmline.testing.messaging_client import PATIENCE_S

expect.set_options(timeout=PATIENCE_S * 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium, one for a test file."""
    async with async_playwright() as playwright:
        chromium = await launch_chromium(playwright)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[FakeMessaging]:
    """A messaging server that does what the test says, and a website that embeds its widget."""
    fake = FakeMessaging()
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A new visitor. Fails the test afterwards for any script error and any breach of the page's policy."""
    context = await browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    yield page
    await context.close()
    assert problems == []
