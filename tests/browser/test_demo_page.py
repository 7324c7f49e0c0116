"""The demo's page in a real browser, under the strict policy it is served with."""

import re
from collections.abc import AsyncIterator
from importlib.resources import files

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from support.fake_messaging import TOKEN, FakeMessaging
from support.pages import no_barriers, stillness, until_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PAGE = files("warmline.cli") / "demo_page"
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_POLICY = "default-src 'self'; style-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'"


@pytest_asyncio.fixture(loop_scope="module")
async def address() -> AsyncIterator[str]:
    """Where the page is, with a messaging server behind the widget and a stand-in for the agent desktop."""
    fake = FakeMessaging()
    desktops = {"opened": 0}

    async def serve(request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        body = (_PAGE / name).read_bytes()
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(body=body, content_type=_TYPES[name.rsplit(".")[-1]], charset="utf-8", headers=headers)

    async def about(_: web.Request) -> web.Response:
        links = {"desktopUrl": "/desktop", "studioUrl": None, "smsUrl": "/sms"}
        return web.json_response({"connectorToken": TOKEN, **links})

    async def desktop(_: web.Request) -> web.Response:
        desktops["opened"] += 1
        html = f"<!doctype html><html lang=en><title>Desktop</title><main><h1>Desktop {desktops['opened']}</h1></main>"
        return web.Response(text=html, content_type="text/html")

    async def phone(_: web.Request) -> web.Response:
        html = "<!doctype html><html lang=en><title>Phone</title><main><h1>Phone</h1></main>"
        return web.Response(text=html, content_type="text/html")

    def mount(app: web.Application) -> None:
        app.router.add_get("/sms", phone)
        app.router.add_get("/demo", serve)
        app.router.add_get("/demo/{name}", serve)
        app.router.add_get("/demo.json", about)
        app.router.add_get("/desktop", desktop)

    yield await fake.start(mount) + "demo"
    await fake.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    page = await browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    await page.close()
    assert problems == []


async def test_widget_and_desktop_stand_side_by_side(page: Page, address: str) -> None:
    await page.goto(address)
    desktop = page.frame_locator("iframe[title='Agent desktop']")
    await expect(desktop.get_by_role("heading", name="Desktop 1")).to_be_visible()
    await page.get_by_role("button", name="I want to dispute my bill").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("Hello, how can I help?").first).to_be_visible()
    await stillness(page)
    chat, frame = await dialog.bounding_box(), await page.locator(".desk-frame").bounding_box()
    assert chat is not None
    assert frame is not None
    assert chat["x"] + chat["width"] <= frame["x"]


async def test_desktop_beside_the_page_can_be_put_away(page: Page, address: str) -> None:
    await page.goto(address)
    toggle = page.get_by_role("button", name="Desktop beside the page")
    await expect(page.frame_locator(".desk-frame").get_by_role("heading", name="Desktop 1")).to_be_visible()
    await toggle.click()
    await expect(page.locator(".desk-frame")).to_be_hidden()
    await expect(page.locator(".desk-frame")).not_to_have_attribute("src", re.compile(""))
    await expect(page.get_by_role("link", name="Agent desktop", exact=True)).to_have_attribute("href", "/desktop")
    await toggle.click()
    await expect(page.frame_locator(".desk-frame").get_by_role("heading", name="Desktop 2")).to_be_visible()


async def test_the_phone_stands_between_page_and_desktop_when_it_is_wanted(page: Page, address: str) -> None:
    await page.goto(address)
    toggle = page.get_by_role("button", name="SMS phone")
    await expect(page.locator(".handset-frame")).to_be_hidden()
    await toggle.click()
    phone = page.frame_locator("iframe[title='SMS phone']")
    await expect(phone.get_by_role("heading", name="Phone")).to_be_visible()
    await stillness(page)
    places = [await page.locator(name).bounding_box() for name in (".site", ".handset", ".desk")]
    edges = [(box["x"], box["x"] + box["width"]) for box in places if box is not None]
    assert edges == sorted(edges)
    assert edges[0][1] <= edges[1][0] + 1
    assert edges[1][1] <= edges[2][0] + 1
    await toggle.click()
    await expect(page.locator(".handset-frame")).not_to_have_attribute("src", re.compile(""))


async def test_guide_stays_as_it_was_left(page: Page, address: str) -> None:
    await page.goto(address)
    step = page.get_by_text("Accept the conversation")
    await page.locator("summary").first.click()
    await expect(page.get_by_text("Be the agent.")).to_be_hidden()
    await until_page(page, "sessionStorage.getItem('guide')", "closed")
    await page.reload()
    await expect(page.get_by_role("button", name="SMS phone")).to_be_visible()
    await expect(page.get_by_role("link", name="Studio")).to_have_count(0)
    await expect(page.get_by_text("Be the agent.")).to_be_hidden()
    await expect(step).to_be_hidden()


@pytest.mark.parametrize("width", [320, 390, 800])
async def test_on_narrow_screens_the_desktop_is_a_link(page: Page, address: str, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(address)
    await expect(page.get_by_role("link", name="Agent desktop", exact=True)).to_have_attribute("href", "/desktop")
    await expect(page.get_by_role("link", name="SMS phone")).to_have_attribute("href", "/sms")
    for frame in await page.locator("iframe").all():
        await expect(frame).to_be_hidden()
    script = "[document.documentElement, document.querySelector('.site')].map((e) => e.scrollWidth - e.clientWidth)"
    await until_page(page, script, [0, 0])
    await page.get_by_role("button", name="Open chat").click()
    await expect(page.get_by_role("dialog").get_by_text("Hello, how can I help?").first).to_be_visible()


@pytest.mark.parametrize("width", [390, 1440])
async def test_axe_finds_nothing_on_the_demo_page(page: Page, address: str, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await page.goto(address)
    await expect(page.get_by_role("button", name="Open chat")).to_be_visible()
    await no_barriers(page)
