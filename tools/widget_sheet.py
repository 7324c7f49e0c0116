"""Makes docs/images/widget.webp: the widget's states side by side, in light and dark, on a desktop and on a phone.

Usage: .venv/bin/python tools/widget_sheet.py
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.async_api import Browser, Page, async_playwright, expect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.chromium import launch_chromium  # noqa: E402
from support.customer import open_chat, send  # noqa: E402
from support.fake_messaging import FakeMessaging  # noqa: E402

TARGET = ROOT / "docs" / "images" / "widget.webp"
_TILE = (420, 760)
_COLUMNS = 5
_LABEL = 28

State = Callable[[Page, FakeMessaging], Awaitable[None]]


async def invited(page: Page, server: FakeMessaging) -> None:
    """The launcher with its invitation."""
    server.config["bubble_text"] = "Questions about your bill?"
    await page.goto(server.url)
    await expect(page.locator("#poly-ai-chat .prompt")).to_be_visible()


async def consent(page: Page, server: FakeMessaging) -> None:
    """The notice before the first message."""
    server.config |= {
        "disclaimer": "We keep this chat for 30 days. {{privacyPolicyUrl}}",
        "disclaimer_consent": True,
        "privacy_url": "https://example.com/privacy",
        "welcome_message": "Hello! Our virtual agent answers at once.",
    }
    await page.goto(server.url)
    await page.get_by_role("button", name="Open chat").click()


async def answered(page: Page, server: FakeMessaging) -> None:
    """A conversation with the virtual agent."""
    await open_chat(page, server)
    await send(page, "What tariffs do you have?")
    card = {"title": "Compare tariffs", "content_url": "https://example.com/t", "call_to_action_text": "Compare"}
    call = {"title": "Call us", "contact_number": "+49 30 123456"}
    await server.session.say(
        "We have **two** tariffs:\n\n- *Sun*: 28 ct\n- *Wind*: 26 ct",
        attachments=[card],
        chat_call_actions=[call],
        response_suggestions=[{"message_text": "The cheaper one"}, {"message_text": "Talk to a person"}],
    )
    await expect(page.locator("#poly-ai-chat .call")).to_be_visible()


async def queued(page: Page, server: FakeMessaging) -> None:
    """Waiting for a live agent."""
    await open_chat(page, server)
    await send(page, "I want to talk to a person")
    session = server.session
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("POLY_AGENT_LEFT")
    await session.log("HANDOFF_ACCEPTED")
    await session.log("HANDOFF_QUEUE_STATUS", {"position_in_queue": 3, "estimated_wait_seconds": 130})
    await expect(page.get_by_text("You are number 3")).to_be_visible()


async def live(page: Page, server: FakeMessaging) -> None:
    """With a live agent: delivered, not delivered, typing."""
    await queued(page, server)
    session = server.session
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a1", "name": "Maria Keller"}})
    greeting = {"message_id": "h1", "agent_id": "a1", "text": "Good morning, how can I help?"}
    await session.log("LIVE_AGENT_MESSAGE", greeting)
    await send(page, "My bill is twice as high as usual.")
    mine = session.journal[-1]["payload"]["message_id"]
    await session.log("LIVE_AGENT_RECEIVED_MESSAGE", {"message_id": mine})
    await session.whisper("LIVE_AGENT_TYPING", {"agent_id": "a1", "state": "TYPING_STATE_STARTED"})
    await expect(page.locator("#poly-ai-chat .status")).to_have_text("Delivered")


async def menu(page: Page, server: FakeMessaging) -> None:
    """The menu."""
    server.config |= {"privacy_url": "https://example.com/privacy", "terms_url": "https://example.com/terms"}
    await answered(page, server)
    await page.get_by_role("button", name="More options").click()


async def failed(page: Page, server: FakeMessaging) -> None:
    """A message that could not be sent."""
    await open_chat(page, server)
    server.echoing = False
    await send(page, "Is anybody there?")
    await page.clock.run_for(60_000)
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def offline(page: Page, server: FakeMessaging) -> None:
    """Without a network."""
    await open_chat(page, server)
    await page.context.set_offline(True)
    await send(page, "Written in a tunnel")
    await expect(page.get_by_text("You are offline.")).to_be_visible()


async def ended(page: Page, server: FakeMessaging) -> None:
    """The end."""
    await live(page, server)
    await server.session.log("LIVE_AGENT_LEFT", {"agent_id": "a1"})
    await server.session.log("SESSION_END", {"reason": "REASON_NATURAL_END"})
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()


async def arabic(page: Page, server: FakeMessaging) -> None:
    """Right to left."""
    server.config |= {"languages": ["ar"], "agent_name": "لومي"}
    server.greeting = "مرحبا، كيف يمكنني مساعدتك؟"
    await page.goto(server.url)
    await page.get_by_role("button", name="فتح المحادثة").click()
    await page.get_by_label("رسالتك").fill("أريد التحدث إلى موظف")
    await page.keyboard.press("Enter")
    await expect(page.locator("#poly-ai-chat .status.sent")).to_be_visible()


STATES: tuple[State, ...] = (invited, consent, answered, menu, queued, live, failed, offline, ended, arabic)


async def take(browser: Browser, state: State, scheme: str, phone: bool) -> Image.Image:
    """One state on a page of its own."""
    server = FakeMessaging()
    await server.start()
    width, height = (390, _TILE[1]) if phone else _TILE
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        locale="en-GB",
    )
    page = await context.new_page()
    if state is failed:
        await page.clock.install()
    try:
        await state(page, server)
        await page.wait_for_timeout(150)
        return Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    finally:
        await context.close()
        await server.stop()


async def main() -> None:
    """Take every state, lay them out."""
    rows = [("light", False), ("dark", True)]
    lines = -(-len(STATES) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE[0], len(rows) * lines * (_TILE[1] + _LABEL)), "#888888")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=18)
    async with async_playwright() as playwright:
        browser = await launch_chromium(playwright)
        for row, (scheme, phone) in enumerate(rows):
            for number, state in enumerate(STATES):
                left = number % _COLUMNS * _TILE[0]
                top = (row * lines + number // _COLUMNS) * (_TILE[1] + _LABEL)
                picture = await take(browser, state, scheme, phone)
                label = f"{state.__name__}, {scheme}, {'phone' if phone else 'desktop'}"
                draw.text((left + 10, top + 4), label, fill="white", font=font)
                sheet.paste(picture, (left + (_TILE[0] - picture.width) // 2, top + _LABEL))
        await browser.close()
    sheet = sheet.resize((sheet.width * 3 // 4, sheet.height * 3 // 4), Image.Resampling.LANCZOS)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(TARGET, quality=86, method=6)
    print(f"{TARGET.relative_to(ROOT)}: {len(STATES)} states, {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    asyncio.run(main())
