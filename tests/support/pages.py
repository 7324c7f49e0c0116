"""Waiting for what a page comes to, where Playwright's `expect` has no word for it."""

import asyncio

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page

from warmline.testing.messaging_client import PATIENCE_S

_STILL = """async () => {
    const roots = [document];
    for (const root of roots)
        for (const element of root.querySelectorAll("*")) if (element.shadowRoot) roots.push(element.shadowRoot);
    const ends = (one) => one.playState === "running" && one.effect.getComputedTiming().endTime !== Infinity;
    const moving = roots.flatMap((root) => root.getAnimations()).filter(ends);
    await Promise.allSettled(moving.map((animation) => animation.finished));
    return moving.length === 0;
}"""


async def until_page(page: Page, script: str, wanted: object = True) -> None:
    """Wait until an expression has a value on the page; the policies of the pages forbid `wait_for_function`.

    Raises:
        AssertionError: it has another one, still after PATIENCE_S.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while (found := await page.evaluate(script)) != wanted:
        assert asyncio.get_running_loop().time() < deadline, f"{script} is {found!r}, not {wanted!r}"
        await asyncio.sleep(0.02)


async def stillness(page: Page) -> None:
    """Wait until the page is loaded and nothing moves or fades any more, but for what never ends.

    Places and colours are final then.
    """
    await page.wait_for_load_state()
    await until_page(page, _STILL)


async def follow(link: Locator) -> None:
    """Use a link, or a button that leads away, and wait for its page and for the scripts of it."""
    async with link.page.expect_event("load"):
        await link.click()


async def no_barriers(page: Page, within: str = "") -> None:
    """axe, its best practices included, finds nothing on the page as it is now, or in one part of it."""
    await stillness(page)
    found = await Axe().run(page, {"include": [[within]]} if within else None)
    assert found.violations_count == 0, found.generate_report()


async def fits(page: Page) -> None:
    """The page is no wider than the window."""
    await page.wait_for_load_state()
    await until_page(page, "document.documentElement.scrollWidth <= innerWidth")
