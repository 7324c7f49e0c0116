"""What tests of the Studio do with a real browser."""

from playwright.async_api import Page, expect

from support.pages import follow, until_page
from support.studio import PASSWORD
from warmline.app import Server


async def sign_in(page: Page, server: Server, name: str = "ada@example.org", path: str = "") -> None:
    """Open a page below /studio/ by way of the sign-in form."""
    await page.goto(f"http://localhost:{server.port}/studio/{path}")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await follow(page.get_by_role("button", name="Sign in"))
    await expect(page.get_by_role("navigation", name="Main")).to_be_attached()


async def underlined(page: Page, *words: str) -> None:
    """Wait until these are the words that the page's editor underlines as unknown."""
    await until_page(page, "[...(CSS.highlights.get('unknown') ?? [])].map(String)", list(words))
