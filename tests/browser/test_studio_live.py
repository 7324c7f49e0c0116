"""Pages of the Studio that follow what happens: over a stream, without disturbing whoever reads them."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from support.pages import no_barriers
from support.studio import add_user, studio_server
from support.studio_browser import sign_in
from warmline.app import Server
from warmline.ports import Role, SessionInfo

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server on which nobody talks yet."""
    async with studio_server(tmp_path_factory.mktemp("live"), watch=False) as running:
        await add_user(running, "ada@example.org", Role.ADMIN)
        yield running


async def talk(server: Server, session_id: str, text: str) -> str:
    """The customer writes; "" begins a conversation."""
    if not session_id:
        info = SessionInfo(connector_id="c", project_id=server.project_ids[0], subject="user")
        session_id = await server.conversations.start(info)
    await server.conversations.post(session_id, text)
    return session_id


async def test_news_come_by_themselves_and_disturb_nobody(page: Page, server: Server) -> None:
    first = await talk(server, "", "It is cold in here")
    await server.catalog.write()
    await sign_in(page, server, path="conversations")
    row = page.get_by_role("row").filter(has_text="It is cold in here")
    await row.get_by_role("link").focus()
    await talk(server, "", "Where is my bill?")
    await expect(page.get_by_text("Where is my bill?")).to_be_visible()
    focused = await page.evaluate("document.activeElement.getAttribute('href')")
    assert focused.endswith(f"/conversations/{first}"), "the focus is where it was"

    cell = row.locator("td.said")
    await cell.evaluate("cell => getSelection().selectAllChildren(cell)")
    await page.evaluate(
        """() => { window.told = new Promise((resolve) => document.body.addEventListener("htmx:beforeSwap", (event) => {
        if (event.detail.xhr.responseText.includes("Now it is warm")) resolve(); })); }"""
    )
    await talk(server, first, "Now it is warm")
    await page.evaluate("told")
    assert "It is cold in here" in await page.evaluate("getSelection().toString()"), "what is selected stays"
    await page.evaluate("getSelection().removeAllRanges()")
    await expect(page.get_by_text("Now it is warm")).to_be_visible()


async def test_what_is_unfolded_and_focused_stays_so(page: Page, server: Server) -> None:
    session_id = await talk(server, "", "Good evening")
    now = server.clock.now()
    row = (1, session_id, "CloseConversation", "", 2, "unavailable", now, now + 900)
    with closing(sqlite3.connect(server.settings.database_url.removeprefix("sqlite:///"), isolation_level=None)) as db:
        db.execute("INSERT INTO late_deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    await sign_in(page, server, path=f"conversations/{session_id}")
    settled = page.locator("#settled")
    await settled.locator("summary").press("Enter")
    await expect(settled.get_by_role("cell", name="Closing at the contact centre")).to_be_visible()
    await no_barriers(page)
    await talk(server, session_id, "Is it dark there, too?")
    await expect(page.get_by_text("Is it dark there, too?", exact=True)).to_be_visible()
    await expect(settled.get_by_role("cell", name="Closing at the contact centre")).to_be_visible()
    await expect(settled.locator("summary")).to_be_focused()


async def test_a_page_says_when_it_is_not_live_and_follows_slowly_until_it_is(page: Page, server: Server) -> None:
    await sign_in(page, server)
    await page.route("**/studio/live*", lambda route: route.abort())
    await page.goto(f"http://localhost:{server.port}/studio/conversations")
    sign = page.locator("#live")
    await expect(sign).to_contain_text("Not live at the moment")
    await no_barriers(page)
    await talk(server, "", "Is anybody there?")
    await expect(page.get_by_text("Is anybody there?")).to_be_visible()
    await page.unroute("**/studio/live*")
    await expect(sign).to_have_text("")


async def test_a_page_whose_sign_in_is_over_leads_to_the_door(page: Page, server: Server) -> None:
    await sign_in(page, server)
    session_id = await talk(server, "", "Good morning")
    await page.goto(f"http://localhost:{server.port}/studio/conversations/{session_id}")
    await expect(page.get_by_text("Good morning", exact=True)).to_be_visible()
    await server.store.end_sign_ins(user_id="ada@example.org")
    await talk(server, session_id, "Still there?")
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
