"""What a customer does with the widget."""

from playwright.async_api import Locator, Page, expect

from support.fake_messaging import FakeMessaging


async def open_chat(page: Page, server: FakeMessaging) -> None:
    """Load the site, open the chat, and wait for the greeting."""
    await page.goto(server.url)
    await page.get_by_role("button", name="Open chat").click()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])


def bubbles(page: Page) -> Locator:
    """Everything that was said, in the order on the screen."""
    return page.locator("#poly-ai-chat .bubble:not(.dots)")


async def send(page: Page, text: str) -> None:
    """Write and press Enter; it is on its way then, and may be heard of later."""
    await page.get_by_label("Your message").fill(text)
    await page.get_by_label("Your message").press("Enter")


async def sent(page: Page) -> None:
    """Wait until the customer sees that the last message was accepted: the server has everything up to it."""
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
