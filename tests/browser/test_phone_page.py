"""The phone page of the emulated carrier in a real browser, on desktop and phone, light and dark."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from support.pages import fits, no_barriers, until_page
from support.phones import ADA, NUMBER, PNG, Phones, carrier

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Lab:
    def __init__(self, page: Page, phones: Phones) -> None:
        self.page = page
        self.phones = phones

    async def send(self, text: str) -> None:
        """Our number texts the phone."""
        await self.phones.sim.carrier.send(NUMBER, ADA, text, (), "")


@pytest_asyncio.fixture(loop_scope="module")
async def lab(browser: Browser) -> AsyncIterator[Lab]:
    async with carrier() as sim, Phones(sim) as phones:
        page = await browser.new_page(viewport={"width": 390, "height": 800}, locale="en-GB")
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        await page.goto(f"{sim.url}/phone/")
        yield Lab(page, phones)
        await page.close()
        assert problems == []


async def test_texts_go_to_and_fro_and_links_are_inert_words(lab: Lab) -> None:
    page = lab.page
    await expect(page.get_by_text("No texts yet.")).to_be_visible()
    await page.get_by_label("Text message").fill("Hello")
    await page.keyboard.press("Enter")
    log = page.get_by_role("log")
    await expect(log.get_by_text("Hello")).to_be_visible()
    await lab.send("See https://x.example/a <img src=x onerror=alert(1)> javascript:alert(1)")
    await expect(log.get_by_role("link")).to_have_attribute("href", "https://x.example/a")
    await expect(log.locator("img")).to_have_count(0)
    await expect(log.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    await page.reload()
    await expect(log.get_by_text("Hello")).to_be_visible()


async def test_pictures_keywords_states_and_other_phones(lab: Lab) -> None:
    page = lab.page
    await page.get_by_label("Attach a picture").set_input_files(
        {"name": "meter.png", "mimeType": "image/png", "buffer": PNG}
    )
    await expect(page.get_by_text("Picture: meter.png")).to_be_visible()
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("img", name="Picture")).to_be_visible()
    await page.get_by_role("button", name="STOP").click()
    await expect(page.get_by_role("log").get_by_text("STOP")).to_be_visible()
    async with page.expect_response("**/state"):
        await page.get_by_label("State of the phone").select_option("off")
    await lab.send("Are you there?")
    await expect(page.get_by_text("did not arrive (30003)")).to_be_visible()
    await page.get_by_role("link", name="Ben").click()
    await expect(page.get_by_text("No texts yet.")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390), ("light", 306)])
async def test_axe_finds_nothing_and_nothing_is_cut_off(lab: Lab, scheme: str, width: int) -> None:
    page = lab.page
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.set_viewport_size({"width": width, "height": 700})
    for other in range(3):
        await lab.phones.text("Hello", f"+1415555020{other}")
    await lab.phones.text("Hello")
    await lab.send("Good day. " * 60)
    await expect(page.get_by_text("Good day.")).to_be_visible()
    await fits(page)
    wide = "[...document.querySelectorAll('.phones a')].filter((tab) => tab.scrollWidth > tab.clientWidth).length"
    await until_page(page, wide, 0)
    await no_barriers(page)
