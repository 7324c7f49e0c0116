"""What a customer does with the widget."""

from playwright.async_api import Locator, Page, expect

from support.fake_messaging import FakeMessaging


async def open_chat(page: Page, server: FakeMessaging) -> None:
    """Load the site, open the chat, and wait for the greeting."""
    await page.goto(server.url)
    await page.get_by_role("button", name="Open chat").click()
    await expect(page.get_by_role("dialog").get_by_text("Hello, how can I help?").first).to_be_visible()


def bubbles(page: Page) -> Locator:
    """Everything that was said, in the order on the screen."""
    return page.locator("#poly-ai-chat .bubble:not(.dots)")


async def send(page: Page, text: str) -> None:
    """Write and press Enter."""
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")
