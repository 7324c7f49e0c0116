"""Makes docs/images/demo.webp, the README's picture, from screenshots of the running demo.

Usage: .venv/bin/python tools/pictures.py [--keep FOLDER]
"""

import argparse
import asyncio
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, async_playwright, expect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.chromium import launch_chromium  # noqa: E402
from support.customer import bubbles, send  # noqa: E402
from support.demo import Demo  # noqa: E402

TARGET = ROOT / "docs" / "images" / "demo.webp"
LIMIT_BYTES = 1_500_000
_WINDOW = {"width": 1360, "height": 850}


class Album:
    """The screenshots so far, with how long each is shown."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.pictures: list[Image.Image] = []
        self.durations_ms: list[int] = []

    async def take(self, seconds: float) -> None:
        """Add what the page shows now, once its animations are over."""
        await self._page.evaluate(
            """async () => {
                const roots = [document, document.querySelector("#poly-ai-chat")?.shadowRoot].filter(Boolean);
                const moving = roots.flatMap((root) => root.getAnimations({ subtree: true }));
                const ending = moving.filter((each) => Number.isFinite(each.effect.getComputedTiming().endTime));
                await Promise.all(ending.map((each) => each.finished.catch(() => {})));
            }"""
        )
        self.pictures.append(Image.open(io.BytesIO(await self._page.screenshot())).convert("RGB"))
        self.durations_ms.append(round(seconds * 1000))

    def save(self) -> None:
        """Write the animation. Raises SystemExit when it is too large for a README."""
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        first, *others = self.pictures
        first.save(
            TARGET, save_all=True, append_images=others, duration=self.durations_ms, loop=0, quality=82, method=6
        )
        size = TARGET.stat().st_size
        print(f"{TARGET.relative_to(ROOT)}: {len(self.pictures)} pictures, {size / 1000:.0f} kB")
        if size > LIMIT_BYTES:
            raise SystemExit("too large")


async def play(page: Page, url: str) -> Album:
    """Go through the five steps, as a customer and as a live agent."""
    album = Album(page)
    desktop = page.frame_locator("iframe[title='Agent desktop']")
    messages = bubbles(page)
    await page.goto(url)
    await expect(desktop.get_by_role("button", name="Maya Okafor")).to_be_visible()
    await page.get_by_role("button", name="Open chat").click()
    await expect(messages).to_have_count(1)
    await album.take(2.0)
    await send(page, "What tariffs do you have?")
    await expect(messages).to_have_count(3)
    await album.take(2.4)
    await desktop.get_by_role("button", name="Maya Okafor").click()
    await desktop.get_by_text("Available", exact=True).click()
    await expect(desktop.get_by_role("radio", name="Available")).to_be_checked()
    await send(page, "I want to dispute my bill")
    await expect(desktop.get_by_role("button", name="Accept")).to_be_visible()
    await expect(page.locator("#poly-ai-chat .line", has_text="Waiting for an agent")).to_be_visible()
    await album.take(2.6)
    await desktop.get_by_role("button", name="Accept").click()
    await expect(page.locator("#poly-ai-chat .line", has_text="Maya joined")).to_be_visible()
    await album.take(2.4)
    reply = desktop.get_by_label("Message", exact=True)
    await reply.fill("Hello, this is Maya. Which bill is it?")
    await reply.press("Enter")
    await expect(messages).to_have_count(6)
    await album.take(1.8)
    await send(page, "The one of March: it is twice as high as usual.")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text("Delivered")
    await album.take(2.2)
    await reply.fill("I see it: the reading was estimated. I have corrected it.")
    await reply.press("Enter")
    await expect(messages).to_have_count(8)
    await send(page, "Perfect, thank you!")
    await expect(desktop.locator(".bubble.customer", has_text="Perfect")).to_be_visible()
    await expect(page.locator("#poly-ai-chat .status")).to_have_text("Delivered")
    await album.take(2.2)
    await desktop.get_by_role("button", name="End", exact=True).click()
    await desktop.get_by_role("button", name="End conversation").click()
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await expect(desktop.get_by_role("button", name="Finish wrap-up")).to_be_visible()
    await album.take(3.0)
    return album


async def main(keep: Path | None) -> None:
    """Start the demo, play, save."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder) / "data")
        await demo.start()
        try:
            async with async_playwright() as playwright:
                browser = await launch_chromium(playwright)
                page = await browser.new_page(viewport=_WINDOW, locale="en-GB")
                album = await play(page, demo.page_url)
                await browser.close()
        finally:
            await demo.kill()
    album.save()
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(album.pictures, 1):
            picture.save(keep / f"{number:02}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="also save the single pictures there")
    asyncio.run(main(parser.parse_args().keep))
