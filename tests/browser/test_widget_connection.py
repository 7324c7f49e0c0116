"""The widget with a bad network and a restarting server: nothing lost, nothing doubled (messaging-protocol.md §3)."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from support.customer import bubbles, open_chat, send, sent
from support.fake_messaging import FakeMessaging
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_cut_connection_comes_back_with_the_cursor_and_doubles_nothing(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    await send(page, "before")
    await sent(page)
    seen = session.journal[-1]["sequence"]
    server.socket_gate.clear()
    session.cut()
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    await session.say("while away")
    server.socket_gate.set()
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "before", "while away"])
    await expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_hidden()
    assert session.cursors == [None, str(seen)]
    assert len(session.frames("REQUEST_POLY_AGENT_JOIN")) == 1
    assert session.said() == ["before"]


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
    await sent(page)
    assert session.said() == ["one", "two"]
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "one", "two"])


async def test_lost_echo_is_asked_for_again_with_the_same_id(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    server.echoing = False
    await send(page, "important")
    await expect(bubbles(page).last).to_have_text("important")
    await until(lambda: bool(session.texts()), "the server got it")
    server.echoing = True
    session.cut()
    await sent(page)
    ids = [frame["metadata"]["custom"]["local_id"] for frame in session.frames("USER_MESSAGE")]
    assert len(ids) >= 2
    assert len(set(ids)) == 1
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "important"])


async def test_message_without_echo_fails_and_can_be_sent_again(page: Page, server: FakeMessaging) -> None:
    await page.clock.install()
    # No heartbeats: in the time that the clock skips they would not be answered.
    server.capabilities["heartbeat_interval_seconds"] = 0
    await open_chat(page, server)
    server.echoing = False
    await send(page, "lost?")
    for _ in range(40):
        await page.clock.run_for(1000)
    await expect(page.locator("#poly-ai-chat .status")).to_contain_text("Not sent")
    await until(lambda: len(server.session.texts()) >= 3, "the server got it three times")
    assert server.session.texts() == ["lost?"] * 3
    server.echoing = True
    await page.get_by_role("button", name="Try again").click()
    await sent(page)
    assert len({frame["metadata"]["custom"]["local_id"] for frame in server.session.frames("USER_MESSAGE")}) == 1


async def test_event_that_never_arrived_is_fetched(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    await session.lose("POLY_AGENT_MESSAGE", {"message_id": "m1", "text": "lost on the way"})
    await session.say("after it")
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?", "lost on the way", "after it"])
    assert len(session.cursors) == 2


async def test_numbers_that_the_server_left_out_are_asked_for_only_once(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    session = server.session
    for number in range(3):
        payload = {"message_id": f"m{number}", "text": f"text {number}"}
        await session.log("POLY_AGENT_MESSAGE", payload, skip=2)
        await expect(bubbles(page).last).to_have_text(f"text {number}")
    assert len(session.cursors) == 2
    assert await bubbles(page).count() == 4


async def test_v12_reload_keeps_the_conversation(page: Page, server: FakeMessaging) -> None:
    await open_chat(page, server)
    await send(page, "remember me")
    await sent(page)
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
    await until(lambda: bool(server.session.texts()), "the server got it")
    server.echoing = True
    await page.reload()
    await sent(page)
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
    await sent(page)
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
    await until(lambda: len(server.session.cursors) == 2, "the page came back")


async def test_reconnecting_stops_at_the_advertised_limit(page: Page, server: FakeMessaging) -> None:
    server.capabilities["max_reconnect_attempts"] = 1
    await open_chat(page, server)
    await server.stop()
    await expect(page.get_by_text("We cannot reach the chat right now.")).to_be_visible()


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
    loop = asyncio.get_running_loop()
    began = loop.time()
    await open_chat(page, server)
    await until(lambda: len(server.session.frames("HEARTBEAT")) >= 2, "two heartbeats")
    assert len(server.session.frames("HEARTBEAT")) <= loop.time() - began, "never more often than once a second"
    assert len(server.session.cursors) == 1


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
    await until(lambda: len(server.contexts) >= 2, "the page was asked again")
    assert server.contexts == ["ctx-1.for.36"] * 2


async def test_v5_join_goes_ahead_when_the_context_handler_hangs(page: Page, server: FakeMessaging) -> None:
    await page.goto(server.url)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await page.evaluate("WebchatAPI.onContextRequired(() => new Promise(() => {})); WebchatAPI.openWidget()")
    await until(lambda: bool(server.sessions and server.session.frames("REQUEST_POLY_AGENT_JOIN")), "the join")
    assert loop.time() - began > 3.9, "the handler gets 4 s"
    await expect(bubbles(page)).to_have_text(["Hello, how can I help?"])
    assert server.contexts == []
