"""The widget in a real browser against a scriptable server (messaging-protocol.md §15, checks V6 to V14)."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, async_playwright, expect
from support.chromium import launch_chromium
from support.fake_messaging import TOKEN, FakeMessaging, FakeSession

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await launch_chromium(playwright)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[FakeMessaging]:
    fake = FakeMessaging()
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    yield page
    await context.close()
    assert problems == []


async def open_chat(page: Page, server: FakeMessaging) -> None:
    """Load the site, open the chat, and wait for the greeting."""
    await page.goto(server.url)
    await page.get_by_role("button", name="Open chat").click()
    await expect(page.get_by_role("dialog").get_by_text("Hello, how can I help?").first).to_be_visible()


def bubbles(page: Page) -> Locator:
    return page.locator("#poly-ai-chat .bubble:not(.dots)")


async def send(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")


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
    await expect(page.get_by_role("link", name="Privacy policy")).to_have_attribute("href", "https://example.com/privacy")
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


async def test_message_is_sent_echoed_and_answered_in_order(page: Page, server: FakeMessaging) -> None:
    async def answer(session: FakeSession, text: str) -> None:
        await session.say(f"You said: {text}")

    server.on_message = answer
    await open_chat(page, server)
    await send(page, "first")
    await send(page, "second")
    await expect(bubbles(page)).to_have_text(
        ["Hello, how can I help?", "first", "You said: first", "second", "You said: second"]
    )
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    ids = {frame["metadata"]["custom"]["local_id"] for frame in server.session.frames("USER_MESSAGE")}
    assert len(ids) == 2


async def test_the_log_decides_the_order(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    server.echoing = False
    await send(page, "question")
    await expect(bubbles(page).last).to_have_text("question")
    await server.session.say("Said before the question arrived")
    await expect(bubbles(page)).to_have_text(
        ["Hello, how can I help?", "Said before the question arrived", "question"]
    )


async def test_suggestions_are_buttons_that_write(page: Page, server: FakeMessaging) -> None:
    server.suggestions = ["My bill", "An outage"]
    await open_chat(page, server)
    group = page.get_by_role("group", name="Suggested replies")
    await expect(group.get_by_role("button")).to_have_text(["My bill", "An outage"])
    await group.get_by_role("button", name="An outage").click()
    await expect(bubbles(page).last).to_have_text("An outage")
    await expect(group).to_have_count(0)
    await expect(page.get_by_label("Your message")).to_be_focused()
    assert server.session.texts() == ["An outage"]


async def test_v13_markdown_and_allowed_html_are_drawn_and_nothing_else(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await server.session.say(
        "# Title\n**bold** and *soft* and `x < y`\n\n- one\n- <b>two</b>\n\n1. first\n\nbetween\n\n2. second\n"
        "\n```\nif a < b:\n  <b>raw</b>\n```\n[site](https://example.com/a?b=1&c=2) https://example.com/auto."
        "<p>para<br>line</p><ol><li>alpha</li></ol><script>window.hacked = 1</script>"
        '<img src=x onerror="window.hacked = 1"><a href="https://example.com/h" onclick="hacked()">html</a>'
        "<iframe src=https://evil.example></iframe> a < b, 2 > 1, <standard> &amp; snake_case_name"
    )
    bubble = bubbles(page).last
    inside = bubble.evaluate(
        """(b) => ({ tags: [...new Set([...b.querySelectorAll('*')].map((e) => e.localName))].sort(),
        links: [...b.querySelectorAll('a')].map((a) => [a.href, a.target, a.rel, a.textContent]),
        code: [...b.querySelectorAll('code')].map((c) => c.textContent),
        lists: [...b.querySelectorAll('ul, ol')].map((l) => [l.localName, l.start ?? null, l.textContent]),
        attributes: [...new Set([...b.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()))].sort(),
        strong: [...b.querySelectorAll('strong')].map((s) => s.textContent), text: b.textContent })"""
    )
    drawn = await inside
    assert drawn["tags"] == ["a", "br", "code", "em", "li", "ol", "p", "pre", "strong", "ul"]
    assert drawn["attributes"] == ["href", "rel", "start", "target"]
    assert drawn["links"] == [
        ["https://example.com/a?b=1&c=2", "_blank", "noopener noreferrer", "site"],
        ["https://example.com/auto", "_blank", "noopener noreferrer", "https://example.com/auto"],
        ["https://example.com/h", "_blank", "noopener noreferrer", "html"],
    ]
    assert drawn["code"] == ["x < y", "if a < b:\n  <b>raw</b>"]
    assert drawn["lists"] == [
        ["ul", None, "onetwo"], ["ol", 1, "first"], ["ol", 2, "second"], ["ol", 1, "alpha"],
    ]  # fmt: skip
    assert drawn["strong"] == ["Title", "bold", "two"]
    assert "a < b, 2 > 1, <standard> & snake_case_name" in drawn["text"]
    assert "hacked" not in drawn["text"]
    assert await page.evaluate("window.hacked") is None


HOSTILE = "javascript:window.hacked=1"


async def test_hostile_addresses_and_names_are_inert(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    card = {"content_type": "ATTACHMENT_CONTENT_TYPE_URL", "call_to_action_text": "Open", "preview_image_url": HOSTILE}
    evil = "<img src=x onerror=window.hacked=1>"
    await server.session.say(
        f"[click]({HOSTILE}) <a href='java&#115;cript:window.hacked=1'>me</a> <a href='data:text/html,x'>or</a> [x](//e.org)",
        attachments=[
            card | {"title": evil, "content_url": HOSTILE},
            card | {"title": "invoice\u202efdp.exe", "content_url": "https://example.com/i.pdf"},
            card | {"title": "file", "content_url": "file:///etc/passwd"},
        ],
        response_suggestions=[{"message_text": evil}],
        chat_call_actions=[{"title": "Call", "contact_number": "+49 30 1;phone-context=javascript:"}],
        agent_name=evil,
    )
    await server.session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a", "name": evil, "avatar_url": HOSTILE}})
    await expect(page.get_by_text(f"{evil} joined").first).to_be_visible()
    links = await page.locator("#poly-ai-chat a").evaluate_all("(all) => all.map((a) => a.getAttribute('href'))")
    assert links == ["https://example.com/i.pdf", "tel:+49301"]
    assert await page.locator("#poly-ai-chat img").count() == 0
    await expect(page.locator("#poly-ai-chat .card-title")).to_have_text([evil, "invoicefdp.exe", "file"])
    await expect(page.get_by_role("button", name=evil)).to_be_visible()
    assert await page.evaluate("window.hacked") is None
    await send(page, f"<b>me</b> **too** {evil}")
    await expect(bubbles(page).last).to_have_text(f"<b>me</b> **too** {evil}")


async def test_attachments_are_cards_and_images(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    picture = f"{server.url}modules/missing.png"
    await server.session.say(
        "",
        attachments=[
            {"title": "Meter", "content_url": picture, "content_type": "ATTACHMENT_CONTENT_TYPE_IMAGE"},
            {"title": "Tariffs", "content_url": "https://example.com/t", "call_to_action_text": "Compare"},
        ],
    )
    await expect(page.locator("#poly-ai-chat a.card")).to_have_count(2)
    await expect(page.get_by_role("link", name="Tariffs Compare (opens in a new tab)")).to_be_visible()


async def test_chunks_join_to_one_message(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)

    async def chunk(index: int, text: str, complete: bool = False, **more: object) -> None:
        payload = {"message_id": "m1", "text": text, "chunk_index": index, "is_complete": complete, **more}
        await server.session.log("POLY_AGENT_MESSAGE_CHUNK", payload)

    await chunk(1, "We have **two** tariffs. ")
    await expect(bubbles(page).last).to_have_text("We have two tariffs.")
    await chunk(2, "Which one ")
    server.session.cut()
    await chunk(3, "do you want?")
    await chunk(4, "", complete=True, response_suggestions=[{"message_text": "Green"}])
    await expect(bubbles(page)).to_have_text(
        ["Hello, how can I help?", "We have two tariffs. Which one do you want?"], timeout=8000
    )
    await expect(page.get_by_role("button", name="Green")).to_be_visible()
    payload = {"message_id": "m1", "text": "We have two tariffs. Which one do you want?"}
    await server.session.log("POLY_AGENT_MESSAGE", payload)
    await server.session.say("Next")
    await expect(bubbles(page).last).to_have_text("Next")
    assert await bubbles(page).count() == 3


async def test_handoff_from_start_to_end(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    lines = page.locator("#poly-ai-chat .line")
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("POLY_AGENT_LEFT")
    await expect(lines).to_have_text(["Connecting you to an agent…"])
    await session.log("HANDOFF_ACCEPTED")
    await session.log("HANDOFF_QUEUE_STATUS", {"position_in_queue": 3, "estimated_wait_seconds": 130})
    await expect(lines.last).to_have_text("Waiting for an agentYou are number 3 in the queue · about 3 min")
    await session.log("HANDOFF_QUEUE_STATUS", {"position_in_queue": 1})
    await expect(lines.last).to_have_text("Waiting for an agentYou are next")
    await send(page, "Hello?")
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a1", "name": "Maria Keller", "avatar_url": ""}})
    await expect(lines.last).to_have_text("Maria Keller joined")
    await expect(page.locator("#poly-ai-chat .head-title")).to_have_text("Maria Keller")
    await session.whisper("LIVE_AGENT_TYPING", {"agent_id": "a1", "state": "TYPING_STATE_STARTED"})
    await expect(page.get_by_text("Maria Keller is typing")).to_be_attached()
    await session.whisper("LIVE_AGENT_TYPING", {"agent_id": "a1", "state": "TYPING_STATE_STOPPED"})
    await expect(page.get_by_text("Maria Keller is typing")).to_have_count(0)
    message = {"message_id": "h1", "agent_id": "a1", "text": "Good morning", "agent_name": "Maria Keller"}
    await session.log("LIVE_AGENT_MESSAGE", message)
    await session.log("LIVE_AGENT_MESSAGE", message)
    await expect(page.locator("#poly-ai-chat .live .name")).to_have_text(["Maria Keller"])
    await send(page, "My bill")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    await session.log("LIVE_AGENT_RECEIVED_MESSAGE", {"message_id": session.journal[-1]["payload"]["message_id"]})
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Delivered"])
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a2", "name": ""}})
    await expect(lines.last).to_have_text("An agent joined")
    await session.log("LIVE_AGENT_LEFT")
    await session.log("SESSION_END", {"reason": "REASON_NATURAL_END"})
    await session.close(1000)
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await expect(page.get_by_label("Your message")).to_have_count(0)
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "Hello?", "Good morning", "My bill"])
    await page.wait_for_timeout(1500)
    assert len(session.cursors) == 1


async def test_customer_typing_is_told_to_a_live_agent_only(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await page.get_by_label("Your message").press_sequentially("abc")
    await server.session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a1", "name": "Maria"}})
    await expect(page.get_by_text("Maria joined").first).to_be_visible()
    await page.get_by_label("Your message").press_sequentially("def")
    await page.keyboard.press("Enter")
    await expect(bubbles(page).last).to_have_text("abcdef")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    states = [frame["payload"]["state"] for frame in server.session.frames("USER_TYPING")]
    assert states == ["TYPING_STATE_STARTED", "TYPING_STATE_STOPPED"]


async def test_failed_handoffs_are_told_and_the_conversation_goes_on(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    lines = page.locator("#poly-ai-chat .line")
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("HANDOFF_FAILED")
    sorry = "Sorry, we could not connect you to an agent. Please try again."
    await session.log("SYSTEM_MESSAGE", {"level": "SYSTEM_MESSAGE_LEVEL_ERROR", "message": sorry})
    await expect(lines).to_have_text(["Connecting you to an agent…", sorry])
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("HANDOFF_ACCEPTED")
    await session.log("HANDOFF_TIMEOUT")
    await expect(lines.last).to_have_text("No agent was free in time. You can go on here.")
    await expect(page.locator("#poly-ai-chat .line.current")).to_have_count(0)
    await session.log("SYSTEM_MESSAGE", {"level": "SYSTEM_MESSAGE_LEVEL_WARNING", "message": "Slow down"})
    await expect(page.locator("#poly-ai-chat .line.warning")).to_have_text("Slow down")
    await send(page, "Then tell me")
    await expect(bubbles(page).last).to_have_text("Then tell me")
    failed = {"level": "SYSTEM_MESSAGE_LEVEL_ERROR", "message": "Failed to forward message to live agent"}
    await session.whisper("SYSTEM_MESSAGE", failed, session.frames("USER_MESSAGE")[-1]["metadata"]["custom"])
    await expect(page.locator("#poly-ai-chat .status.undelivered")).to_contain_text("Not delivered to the agent")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    first, second = (frame["metadata"]["custom"]["local_id"] for frame in session.frames("USER_MESSAGE"))
    assert first != second


async def test_cut_connection_comes_back_with_the_cursor_and_doubles_nothing(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    await send(page, "before")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    seen = session.journal[-1]["sequence"]
    session.cut()
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    await session.say("while away")
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "before", "while away"], timeout=8000)
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_hidden()
    assert session.cursors == [None, str(seen)]
    assert len(session.frames("REQUEST_POLY_AGENT_JOIN")) == 1
    assert session.texts() == ["before"]


async def test_messages_written_offline_are_sent_once_in_order(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await send(page, "one")
    await send(page, "two")
    await expect(page.locator("#poly-ai-chat .status").last).to_have_text("Waiting for the connection")
    assert session.texts() == []
    await page.context.set_offline(False)
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"], timeout=8000)
    assert session.texts() == ["one", "two"]
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "one", "two"])


async def test_lost_echo_is_asked_for_again_with_the_same_id(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    server.echoing = False
    await send(page, "important")
    await expect(bubbles(page).last).to_have_text("important")
    await page.wait_for_timeout(300)
    server.echoing = True
    session.cut()
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"], timeout=8000)
    ids = [frame["metadata"]["custom"]["local_id"] for frame in session.frames("USER_MESSAGE")]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "important"])


async def test_message_without_echo_fails_and_can_be_sent_again(page: Page, server: FakeMessaging) -> None:
    await page.clock.install()
    await open_chat(page, server)
    server.echoing = False
    await send(page, "lost?")
    for _ in range(40):
        await page.clock.run_for(1000)
    await expect(page.locator("#poly-ai-chat .status")).to_contain_text("Not sent")
    assert server.session.texts() == ["lost?"] * 3
    server.echoing = True
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    assert len({frame["metadata"]["custom"]["local_id"] for frame in server.session.frames("USER_MESSAGE")}) == 1


async def test_event_that_never_arrived_is_fetched(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    await session.lose("POLY_AGENT_MESSAGE", {"message_id": "m1", "text": "lost on the way"})
    await session.say("after it")
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "lost on the way", "after it"], timeout=8000)
    assert len(session.cursors) == 2


async def test_numbers_that_the_server_left_out_are_asked_for_only_once(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    for number in range(3):
        payload = {"message_id": f"m{number}", "text": f"text {number}"}
        await session.log("POLY_AGENT_MESSAGE", payload, skip=2)
        await expect(bubbles(page).last).to_have_text(f"text {number}", timeout=8000)
    assert len(session.cursors) == 2
    assert await bubbles(page).count() == 4


async def test_v12_reload_keeps_the_conversation(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await send(page, "remember me")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    await page.reload()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "remember me"])
    assert len(server.sessions) == 1
    assert server.session.cursors == [None, None]
    assert len(server.session.frames("REQUEST_POLY_AGENT_JOIN")) == 1
    stored = await page.evaluate("[Object.keys(sessionStorage).length, Object.keys(localStorage).length]")
    assert stored == [1, 0]


async def test_unsent_message_survives_a_reload(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    server.echoing = False
    await send(page, "do not lose me")
    await expect(bubbles(page).last).to_have_text("do not lose me")
    server.echoing = True
    await page.reload()
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    assert len({frame["metadata"]["custom"]["local_id"] for frame in server.session.frames("USER_MESSAGE")}) == 1
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "do not lose me"])


async def test_dead_session_after_a_reload_begins_a_new_one(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    server.sessions.clear()
    await page.reload()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    await expect(page.locator("#poly-ai-chat .line")).to_have_count(0)
    assert len(server.sessions) == 1


async def test_close_4001_begins_a_new_session_and_says_so(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await send(page, "old")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    await server.session.close(4001)
    await expect(page.get_by_text("The earlier conversation is over. A new one has started.").first).to_be_visible()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "old", "Hello, how can I help?"])
    assert len(server.sessions) == 2


async def test_close_4000_is_not_answered_by_itself(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await server.session.close(4000)
    await expect(page.get_by_text("We cannot reach the chat right now.")).to_be_visible()
    await page.wait_for_timeout(1500)
    assert len(server.session.cursors) == 1
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_text("We cannot reach the chat right now.")).to_be_hidden()
    assert len(server.session.cursors) == 2


async def test_reconnecting_stops_at_the_advertised_limit(page: Page, server: FakeMessaging) -> None:
    server.capabilities["max_reconnect_attempts"] = 1
    await open_chat(page, server)
    await server.stop()
    await expect(page.get_by_text("We cannot reach the chat right now.")).to_be_visible(timeout=15000)


async def test_refused_token_is_told_and_can_be_tried_again(page: Page, server: FakeMessaging) -> None:
    server.rest_status = 401
    await page.goto(server.url)
    await page.get_by_role("button", name="Open chat").click()
    await expect(page.get_by_text("We cannot reach the chat right now.")).to_be_visible()
    assert len(server.rest_calls) == 1
    server.rest_status = 200
    await page.get_by_role("button", name="Try again").click()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])


async def test_heartbeats_follow_the_advertised_interval(page: Page, server: FakeMessaging) -> None:
    server.capabilities["heartbeat_interval_seconds"] = 1
    await open_chat(page, server)
    await page.wait_for_timeout(2500)
    assert 1 <= len(server.session.frames("HEARTBEAT")) <= 3
    assert len(server.session.cursors) == 1


async def test_customer_ends_and_starts_a_new_conversation(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await page.get_by_role("button", name="More options").click()
    await page.get_by_role("button", name="End conversation").click()
    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_role("button", name="Start a new conversation").click()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    await expect(page.get_by_label("Your message")).to_be_focused()
    old, new = server.sessions.values()
    assert len(old.frames("USER_END_SESSION")) == 1
    assert len(new.frames("REQUEST_POLY_AGENT_JOIN")) == 1


async def test_v5_join_waits_for_the_context_handler(page: Page, server: FakeMessaging) -> None:
    server.start_payload = {"context_id": "ctx-1"}
    await page.goto(server.url)
    await page.evaluate(
        """WebchatAPI.onContextRequired(async ({sessionId, contextId}) => {
        await new Promise((resolve) => setTimeout(resolve, 300)); return `${contextId}.for.${sessionId.length}`; });
        WebchatAPI.openWidget()"""
    )
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    assert server.contexts == ["ctx-1.for.36"]
    await page.evaluate("WebchatAPI.refreshVerifiedContext()")
    await page.wait_for_timeout(800)
    assert server.contexts == ["ctx-1.for.36"] * 2


async def test_v5_join_goes_ahead_when_the_context_handler_hangs(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    await page.evaluate("WebchatAPI.onContextRequired(() => new Promise(() => {})); WebchatAPI.openWidget()")
    await page.wait_for_timeout(3000)
    assert server.session.frames("REQUEST_POLY_AGENT_JOIN") == []
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    assert server.contexts == []


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
    await expect(page.get_by_role("button", name="End conversation")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="More options")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(launcher).to_be_focused()


async def test_screen_readers_hear_what_others_write(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    speech = page.locator("#poly-ai-chat [aria-live=polite]")
    await expect(speech).to_have_text("Lumen: Hello, how can I help?")
    await send(page, "silent")
    await server.session.say("**Loud** and [clear](https://example.com)")
    await expect(speech).to_have_text("Lumen: Loud and clear")
    await server.session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a1", "name": "Maria"}})
    await expect(speech).to_have_text("Maria joined")


async def test_unread_messages_are_counted_while_closed(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await page.keyboard.press("Escape")
    await server.session.say("one")
    await server.session.say("two")
    await page.get_by_role("button", name="Open chat, 2 unread").click()
    await expect(bubbles(page)).to_have_count(3)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Open chat", exact=True)).to_be_visible()


async def test_language_follows_the_visitor_and_the_server(page: Page, server: FakeMessaging) -> None:
    server.config |= {"languages": ["de", "en", "es"], "texts": {"placeholder": "Ask away"}}
    await open_chat(page, server)
    assert server.rest_calls[-1][2]["language"] == "en"
    await expect(page.get_by_label("Your message")).to_have_attribute("placeholder", "Ask away")
    await page.get_by_label("Your message").fill("draft")
    await server.session.log("LANGUAGE_CHANGED", {"language_code": "es-US"})
    await expect(page.get_by_role("dialog")).to_have_attribute("lang", "es")
    await expect(page.locator("#poly-ai-chat textarea")).to_have_value("draft")


async def test_message_beyond_the_limit_is_not_sent(page: Page, server: FakeMessaging) -> None:
    server.capabilities["max_message_size_bytes"] = 20
    await open_chat(page, server)
    await page.get_by_label("Your message").fill("ü" * 11)
    await expect(page.get_by_text("This message is too long to send.")).to_be_visible()
    await page.keyboard.press("Enter")
    await page.get_by_label("Your message").fill("ü" * 10)
    await page.keyboard.press("Enter")
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
    assert server.session.texts() == ["ü" * 10]


@pytest.mark.parametrize("size", [(320, 568), (640, 360), (1200, 800)])
async def test_nothing_is_cut_off_at_any_size(page: Page, server: FakeMessaging, size: tuple[int, int]) -> None:
    width, height = size
    await page.emulate_media(reduced_motion="reduce")
    await page.set_viewport_size({"width": width, "height": height})
    server.suggestions = ["A rather long suggestion that has to wrap on a phone", "Short"]
    await open_chat(page, server)
    await server.session.say("Averylongwordwithoutanyspaces" * 8)
    await send(page, "x" * 200)
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Sent"])
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
            inside = "document.activeElement.id === 'poly-ai-chat' && !!document.activeElement.shadowRoot.activeElement.closest('.panel')"
            assert await page.evaluate(inside)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(page: Page, server: FakeMessaging, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    server.suggestions = ["My bill"]
    server.config["privacy_url"] = "https://example.com/privacy"
    await open_chat(page, server)
    await assert_accessible(page)
    session = server.session
    link = {"title": "Tariffs", "content_url": "https://example.com/t", "call_to_action_text": "Compare"}
    call = {"title": "Call", "contact_number": "+49 30 1"}
    await send(page, "hello")
    text = "**Bold** [link](https://example.com) `code`\n- item"
    await session.say(text, attachments=[link], chat_call_actions=[call])
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")
    await session.log("HANDOFF_ACCEPTED")
    await session.log("SYSTEM_MESSAGE", {"level": "SYSTEM_MESSAGE_LEVEL_ERROR", "message": "Something went wrong"})
    await session.log("SYSTEM_MESSAGE", {"level": "SYSTEM_MESSAGE_LEVEL_WARNING", "message": "Slow"})
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a1", "name": "Maria Keller"}})
    await session.log("LIVE_AGENT_MESSAGE", {"message_id": "h1", "agent_id": "a1", "text": "Good morning"})
    await session.whisper("LIVE_AGENT_TYPING", {"agent_id": "a1"})
    await page.get_by_role("button", name="More options").click()
    await assert_accessible(page)
    await page.keyboard.press("Escape")
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await assert_accessible(page)
    await page.context.set_offline(False)
    await expect(page.get_by_text("You are offline.")).to_be_hidden(timeout=8000)
    await session.log("SESSION_END", {"reason": "REASON_NATURAL_END"})
    await expect(page.get_by_role("button", name="Start a new conversation")).to_be_visible()
    await assert_accessible(page)


async def assert_accessible(page: Page) -> None:
    """No finding of axe, its best practices included."""
    await page.wait_for_timeout(100)
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


async def test_launcher_is_painted_soon_after_its_script_arrived(page: Page, server: FakeMessaging) -> None:
    await page.add_init_script(
        """new MutationObserver((_, observer) => {
        if (!document.getElementById('poly-ai-chat')) return;
        observer.disconnect();
        requestAnimationFrame(() => { const channel = new MessageChannel();
          channel.port1.onmessage = () => { window.paintedAt = performance.now(); }; channel.port2.postMessage(0); });
        }).observe(document, { childList: true, subtree: true });"""
    )
    times = []
    for _ in range(3):
        await page.goto(server.url)
        await page.wait_for_function("window.paintedAt")
        script = "performance.getEntriesByType('resource').find((e) => e.name.includes('/widget/fake')).responseEnd"
        times.append(await page.evaluate(f"paintedAt - {script}"))
    assert min(times) <= 100
