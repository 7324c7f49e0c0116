"""The Studio in a real browser: first run, Connect with a wrong secret and then the right one, the checklist."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from support.installation import connect_order, emulator
from support.pages import follow, no_barriers
from support.studio import PASSWORD, studio_server
from support.studio_browser import sign_in
from support.waiting import until
from warmline.app import Server
from warmline.domain.catalog import Entry, Followed, HandoffFacts, Outcome
from warmline.emulators.webex import RunningSim
from warmline.ports import Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sim() -> AsyncIterator[RunningSim]:
    """An emulated Webex."""
    async with emulator() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with an empty data folder."""
    async with studio_server(tmp_path_factory.mktemp("data")) as server:
        yield server


async def enter(page: Page, fields: dict[str, str]) -> None:
    for key, value in fields.items():
        field = page.locator(f"[name='{key}']")
        await expect(field).to_be_attached()
        if not await field.is_visible():
            await page.get_by_text("More settings").click()
        if await field.evaluate("field => field.tagName") == "SELECT":
            await field.select_option(value)
        else:
            await field.fill(value)


async def test_from_the_first_link_to_a_connection(page: Page, studio: Server, sim: RunningSim) -> None:
    link = await studio.studio.first_run_link()
    assert link is not None
    await page.goto(link)
    await no_barriers(page)
    await page.keyboard.type("ada@example.org")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Five steps to the first conversation with a human")
    await expect(page.locator(".step").first).not_to_have_class("step done")
    await no_barriers(page)

    await follow(page.get_by_role("link", name="Integrations", exact=True))
    await no_barriers(page)
    await follow(page.get_by_role("link", name="Connect Webex Messaging"))
    await no_barriers(page)
    order = connect_order(sim)
    await enter(page, order["values"])
    await enter(page, order["secrets"] | {"client_secret": "not-the-secret-of-this-app"})
    await page.get_by_role("button", name="Test and connect").click()
    verdicts = page.get_by_role("alert")
    await expect(verdicts).to_contain_text("Webex does not accept the client ID or client secret")
    await no_barriers(page)
    assert await studio.store.connections() == []
    shown = page.locator("#g-asset_webhook_secret")
    secret_to_copy = await shown.input_value()

    await enter(page, {"client_secret": order["secrets"]["client_secret"]})
    await page.get_by_role("button", name="Test and connect").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Connected")
    await expect(page.locator("#findings ~ div")).to_contain_text("clock")
    await no_barriers(page)
    (connection,) = await studio.store.connections()
    assert connection.secrets["asset_webhook_secret"] == secret_to_copy
    assert order["secrets"]["client_secret"] not in await page.content()

    await follow(page.get_by_role("link", name="Start", exact=True))
    await expect(page.locator(".step.done")).to_have_count(3)


async def test_the_checklist_completes_itself(page: Page, studio: Server) -> None:
    await sign_in(page, studio)
    await expect(page.locator(".step.done")).to_have_count(3)
    facts = HandoffFacts(
        id="h1",
        session_id="s1",
        project_id=studio.project_ids[0],
        connection_id="c1",
        joined_at=2,
        outcome=Outcome.COMPLETED,
    )
    entry = Entry(session_id="s1", project_id=studio.project_ids[0], sequence=1)
    await studio.store.save_catalog([Followed(entry=entry, handoffs=(facts,))])
    await expect(page.locator(".step.done")).to_have_count(5)
    await expect(page.get_by_text("All five steps have happened.")).to_be_visible()


async def test_a_new_secret_is_shown_once_and_disconnecting_says_what_happens(page: Page, studio: Server) -> None:
    await sign_in(page, studio)
    (connection,) = await studio.store.connections()
    await page.goto(f"http://localhost:{studio.port}/studio/integrations/{connection.id}")
    await page.get_by_role("button", name="Make a new Asset webhook secret").click()
    fresh = await page.locator("#g-asset_webhook_secret").input_value()
    assert fresh != connection.secrets["asset_webhook_secret"]
    (changed,) = await studio.store.connections()
    assert changed.secrets["asset_webhook_secret"] == fresh
    await page.goto(f"http://localhost:{studio.port}/studio/integrations/{connection.id}")
    assert fresh not in await page.content()
    await follow(page.get_by_role("link", name="Disconnect…"))
    await expect(page.get_by_role("main")).to_contain_text("New handoffs find no connection")
    await no_barriers(page)
    await page.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_text("Not connected")).to_be_visible()
    assert await studio.store.connections() == []


async def test_the_preview_follows_the_form(page: Page, studio: Server) -> None:
    await sign_in(page, studio)
    await follow(page.get_by_role("link", name="Channels", exact=True))
    await page.get_by_label("Website or app").fill("www.example.com")
    await follow(page.get_by_role("button", name="Add"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("www.example.com")
    preview = page.frame_locator("#preview")
    await expect(preview.get_by_role("button").first).to_be_visible()
    await page.get_by_label("Title", exact=True).fill("The corner shop")
    await until(lambda: any("corner" in frame.url for frame in page.frames), "the preview is another page")
    await preview.get_by_role("button").first.press("Enter")
    await expect(preview.get_by_text("The corner shop")).to_be_visible(timeout=30_000)
    await no_barriers(page)
    await page.get_by_role("button", name="Phone").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text(re.compile(r"^\s*Saved\."))).to_be_visible()
    await expect(page.get_by_label("Title", exact=True)).to_have_value("The corner shop")


async def test_a_page_that_cannot_reach_the_server_says_so_until_it_can(page: Page, studio: Server) -> None:
    await sign_in(page, studio)
    trouble = page.get_by_role("alert")
    await page.goto(f"http://localhost:{studio.port}/studio/integrations/new/webex")
    await page.route("**/*", lambda route: route.abort())
    await page.get_by_role("button", name="Test and connect").click()
    await expect(trouble).to_contain_text("look whether it was done")
    await no_barriers(page)
    await page.unroute("**/*")
    await page.goto(f"http://localhost:{studio.port}/studio/conversations")
    await expect(trouble).to_have_count(0)
    await page.context.set_offline(True)
    await expect(trouble).to_contain_text("may be out of date")
    await expect(page.get_by_role("search")).to_be_visible()
    await page.context.set_offline(False)
    await expect(trouble).to_have_count(0)


async def test_a_part_that_fails_leaves_the_page_as_it_is(page: Page, studio: Server) -> None:
    await sign_in(page, studio)
    connection = Connection(
        id="gone", project_id=studio.project_ids[0], provider="webex", name="Gone soon", values={}, state="disconnected"
    )
    await studio.store.save_connection(connection)
    await page.goto(f"http://localhost:{studio.port}/studio/integrations/gone")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Gone soon")
    await studio.store.delete_connection("gone")
    await expect(page.get_by_role("alert")).to_contain_text("what it led to was removed")
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Gone soon")
