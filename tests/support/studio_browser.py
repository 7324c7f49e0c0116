"""What tests of the Studio do with a real browser."""

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from support.studio import PASSWORD
from warmline.app import Server


async def sign_in(page: Page, server: Server, name: str = "ada@example.org", path: str = "") -> None:
    """Open a page below /studio/ by way of the sign-in form."""
    await page.goto(f"http://localhost:{server.port}/studio/{path}")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("navigation", name="Main")).to_be_attached()


async def no_barriers(page: Page) -> None:
    """axe finds nothing on the page as it is now."""
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


async def fits(page: Page) -> None:
    """The page is no wider than the window."""
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


async def underlined(page: Page) -> list[str]:
    """The words that the page's editor underlines as unknown."""
    found: list[str] = await page.evaluate("[...CSS.highlights.get('unknown')].map(String)")
    return found
