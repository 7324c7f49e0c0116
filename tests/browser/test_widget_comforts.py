"""What makes the widget pleasant: tabs in step, the page's title, the sound, a saved transcript, right-to-left."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from support.customer import bubbles, open_chat, send, sent
from support.fake_messaging import FakeMessaging
from support.pages import no_barriers, stillness, until_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAR = """() => {
  window.tones = 0;
  const play = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...at) { window.tones += 1; return play.apply(this, at); };
}"""


async def test_tabs_of_one_visitor_show_one_conversation(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await send(page, "from the first tab")
    await sent(page)
    other = await page.context.new_page()
    await other.goto(server.url)
    # A click before the first tab has answered would wait for it for a moment only.
    await until_page(other, "sessionStorage.length", 1)
    await other.get_by_role("button", name="Open chat").click()
    await expect(bubbles(other)).to_have_text(["Hello, how can I help?", "from the first tab"])
    await send(other, "from the second tab")
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "from the first tab", "from the second tab"])
    assert len(server.sessions) == 1
    assert len(server.session.said()) == 2

    await server.session.log("SESSION_END", {"reason": "REASON_NATURAL_END"})
    for tab in (page, other):
        await expect(tab.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await other.get_by_role("button", name="Start a new conversation").click()
    for tab in (page, other):
        await expect(bubbles(tab)).to_have_text(["Hello, how can I help?"])
    assert len(server.sessions) == 2
    await send(page, "we go on together")
    await expect(bubbles(other).last).to_have_text("we go on together")


async def test_two_tabs_that_open_at_once_share_a_conversation(page: Page, server: FakeMessaging) -> None:
    other = await page.context.new_page()
    for tab in (page, other):
        await tab.goto(server.url)
        await expect(tab.get_by_role("button", name="Open chat")).to_be_visible()
        await expect(tab.locator("#poly-ai-chat .panel")).to_be_attached()
    for tab in (page, other):
        await tab.evaluate("WebchatAPI.openWidget()")
    for tab in (page, other):
        await expect(bubbles(tab)).to_have_text(["Hello, how can I help?"])
    assert len(server.sessions) == 1


async def test_nothing_of_the_conversation_outlives_the_last_tab(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    later = await page.context.new_page()
    await page.close()
    await later.goto(server.url)
    await later.get_by_role("button", name="Open chat").click()
    await expect(bubbles(later)).to_have_text(["Hello, how can I help?"])
    assert len(server.sessions) == 2


async def test_the_title_counts_what_is_unread(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    title = await page.title()
    await page.get_by_role("button", name="Close chat").first.click()
    await server.session.say("one")
    await server.session.say("two")
    await expect(page).to_have_title(f"(2) {title}")
    await page.get_by_role("button", name="Open chat, 2 unread").click()
    await expect(page).to_have_title(title)


async def test_a_sound_plays_when_the_visitor_wants_it_and_looks_elsewhere(page: Page, server: FakeMessaging) -> None:
    await page.add_init_script(f"({HEAR})()")
    await open_chat(page, server)
    await page.get_by_role("button", name="Close chat").first.click()
    await server.session.say("in silence")
    await page.get_by_role("button", name="Open chat, 1 unread").click()
    assert await page.evaluate("window.tones") == 0
    await page.get_by_role("button", name="More options").click()
    await page.get_by_role("button", name="Play a sound for new messages").click()
    await until_page(page, "window.tones", 2)
    await page.get_by_role("button", name="Close chat").first.click()
    await until_page(
        page, "navigator.locks.query().then(({ held }) => held.some(({ name }) => name.endsWith('sound')))", False
    )
    await server.session.say("ding")
    await until_page(page, "window.tones", 4)
    await page.get_by_role("button", name="Open chat, 1 unread").click()
    await page.get_by_role("button", name="More options").click()
    await expect(page.get_by_role("button", name="Turn the sound off")).to_be_visible()


async def test_the_conversation_can_be_saved(page: Page, server: FakeMessaging, tmp_path: Path) -> None:
    await open_chat(page, server)
    await send(page, "Where is my parcel? ☃")
    await sent(page)
    await server.session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a", "name": "Maria", "avatar_url": ""}})
    await expect(page.locator("#poly-ai-chat .line-text").last).to_have_text("Maria joined")
    await page.get_by_role("button", name="More options").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Save the conversation").click()
    file = tmp_path / "conversation.txt"
    await (await download.value).save_as(file)
    lines = file.read_text("utf-8").splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        "Lumen: Hello, how can I help?",
        "You: Where is my parcel? ☃",
        "* Maria joined",
    ]


async def test_arabic_reads_from_right_to_left(page: Page, server: FakeMessaging) -> None:
    server.config |= {"languages": ["ar"]}
    await page.goto(server.url)
    await page.get_by_role("button", name="فتح المحادثة").click()
    panel = page.get_by_role("dialog", name="تحدث معنا")
    await expect(panel).to_have_attribute("dir", "rtl")
    await page.get_by_label("رسالتك").fill("مرحبا")
    await page.keyboard.press("Enter")
    mine = page.locator("#poly-ai-chat .mine .bubble")
    theirs = page.locator("#poly-ai-chat .theirs .bubble:not(.dots)").first
    await expect(page.locator("#poly-ai-chat .status.sent")).to_be_visible()
    await stillness(page)
    left, right = await mine.bounding_box(), await theirs.bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] < right["x"] + right["width"]
    await no_barriers(page)


HOSTILE = """
* { color: hotpink !important; font: 40px serif !important; text-transform: uppercase !important; }
* { letter-spacing: 9px !important; box-sizing: content-box !important; text-align: right !important; }
div, button, section, textarea { display: none !important; position: static !important; opacity: .1 !important; }
"""
LOOK = """() => [...document.getElementById("poly-ai-chat").shadowRoot.querySelectorAll(".panel, .panel *")]
.map((e) => {
  const { color, font, display, opacity, letterSpacing, textTransform, textAlign } = getComputedStyle(e);
  return [color, font, display, opacity, letterSpacing, textTransform, textAlign].join(); })"""


async def test_the_pages_own_styles_change_nothing(page: Page, server: FakeMessaging) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await open_chat(page, server)
    await stillness(page)
    before = await page.evaluate(LOOK)
    await page.evaluate(
        "css => { const s = new CSSStyleSheet(); s.replaceSync(css); document.adoptedStyleSheets.push(s); }", HOSTILE
    )
    assert await page.evaluate(LOOK) == before
    await expect(page.get_by_role("dialog")).to_be_visible()


async def test_it_works_in_a_frame(page: Page, server: FakeMessaging) -> None:
    frame = f'<iframe src="{server.url}" width="420" height="640" title="Site"></iframe>'
    await page.route("**/outer", lambda route: route.fulfill(body=frame, content_type="text/html"))
    await page.goto(f"{server.url}/outer")
    inside = page.frame_locator("iframe")
    await inside.get_by_role("button", name="Open chat").click()
    await expect(inside.get_by_text("Hello, how can I help?").first).to_be_visible()
    await inside.get_by_label("Your message").fill("from a frame")
    await inside.get_by_label("Your message").press("Enter")
    await expect(inside.locator("#poly-ai-chat .status")).to_have_text(["Sent"])


async def test_it_is_dark_where_the_visitor_wants_it_dark(page: Page, server: FakeMessaging) -> None:
    await page.emulate_media(color_scheme="dark")
    await open_chat(page, server)
    await expect(page.get_by_role("dialog")).to_have_css("background-color", "rgb(23, 26, 33)")
