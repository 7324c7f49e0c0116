"""The widget on a page: embedding, API, looks, languages, accessibility (messaging-protocol.md §15, V6 to V14)."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from support.customer import bubbles, open_chat, send, sent
from support.fake_messaging import TOKEN, FakeMessaging
from support.pages import no_barriers, stillness

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_first_open_says_who_asks_and_shows_the_greeting(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    await expect(page.get_by_role("button", name="Open chat")).to_be_visible()
    assert server.rest_calls == []
    await page.get_by_role("button", name="Open chat").click()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    (_, token_headers, token_body), (_, session_headers, session_body) = server.rest_calls
    assert token_headers["X-Token"] == server.config["token"]
    assert token_headers["X-Host"] == "localhost"
    assert token_body == {}
    assert session_headers["Authorization"].startswith("Bearer ")
    assert session_body == {"platform": "web", "streaming_enabled": True, "language": "en"}
    assert len(server.session.frames("REQUEST_POLY_AGENT_JOIN")) == 1
    assert server.session.cursors == [None]


async def test_v10_webchat_api_is_whole_right_after_the_script_ran(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    members = set(await page.evaluate("window.membersAtOnce"))
    assert members >= {
        "onReady", "onContextRequired", "refreshVerifiedContext", "off", "destroy", "openWidget", "closeWidget",
        "showIcon", "hideIcon", "showBubble", "animateIcon", "endSession",
        "onOpen", "onClosed", "onSessionEnded", "onMessageSent", "onMessageReceived",
    }  # fmt: skip


async def test_page_can_drive_and_watch_the_widget(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    await page.evaluate(
        """() => { window.seen = []; const api = WebchatAPI;
        api.onReady(() => seen.push(["ready"]));
        for (const name of ["Open", "Closed", "MessageSent", "MessageReceived", "SessionEnded"])
          api[`on${name}`]((payload) => seen.push([name, payload?.text ?? payload?.reason ?? null]));
        const muted = () => seen.push(["muted"]); api.onOpen(muted); api.off("onOpen", muted);
        api.openWidget(); }"""
    )
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    await send(page, "hi")
    await page.evaluate("WebchatAPI.endSession()")
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await page.evaluate("WebchatAPI.closeWidget()")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    assert await page.evaluate("seen") == [
        ["ready"], ["Open", None], ["MessageReceived", "Hello, how can I help?"], ["MessageSent", "hi"],
        ["SessionEnded", "REASON_USER_END"], ["Closed", None],
    ]  # fmt: skip
    await page.evaluate("WebchatAPI.hideIcon()")
    await expect(page.locator("#poly-ai-chat .launcher")).to_be_hidden()
    await page.evaluate("WebchatAPI.showIcon(); WebchatAPI.animateIcon({type: 'pulse', durationMs: 50})")
    await page.evaluate("WebchatAPI.showBubble({text: 'Need help?', backgroundColor: '#ffee00', color: '#000'})")
    await page.get_by_role("button", name="Need help?").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.evaluate("WebchatAPI.destroy()")
    await expect(page.locator("#poly-ai-chat")).to_have_count(0)


async def test_calls_made_before_the_widget_is_loaded_follow_its_readiness(page: Page, server: FakeMessaging) -> None:
    may_load = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_load.wait()
        await route.continue_()

    await page.route("**/widget.js", hold)
    await page.goto(server.url)
    await page.evaluate(
        """() => { window.seen = [];
        WebchatAPI.onOpen(() => seen.push("open")); WebchatAPI.onReady(() => seen.push("ready"));
        WebchatAPI.openWidget(); }"""
    )
    assert await page.evaluate("seen") == []
    may_load.set()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    assert await page.evaluate("seen") == ["ready", "open"]


async def test_v8_root_launcher_and_page_styles(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    launcher = page.locator("#poly-ai-chat .launcher")
    box = await launcher.bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (60, 60)
    style = "getComputedStyle(document.getElementById('poly-ai-chat'))"
    assert await page.evaluate(f"[{style}.position, {style}.zIndex]") == ["fixed", "10000"]
    rule = "#poly-ai-chat { bottom: 100px; right: 1rem; --warmline-color: rgb(200, 0, 0) }"
    script = "(css) => { const s = new CSSStyleSheet(); s.replaceSync(css); document.adoptedStyleSheets.push(s); }"
    await page.evaluate(script, rule)
    moved = await launcher.bounding_box()
    assert moved is not None
    assert (1200 - moved["x"] - moved["width"], 800 - moved["y"] - moved["height"]) == (16, 100)
    await expect(launcher).to_have_css("background-color", "rgb(200, 0, 0)")
    await page.set_viewport_size({"width": 400, "height": 800})
    await expect(launcher).to_have_css("width", "44px")
    small = await launcher.bounding_box()
    assert small is not None
    assert (small["width"], small["height"]) == (44, 44)


async def test_v7_nothing_is_shown_on_a_foreign_page(page: Page, server: FakeMessaging) -> None:
    server.config["host"] = "example.com"
    await page.goto(server.url)
    await page.evaluate("WebchatAPI.openWidget()")
    await page.wait_for_timeout(300)
    await expect(page.locator("#poly-ai-chat")).to_have_count(0)
    assert server.rest_calls == []


async def test_second_script_tag_changes_nothing(page: Page, server: FakeMessaging) -> None:
    server.head = f"<script src=/widget/{TOKEN}.js></script>"
    await open_chat(page, server)
    await expect(page.locator("#poly-ai-chat")).to_have_count(1)
    assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("attributes", "platform", "launcher", "dialog", "header"),
    [
        ("data-platform=ios data-auto-open=true", "ios-web", False, True, False),
        ("data-platform=android data-auto-open=true", "android-web", True, True, True),
        ("data-render-mode=fullscreen", "web", False, True, True),
        ("data-show-icon=false", None, False, False, None),
        ("data-show-header=false data-auto-open=true", "web", True, True, False),
        ("data-platform=palm data-auto-open=perhaps", None, True, False, None),
    ],
)
async def test_v9_data_attributes(
    page: Page,
    server: FakeMessaging,
    attributes: str,
    platform: str | None,
    launcher: bool,
    dialog: bool,
    header: bool | None,
) -> None:
    server.attributes = attributes
    await page.goto(server.url)
    await page.evaluate("new Promise((resolve) => WebchatAPI.onReady(resolve))")
    await expect(page.locator("#poly-ai-chat .launcher")).to_be_visible(visible=launcher)
    await expect(page.get_by_role("dialog")).to_be_visible(visible=dialog)
    if header is not None:
        await expect(page.locator("#poly-ai-chat .head")).to_be_visible(visible=header)
    if platform:
        await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
        assert server.rest_calls[-1][2]["platform"] == platform
    if "ios" in attributes or "fullscreen" in attributes:
        await stillness(page)
        box = await page.locator("#poly-ai-chat .panel").bounding_box()
        assert box == {"x": 0, "y": 0, "width": 1200, "height": 800}


async def test_v11_consent_comes_before_any_call(page: Page, server: FakeMessaging) -> None:
    server.config |= {
        "disclaimer": "We keep this chat. See {{privacyPolicyUrl}} and [the rules](https://example.com/rules).",
        "disclaimer_consent": True,
        "privacy_url": "https://example.com/privacy",
    }
    await page.goto(server.url)
    await page.get_by_role("button", name="Open chat").click()
    await expect(page.get_by_role("link", name="Privacy policy")).to_have_attribute(
        "href", "https://example.com/privacy"
    )
    await expect(page.get_by_role("link", name="the rules")).to_have_attribute("href", "https://example.com/rules")
    await expect(page.get_by_label("Your message")).to_have_count(0)
    await page.wait_for_timeout(200)
    assert server.rest_calls == []
    await page.get_by_role("button", name="I consent and start chat").click()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    await expect(page.get_by_label("Your message")).to_be_focused()


async def test_v14_a_new_style_appears_at_the_next_load(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    server.config |= {"color": "#ffd400", "header_text": "Talk to us"}
    await open_chat(page, server)
    await expect(page.locator("#poly-ai-chat .head-title")).to_have_text("Talk to us")
    await expect(page.locator("#poly-ai-chat .launcher")).to_have_css("background-color", "rgb(255, 212, 0)")
    await expect(page.locator("#poly-ai-chat .launcher")).to_have_css("color", "rgb(16, 20, 31)")


async def test_everything_works_by_keyboard(page: Page, server: FakeMessaging) -> None:
    server.config["privacy_url"] = "https://example.com/privacy"
    await page.goto(server.url)
    launcher = page.get_by_role("button", name="Open chat")
    await launcher.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Your message")).to_be_focused()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    await page.keyboard.type("line one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("line two")
    await page.keyboard.press("Enter")
    await expect(bubbles(page).last).to_have_text("line one\nline two")
    await page.keyboard.press("Shift+Tab")
    await expect(page.get_by_role("log")).to_be_focused()
    for _ in range(2):
        await page.keyboard.press("Shift+Tab")
    await expect(page.get_by_role("button", name="More options")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Save the conversation")).to_be_focused()
    for _ in range(3):
        await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="End conversation")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="More options")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(launcher).to_be_focused()


async def test_language_follows_the_visitor_and_the_server(page: Page, server: FakeMessaging) -> None:
    server.config |= {"languages": ["de", "en", "es"], "texts": {"placeholder": "Ask away"}}
    await open_chat(page, server)
    assert server.rest_calls[-1][2]["language"] == "en"
    await expect(page.get_by_label("Your message")).to_have_attribute("placeholder", "Ask away")
    await page.get_by_label("Your message").fill("draft")
    await server.session.log("LANGUAGE_CHANGED", {"language_code": "es-US"})
    await expect(page.get_by_role("dialog")).to_have_attribute("lang", "es")
    await expect(page.locator("#poly-ai-chat textarea")).to_have_value("draft")


@pytest.mark.parametrize("size", [(320, 568), (640, 360), (1200, 800)])
async def test_nothing_is_cut_off_at_any_size(page: Page, server: FakeMessaging, size: tuple[int, int]) -> None:
    width, height = size
    await page.emulate_media(reduced_motion="reduce")
    await page.set_viewport_size({"width": width, "height": height})
    server.suggestions = ["A rather long suggestion that has to wrap on a phone", "Short"]
    await open_chat(page, server)
    await server.session.say("Averylongwordwithoutanyspaces" * 8)
    await send(page, "x" * 200)
    await sent(page)
    await stillness(page)
    fits = await page.evaluate(
        """() => { const all = document.getElementById('poly-ai-chat').shadowRoot.querySelectorAll('.panel *');
        const visible = [...all].filter((e) => e.checkVisibility() && !e.closest('.hidden-text'));
        return [document.documentElement.scrollWidth <= innerWidth, visible.every((e) => {
          const box = e.getBoundingClientRect(); return box.left >= -0.5 && box.right <= innerWidth + 0.5; })]; }"""
    )
    assert fits == [True, True]
    box = await page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    if width < 1200:
        assert box == {"x": 0, "y": 0, "width": width, "height": height}
        for _ in range(12):
            await page.keyboard.press("Tab")
            inside = "document.activeElement.shadowRoot?.activeElement.closest('.panel') != null"
            assert await page.evaluate(inside)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(page: Page, server: FakeMessaging, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    server.suggestions = ["My bill"]
    server.config["privacy_url"] = "https://example.com/privacy"
    await open_chat(page, server)
    await no_barriers(page)
    session = server.session
    link = {"title": "Tariffs", "content_url": "https://example.com/t", "call_to_action_text": "Compare"}
    call = {"title": "Call", "contact_number": "+49 30 1"}
    await send(page, "hello")
    await sent(page)
    text = "**Bold** [link](https://example.com) `code`\n- item"
    await session.say(text, attachments=[link], chat_call_actions=[call])
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("HANDOFF_ACCEPTED")
    await session.log("SYSTEM_MESSAGE", {"level": "SYSTEM_MESSAGE_LEVEL_ERROR", "message": "Something went wrong"})
    await session.log("SYSTEM_MESSAGE", {"level": "SYSTEM_MESSAGE_LEVEL_WARNING", "message": "Slow"})
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a1", "name": "Maria Keller"}})
    await session.log("LIVE_AGENT_MESSAGE", {"message_id": "h1", "agent_id": "a1", "text": "Good morning"})
    await session.whisper("LIVE_AGENT_TYPING", {"agent_id": "a1"})
    await expect(page.get_by_text("Maria Keller is typing")).to_be_attached()
    await page.get_by_role("button", name="More options").click()
    await no_barriers(page)
    await page.keyboard.press("Escape")
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await no_barriers(page)
    await page.context.set_offline(False)
    await expect(page.get_by_text("You are offline.")).to_be_hidden()
    await session.log("SESSION_END", {"reason": "REASON_NATURAL_END"})
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await no_barriers(page)


async def test_launcher_is_painted_by_its_script_before_anything_else_has_arrived(
    page: Page, server: FakeMessaging
) -> None:
    may_load = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_load.wait()
        await route.continue_()

    await page.route("**/widget/assets/**", hold)
    await page.goto(server.url)
    assert await page.evaluate("window.launcherAtOnce"), "it is there for the first frame after the script"
    await page.get_by_role("button", name="Open chat").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    may_load.set()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
