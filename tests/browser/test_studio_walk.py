"""The five steps from an empty data folder, once with the mouse and once with the keyboard alone.

From the first link to a closed widget; no page of the Studio but the first is opened by its address.

The emulated Webex is strict: it calls only https addresses of public hosts, which its host map leads here. Browsers
reach the server and a shop's website at such addresses, too.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from support.chromium import launch_chromium
from support.customer import bubbles
from support.hands import Hands, Keyboard, Mouse
from support.installation import connect_order, set_asset_webhook
from support.pages import fits, no_barriers
from support.studio import PASSWORD
from support.tcp_proxy import TcpProxy
from support.tls import Authority
from warmline.app import Server
from warmline.cli.new import new
from warmline.config import Settings
from warmline.emulators.webex import RunningSim, SimSettings
from warmline.emulators.webex import start as start_sim
from warmline.testing.server import free_port

HOST, SHOP = "warmline.example.com", "www.example.com"
STUDIO = f"https://{HOST}/studio/"
HANDOFF = (
    'return {"utterance": "I get somebody.", "handoff": {"text_chat": {"webex_integration": {"reason": "heat pump"}}}}'
)
ASKED = "My heat pump is broken"


@dataclass
class Shop:
    """A website; `snippet` is what somebody pasted into its page."""

    snippet: str = ""

    async def page(self, _: web.Request) -> web.Response:
        """Its only page."""
        text = f"<!doctype html><html lang=en><title>Shop</title><h1>Shop</h1>{self.snippet}</html>"
        return web.Response(text=text, content_type="text/html")


@dataclass
class Town:
    """Everything that runs: the server, the emulated Webex, the shop, and a browser that finds them."""

    server: Server
    sim: RunningSim
    shop: Shop
    context: BrowserContext


@pytest_asyncio.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """An installation that nobody has touched, for a project that cannot hand over yet."""
    project = tmp_path / "project"
    new(project, "Heat and Light")
    for file in ("functions/fetch_a_person.py", "topics/complaints.yaml", "topics/speak_to_a_person.yaml"):
        (project / file).unlink()
    port, authority, shop = free_port(), Authority(tmp_path), Shop()
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/data/warmline.db",
        public_url=f"https://{HOST}",
        secret_key="k" * 40,
        projects=project,
        port=port,
        relaxed=True,
    )
    async with contextlib.AsyncExitStack() as stack:
        sim = await start_sim(SimSettings(relaxed=False, host_map={f"https://{HOST}": f"http://127.0.0.1:{port}"}))
        stack.push_async_callback(sim.stop)
        server = await Server.start(settings)
        stack.push_async_callback(server.stop)
        app = web.Application()
        app.router.add_get("/", shop.page)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server(90, SHOP))
        await site.start()
        front = await stack.enter_async_context(TcpProxy(port, authority.server(90, HOST)))
        shop_port = runner.addresses[0][1]
        playwright = await stack.enter_async_context(async_playwright())
        rules = f"MAP {HOST} 127.0.0.1:{front.port}, MAP {SHOP} 127.0.0.1:{shop_port}"
        browser = await launch_chromium(playwright, f"--host-resolver-rules={rules}")
        stack.push_async_callback(browser.close)
        context = await browser.new_context(
            viewport={"width": 1300, "height": 900}, locale="en-GB", ignore_https_errors=True
        )
        problems: list[str] = []
        context.on("weberror", lambda error: problems.append(str(error.error)))
        context.on("console", lambda m: problems.append(m.text) if "Content Security" in m.text else None)
        yield Town(server, sim, shop, context)
        assert problems == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("hands", [Mouse(), Keyboard()], ids=["mouse", "keyboard"])
async def test_the_five_steps_from_an_empty_data_folder(town: Town, hands: Hands) -> None:
    page = await town.context.new_page()
    await make_the_administrator(hands, page, town)
    await connect_webex(hands, page, town)
    await write_the_function(hands, page)
    await wire_it_to_a_topic(hands, page)
    await try_it_in_the_test_chat(hands, page)
    await put_the_widget_on_the_website(hands, page, town)
    await talk_and_end(hands, town)
    await hands.press(page.get_by_role("link", name="Start", exact=True))
    await expect(page.locator(".step.done")).to_have_count(5)
    await expect(page.get_by_text("All five steps have happened.")).to_be_visible()


async def make_the_administrator(hands: Hands, page: Page, town: Town) -> None:
    link = await town.server.studio.first_run_link()
    assert link is not None
    assert link.startswith(STUDIO)
    await page.goto(link)
    await hands.write(page.get_by_label("User name"), "ada@example.org")
    await hands.write(page.get_by_label("Password"), PASSWORD)
    await hands.press(page.get_by_role("button", name="Create the account"))
    await expect(page.locator(".step")).to_have_count(5)
    await expect(page.locator(".step.done")).to_have_count(0)
    for width in (320, 1300):
        await page.set_viewport_size({"width": width, "height": 900})
        await fits(page)


async def connect_webex(hands: Hands, page: Page, town: Town) -> None:
    """With a wrong secret first: the verdict names it. What Control Hub needs is copied from the page."""
    await hands.press(page.get_by_role("link", name="Open Integrations"))
    await hands.press(page.get_by_role("link", name="Connect Webex Messaging"))
    order = connect_order(town.sim)
    for key, value in {**order["values"], **order["secrets"], "client_secret": "not-the-secret-of-this-app"}.items():
        field = page.locator(f"[name='{key}']")
        await expect(field).to_be_attached()
        if not await field.is_visible():
            await hands.press(page.get_by_text("More settings"))
        if await field.evaluate("field => field.tagName") == "SELECT":
            await hands.choose(field, value)
        else:
            await hands.write(field, value)
    address = await page.locator("#g-asset_webhook_url").input_value()
    secret = await page.locator("#g-asset_webhook_secret").input_value()
    await hands.press(page.get_by_role("button", name="Test and connect"))
    await expect(page.get_by_role("alert")).to_contain_text("Webex does not accept the client ID or client secret")
    await expect(page.locator("#result")).to_be_focused()
    assert await town.server.store.connections() == []
    await hands.write(page.locator("[name='client_secret']"), order["secrets"]["client_secret"])
    await hands.press(page.get_by_role("button", name="Test and connect"))
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Connected")
    assert address.startswith(f"https://{HOST}/hooks/webex/")
    await set_asset_webhook(town.sim, address, secret)


async def write_the_function(hands: Hands, page: Page) -> None:
    await hands.press(page.get_by_role("link", name="Functions", exact=True))
    await hands.write(page.get_by_label("Function", exact=True), "fetch_an_expert")
    await hands.press(page.get_by_role("button", name="Add", exact=True))
    await hands.rewrite(page.get_by_label("Python", exact=True), "Say here what the customer reads.", HANDOFF)
    await hands.press(page.get_by_role("button", name="Save"))
    await expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()


async def wire_it_to_a_topic(hands: Hands, page: Page) -> None:
    await hands.press(page.get_by_role("link", name="Knowledge", exact=True))
    await hands.press(page.get_by_role("link", name="Add a topic"))
    await hands.write(page.get_by_label("Topic", exact=True), "Broken heat pump")
    await hands.write(page.get_by_label("Example questions"), f"{ASKED}\nThe heat pump makes a noise")
    await hands.write(page.get_by_label("Actions"), "Call")
    await hands.press(page.get_by_text("Add action"))
    await hands.press(page.get_by_role("button", name="fetch_an_expert"))
    await expect(page.get_by_label("Actions")).to_be_focused()
    await expect(page.get_by_label("Actions")).to_have_value("Call {{fn:fetch_an_expert}}")
    await hands.press(page.get_by_role("button", name="Save"))
    await expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()


async def try_it_in_the_test_chat(hands: Hands, page: Page) -> None:
    """Nothing is handed over: the trace shows what would have been."""
    await hands.press(page.get_by_role("link", name="Test chat", exact=True))
    await no_barriers(page)
    await hands.untick(page.get_by_label("Hand over to the real contact centre."))
    await hands.press(page.get_by_role("button", name="Start"))
    await expect(page.locator("#talk")).to_contain_text("Hello! This is Heat and Light.")
    field = page.get_by_label("Message", exact=True)
    await hands.write(field, ASKED)
    await hands.press(page.get_by_role("button", name="Send", exact=True))
    await expect(page.locator("#talk")).to_contain_text("I get somebody.")
    trace = page.locator("#trace")
    await expect(trace).to_contain_text("fetch_an_expert")
    await expect(trace).to_contain_text("Held back: a handoff to Webex")
    await expect(trace).to_contain_text("heat pump")
    await expect(field).to_have_value("")
    await expect(field).to_be_focused()
    await no_barriers(page)


async def put_the_widget_on_the_website(hands: Hands, page: Page, town: Town) -> None:
    await hands.press(page.get_by_role("link", name="Channels", exact=True))
    await hands.write(page.get_by_label("Website or app"), SHOP)
    await hands.press(page.get_by_role("button", name="Add", exact=True))
    await expect(page.get_by_role("heading", level=1)).to_have_text(SHOP)
    town.shop.snippet = await page.locator("#snippet").input_value()


async def talk_and_end(hands: Hands, town: Town) -> None:
    """A customer at the shop's website, a live agent at the emulated desktop."""
    desktop, visitor = await town.context.new_page(), await town.context.new_page()
    await desktop.goto(f"{town.sim.url}/desktop/")
    await hands.press(desktop.get_by_role("button", name="Maya Okafor"))
    await hands.pick(desktop, "Available")
    await visitor.goto(f"https://{SHOP}/")
    await hands.press(visitor.get_by_role("button", name="Open chat"))
    await expect(bubbles(visitor).first).to_contain_text("Hello! This is Heat and Light.")
    await hands.write(visitor.get_by_label("Your message"), ASKED)
    await hands.press(visitor.get_by_role("button", name="Send message"))
    await hands.press(desktop.get_by_role("button", name="Accept"))
    await hands.write(desktop.get_by_label("Message", exact=True), "Which model is it?")
    await hands.press(desktop.get_by_role("button", name="Send", exact=True))
    await expect(bubbles(visitor).last).to_have_text("Which model is it?")
    await hands.press(desktop.get_by_role("button", name="End", exact=True))
    await hands.press(desktop.get_by_role("button", name="End conversation"))
    await expect(visitor.get_by_role("button", name="Start a new conversation")).to_be_visible()
