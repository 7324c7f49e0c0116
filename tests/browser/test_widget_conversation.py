"""What the widget shows of a conversation, and what it never does with what others wrote."""

import re

import pytest
from playwright.async_api import Page, expect

from support.customer import bubbles, open_chat, send, sent
from support.fake_messaging import FakeMessaging, FakeSession

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
    await sent(page)
    ids = {frame["metadata"]["custom"]["local_id"] for frame in server.session.frames("USER_MESSAGE")}
    assert len(ids) == 2


async def test_times_are_as_the_visitors_country_writes_them(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await expect(page.locator("#poly-ai-chat time").first).to_have_text(re.compile(r"^\d?\d:\d\d$"))


async def test_the_log_decides_the_order(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    server.echoing = False
    await send(page, "question")
    await expect(bubbles(page).last).to_have_text("question")
    await server.session.say("Said before the question arrived")
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "Said before the question arrived", "question"])


async def test_suggestions_are_buttons_that_write(page: Page, server: FakeMessaging) -> None:
    server.suggestions = ["My bill", "An outage"]
    await open_chat(page, server)
    group = page.get_by_role("group", name="Suggested replies")
    await expect(group.get_by_role("button")).to_have_text(["My bill", "An outage"])
    await group.get_by_role("button", name="An outage").click()
    await expect(bubbles(page).last).to_have_text("An outage")
    await expect(group).to_have_count(0)
    await expect(page.get_by_label("Your message")).to_be_focused()
    await sent(page)
    assert server.session.said() == ["An outage"]


async def test_v13_markdown_and_allowed_html_are_drawn_and_nothing_else(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await server.session.say(
        "# Title\n**bold** and *soft* and `x < y`\n\n- one\n- <b>two</b>\n\n1. first\n\nbetween\n\n2. second\n"
        "\n```\nif a < b:\n  <b>raw</b>\n```\n[site](https://example.com/a?b=1&c=2) https://example.com/auto."
        "<p>para<br>line</p><ol><li>alpha</li></ol><script>window.hacked = 1</script>"
        '<img src=x onerror="window.hacked = 1"><a href="https://example.com/h" onclick="hacked()">html</a>'
        "<iframe src=https://evil.example></iframe> a < b, 2 > 1, <standard> &amp; snake_case_name"
    )
    await expect(bubbles(page)).to_have_count(2)
    drawn = await bubbles(page).last.evaluate(
        """(b) => ({ tags: [...new Set([...b.querySelectorAll('*')].map((e) => e.localName))].sort(),
        links: [...b.querySelectorAll('a')].map((a) => [a.href, a.target, a.rel, a.textContent]),
        code: [...b.querySelectorAll('code')].map((c) => c.textContent),
        lists: [...b.querySelectorAll('ul, ol')].map((l) => [l.localName, l.start ?? null, l.textContent]),
        attributes: [...new Set([...b.querySelectorAll('*')].flatMap((e) => e.getAttributeNames()))].sort(),
        strong: [...b.querySelectorAll('strong')].map((s) => s.textContent), text: b.textContent })"""
    )
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
        f"[click]({HOSTILE}) <a href='java&#115;cript:window.hacked=1'>me</a> "
        "<a href='data:text/html,x'>or</a> [x](//e.org)",
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
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "We have two tariffs. Which one do you want?"])
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
    await sent(page)
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a1", "name": "Maria Keller", "avatar_url": ""}})
    await expect(lines.last.locator(".line-text")).to_have_text("Maria Keller joined")
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
    await sent(page)
    await session.log("LIVE_AGENT_RECEIVED_MESSAGE", {"message_id": session.journal[-1]["payload"]["message_id"]})
    await expect(page.locator("#poly-ai-chat .status")).to_have_text(["Delivered"])
    await session.log("LIVE_AGENT_JOINED", {"agent": {"id": "a2", "name": ""}})
    await expect(lines.last.locator(".line-text")).to_have_text("An agent joined")
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
    # All at once: however slow the machine is, they come within the time in which typing is told only once.
    await page.get_by_label("Your message").evaluate(
        """(field) => { for (const letter of "def") {
        field.value += letter; field.dispatchEvent(new Event("input")); } }"""
    )
    await page.get_by_label("Your message").press("Enter")
    await expect(bubbles(page).last).to_have_text("abcdef")
    await sent(page)
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
    await sent(page)
    await expect(bubbles(page).last).to_have_text("Then tell me")
    failed = {"level": "SYSTEM_MESSAGE_LEVEL_ERROR", "message": "Failed to forward message to live agent"}
    await session.whisper("SYSTEM_MESSAGE", failed, session.frames("USER_MESSAGE")[-1]["metadata"]["custom"])
    await expect(page.locator("#poly-ai-chat .status.undelivered")).to_contain_text("Not delivered to the agent")
    await page.get_by_role("button", name="Try again").click()
    await sent(page)
    assert session.said() == ["Then tell me"] * 2, "a message of its own"


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


async def test_message_beyond_the_limit_is_not_sent(page: Page, server: FakeMessaging) -> None:
    server.capabilities["max_message_size_bytes"] = 20
    await open_chat(page, server)
    await page.get_by_label("Your message").fill("ü" * 11)
    await expect(page.get_by_text("This message is too long to send.")).to_be_visible()
    await page.keyboard.press("Enter")
    await send(page, "ü" * 10)
    await sent(page)
    assert server.session.said() == ["ü" * 10]
