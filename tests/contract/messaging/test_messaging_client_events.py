"""Checks C1 to C20 of messaging-protocol.md §20, over real WebSockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.faulty import FaultyStore
from support.server import JWT_SECRET, MessagingServer, messaging_server, one_handoff
from warmline.channels.messaging import MessagingLimits
from warmline.channels.messaging.tokens import AccessTokens
from warmline.domain.effects import CloseConversation
from warmline.domain.events import UserMessage
from warmline.domain.turn import HandoffRequest
from warmline.ports import Ephemeral, SessionInfo, Signal
from warmline.system import SystemIds
from warmline.testing import ManualClock
from warmline.testing.engine import Reply, say
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.web.limits import RateLimit

FREE = MessagingLimits(frames=RateLimit(count=100_000, seconds=1))
INVALID = "Unknown event type or invalid message format"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    async with messaging_server(tmp_path, limits=FREE, planner=one_handoff) as running:
        yield running


@pytest.fixture
async def client(server: MessagingServer) -> AsyncIterator[MessagingClient]:
    async with MessagingClient(server.url) as opened:
        await opened.start()
        await opened.expect("POLY_AGENT_MESSAGE")
        yield opened
        assert opened.violations == []


def user_message(text: object, **custom: object) -> str:
    frame: dict[str, Any] = {"type": "EVENT_TYPE_USER_MESSAGE", "payload": {"text": text}}
    if custom:
        frame["metadata"] = {"custom": custom}
    return json.dumps(frame)


def echoes(client: MessagingClient, text: str) -> int:
    """Frames of the present socket that echo `text`, also those that an SDK drops as known."""
    return sum("EVENT_TYPE_USER_MESSAGE" in frame and text in frame for frame in client.connections[-1].frames)


async def error_of(client: MessagingClient, frame: str) -> tuple[str, Any]:
    count = len(client.all("SYSTEM_MESSAGE"))
    await client.send_raw(frame)
    notice = await client.expect("SYSTEM_MESSAGE", count + 1)
    assert notice.sequence is None
    assert notice.payload["level"] == "SYSTEM_MESSAGE_LEVEL_ERROR"
    return notice.payload["message"], notice.raw.get("metadata")


async def test_C1_join(client: MessagingClient) -> None:
    assert client.types() == [
        "SESSION_START",
        "REQUEST_POLY_AGENT_JOIN",
        "POLY_AGENT_JOINED",
        "POLY_AGENT_THINKING",
        "POLY_AGENT_MESSAGE",
    ]
    assert client.all("POLY_AGENT_MESSAGE")[0].payload["text"] == "Hello, how can I help?"


async def test_C2_second_join_yields_the_echo_only(server: MessagingServer, client: MessagingClient) -> None:
    await client.send("REQUEST_POLY_AGENT_JOIN", {}, {"local_id": "again"})
    assert (await client.expect("REQUEST_POLY_AGENT_JOIN", 2)).custom == {"local_id": "again"}
    await client.say_and_wait("hi")
    await client.expect("POLY_AGENT_MESSAGE", 2)
    assert len(client.all("POLY_AGENT_JOINED")) == 1
    assert [turn.kind.value for turn in server.engine.turns] == ["start", "message"]


async def test_C2_a_join_that_was_lost_with_its_connection_is_made_up_for(server: MessagingServer) -> None:
    async with MessagingClient(server.url, auto_join=False) as client:
        await client.start()
        await client.settle()
        assert client.all("POLY_AGENT_JOINED") == []
        await client.reconnect()
        await client.expect("POLY_AGENT_MESSAGE")
        await client.reconnect()
        await client.settle()
        assert client.types(transient=False).count("POLY_AGENT_JOINED") == 1
        assert client.violations == []


async def test_C2_joins_from_many_sockets_at_once(server: MessagingServer) -> None:
    clients = [MessagingClient(server.url) for _ in range(5)]
    for one in clients:
        await one.__aenter__()
    await clients[0].start()
    for one in clients[1:]:
        one.access_token, one.session_id = clients[0].access_token, clients[0].session_id
    await asyncio.gather(*(one.connect() for one in clients[1:]))
    for one in clients:
        await one.expect("POLY_AGENT_MESSAGE")
        await one.settle()
        assert len(one.all("POLY_AGENT_JOINED")) == 1
        assert one.violations == []
        await one.__aexit__()
    assert len(server.engine.turns) == 1


async def test_C3_joined_names_the_agent(client: MessagingClient) -> None:
    payload = client.all("POLY_AGENT_JOINED")[0].payload
    assert payload == {"agent_name": "Lumi", "agent_avatar_url": "https://example.com/lumi%201.png"}


@pytest.mark.parametrize("custom", [{"local_id": "l-1"}, {"n": 1, "deep": {"list": [1.5, None, True]}}, {}])
async def test_C4_echo(client: MessagingClient, custom: dict[str, Any]) -> None:
    await client.send("USER_MESSAGE", {"text": "  hi \n"}, custom)
    echo = await client.expect("USER_MESSAGE")
    assert echo.payload["text"] == "  hi \n"
    assert echo.payload["message_id"]
    assert echo.raw["metadata"] == {"custom": custom}


async def test_C4_no_metadata_no_metadata(client: MessagingClient) -> None:
    await client.send("USER_MESSAGE", {"text": "hi"})
    assert "metadata" not in (await client.expect("USER_MESSAGE")).raw


async def test_C5_echo_does_not_wait_for_the_agent(server: MessagingServer, client: MessagingClient) -> None:
    go = asyncio.Event()
    server.engine.on("slow", Reply(says=say("at last").says, until=go))
    draft = await client.say_and_wait("slow")
    assert draft.echo_s < 1
    await client.expect("POLY_AGENT_THINKING", 2)
    await client.settle()
    assert client.types()[-2:] == ["POLY_AGENT_THINKING", "HEARTBEAT"]
    go.set()
    await client.expect("POLY_AGENT_MESSAGE", 2)


async def test_C6_echo_precedes_the_answer(client: MessagingClient) -> None:
    for number in range(1, 21):
        draft = await client.say(f"question {number}")
        answer = await client.expect("POLY_AGENT_MESSAGE", number + 1)
        assert draft.echo is not None
        assert draft.echo.sequence is not None
        assert answer.sequence == draft.echo.sequence + 1
        assert answer.payload["text"] == f"You said: question {number}"


@pytest.mark.parametrize("key", ["local_id", "client_event_id"])
async def test_C7_C8_the_same_message_three_times(server: MessagingServer, client: MessagingClient, key: str) -> None:
    frame = user_message("pay my bill", **{key: "the same"})
    for _ in range(3):
        await client.send_raw(frame)
    await client.expect("POLY_AGENT_MESSAGE", 2)
    await client.wait(lambda: echoes(client, "pay my bill") == 3, "three echoes")
    assert len({text for text in client.connections[0].frames if "EVENT_TYPE_USER_MESSAGE" in text}) == 1
    assert [turn.text for turn in server.engine.turns] == ["", "pay my bill"]


async def test_C7_a_repeated_message_is_echoed_to_its_socket_only(
    server: MessagingServer, client: MessagingClient
) -> None:
    async with MessagingClient(server.url) as other:
        other.access_token, other.session_id = client.access_token, client.session_id
        await other.connect()
        draft = await client.say_and_wait("once")
        await other.send("USER_MESSAGE", {"text": "once"}, {"local_id": draft.local_id})
        await other.wait(lambda: echoes(other, "once") == 2, "the echo again")
        await client.settle()
        assert echoes(client, "once") == 1


async def test_C7_a_resend_after_a_reconnect_is_the_same_message(
    server: MessagingServer, client: MessagingClient
) -> None:
    draft = await client.say_and_wait("before the drop")
    await client.expect("POLY_AGENT_MESSAGE", 2)
    await client.reconnect()
    await client.send("USER_MESSAGE", {"text": draft.text}, {"local_id": draft.local_id})
    await client.wait(lambda: len(client.connections[-1].frames) == 2, "the echo")
    assert draft.echo is not None
    assert json.loads(client.connections[-1].frames[1]) == draft.echo.raw
    log = await server.conversations.events(client.session_id, 0)
    assert sum(isinstance(recorded.event, UserMessage) for recorded in log) == 1


async def test_C7_lost_echoes_are_resent_until_they_arrive(server: MessagingServer) -> None:
    async with MessagingClient(server.url, resend_s=0.2) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        drafts = []
        for number in range(12):
            drafts.append(await client.say(f"message {number}"))
            if number % 4 == 3:
                await client.reconnect()
        await client.wait(lambda: all(draft.state == "sent" for draft in drafts), "all echoes")
        await client.expect("POLY_AGENT_MESSAGE", 13)
        assert sorted(turn.text for turn in server.engine.turns[1:]) == sorted(draft.text for draft in drafts)
        assert client.violations == []


async def test_C9_the_same_text_without_metadata_is_two_messages(
    server: MessagingServer, client: MessagingClient
) -> None:
    for _ in range(2):
        await client.send("USER_MESSAGE", {"text": "yes"})
    await client.expect("POLY_AGENT_MESSAGE", 3)
    assert [turn.text for turn in server.engine.turns] == ["", "yes", "yes"]


async def test_C10_echo_reaches_every_socket(server: MessagingServer, client: MessagingClient) -> None:
    async with MessagingClient(server.url) as other:
        other.access_token, other.session_id = client.access_token, client.session_id
        await other.connect()
        draft = await client.say_and_wait("hello both")
        echo = await other.expect("USER_MESSAGE")
        assert draft.echo is not None
        assert echo.raw == draft.echo.raw
        assert other.violations == []


async def test_C11_typing_is_not_echoed_and_shown_on_the_bus_only(
    server: MessagingServer, client: MessagingClient
) -> None:
    heard: list[Signal] = []
    server.bus.listen(client.session_id, heard.append)
    for state in ("TYPING_STATE_STARTED", "TYPING_STATE_STOPPED", "TYPING_STATE_UNHEARD_OF"):
        await client.send("USER_TYPING", {"state": state})
    before = len(client.events)
    await client.settle()
    assert client.types()[before:] == ["HEARTBEAT"]
    shown = [signal.payload for signal in heard if isinstance(signal, Ephemeral) and signal.kind == "customer_typing"]
    assert shown == [{"started": True}, {"started": False}]


async def test_C12_server_events_are_not_allowed(client: MessagingClient) -> None:
    frame = json.dumps({"type": "EVENT_TYPE_POLY_AGENT_MESSAGE", "payload": {"text": "I am the agent"}})
    assert await error_of(client, frame) == ("Event type not allowed: EVENT_TYPE_POLY_AGENT_MESSAGE", None)
    await client.say_and_wait("still open")


@pytest.mark.parametrize(
    "frame",
    ['{"type":"EVENT_TYPE_NOPE","payload":{}}', "hello", "[]", '{"payload":{}}', "", "[" * 100_000, user_message(" ")],
    ids=["unknown", "text", "array", "no type", "empty", "deep", "blank message"],
)
async def test_C13_what_is_not_understood(client: MessagingClient, frame: str) -> None:
    assert await error_of(client, frame) == (INVALID, None)
    await client.say_and_wait("still open")


async def test_C14_errors_carry_the_custom_of_their_frame(client: MessagingClient) -> None:
    for frame in (
        '{"type":"EVENT_TYPE_NOPE","metadata":{"custom":{"local_id":"x"}}}',
        '{"type":"EVENT_TYPE_SESSION_END","metadata":{"custom":{"local_id":"x"}}}',
        user_message("", local_id="x"),
    ):
        assert (await error_of(client, frame))[1] == {"custom": {"local_id": "x"}}


async def test_C14_trouble_with_the_store_is_told_and_the_message_can_be_sent_again(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    async with messaging_server(tmp_path, wrap=wrap) as server, MessagingClient(server.url) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        faulty[0].down.add("transact")
        frame = user_message("hello", local_id="x")
        busy = "Our system is experiencing high load. Please try again in a moment."
        assert await error_of(client, frame) == (busy, {"custom": {"local_id": "x"}})
        faulty[0].down.clear()
        await client.send_raw(frame)
        assert (await client.expect("USER_MESSAGE")).payload["text"] == "hello"


async def test_C15_voice_link_is_ignored(client: MessagingClient) -> None:
    await client.send("LINK_TO_WEBRTC_CONVERSATION", {"call_sid": "CA1"})
    before = len(client.events)
    await client.settle()
    assert client.types()[before:] == ["HEARTBEAT"]


async def test_C16_text_at_the_limit_and_beyond(client: MessagingClient) -> None:
    for number, text in enumerate(("\x01" * 131_072, '"\\' * 65_536, "é" * 65_536), start=1):
        await client.send("USER_MESSAGE", {"text": text}, {"local_id": f"l-{number}"})
        assert (await client.expect("USER_MESSAGE", number)).payload["text"] == text
        await client.expect("POLY_AGENT_MESSAGE", number + 1)
    assert await error_of(client, user_message("x" * 131_073, local_id="big")) == (
        "Message too large",
        {"custom": {"local_id": "big"}},
    )
    await client.say_and_wait("small")


async def test_C17_end(client: MessagingClient) -> None:
    await client.send("USER_END_SESSION", {}, {"local_id": "bye"})
    ended = await client.expect("SESSION_END")
    assert ended.payload == {"reason": "REASON_USER_END"}
    assert await client.expect_close() == 1000
    assert client.types()[-2:] == ["USER_END_SESSION", "SESSION_END"]
    assert client.events[-2].custom == {"local_id": "bye"}


async def test_C17_every_socket_of_the_session_is_closed(server: MessagingServer, client: MessagingClient) -> None:
    async with MessagingClient(server.url) as other:
        other.access_token, other.session_id = client.access_token, client.session_id
        await other.connect()
        await client.end()
        assert await other.expect_close() == 1000
        assert await client.expect_close() == 1000
        assert other.types()[-2:] == client.types()[-2:] == ["USER_END_SESSION", "SESSION_END"]
        assert other.violations == []


async def test_C17_nothing_comes_after_the_end(server: MessagingServer, client: MessagingClient) -> None:
    go = asyncio.Event()
    server.engine.on("slow", Reply(says=say("too late").says, until=go))
    await client.say_and_wait("slow")
    await client.end()
    for _ in range(5):
        await client.heartbeat()
        await client.send("USER_MESSAGE", {"text": "one more thing"})
    go.set()
    server.conversations.show(client.session_id, "thinking")
    assert await client.expect_close() == 1000
    assert client.types()[-1] == "SESSION_END"
    assert len(client.all("SESSION_END")) == 1


async def test_C18_an_end_counts_even_if_the_client_is_gone_at_once(server: MessagingServer) -> None:
    for way in ("close", "drop"):
        async with MessagingClient(server.url) as client:
            await client.start()
            await client.expect("POLY_AGENT_MESSAGE")
            server.engine.on("a human", Reply(handoff=HandoffRequest(integration="webex_integration")))
            await client.say("a human")
            await client.expect("POLY_AGENT_LEFT")
            await client.end()
            await (client.close() if way == "close" else client.drop())
            assert (await ended(server, client.session_id)) == "REASON_USER_END"
            rows = [row for row in await server.store.pending(range(64)) if row.session_id == client.session_id]
            assert any(isinstance(row.effect, CloseConversation) for row in rows)


async def ended(server: MessagingServer, session_id: str) -> str:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            stored = await server.conversations.session(session_id)
            if stored is not None and stored.session.ended is not None:
                return stored.session.ended.value
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["REQUEST_POLY_AGENT_JOIN", "HEARTBEAT", "USER_END_SESSION"])
async def test_C19_payload_may_be_missing(client: MessagingClient, name: str) -> None:
    count = len(client.all(name))
    await client.send_raw(json.dumps({"type": f"EVENT_TYPE_{name}"}))
    await client.expect(name, count + 1)
    assert client.all("SYSTEM_MESSAGE") == []


async def test_C20_a_flood_is_slowed_down_politely(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as server, MessagingClient(server.url) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        for number in range(200):
            await client.send("USER_MESSAGE", {"text": f"flood {number}"}, {"local_id": str(number)})
        await client.settle()
        await client.expect("USER_MESSAGE", 29)
        await client.settle()
        accepted = len(client.all("USER_MESSAGE"))
        assert accepted == 29, "30 in 10 s, and one of them asked the virtual agent in"
        notices = client.all("SYSTEM_MESSAGE")
        assert [notice.payload["level"] for notice in notices] == ["SYSTEM_MESSAGE_LEVEL_WARNING"]
        assert notices[0].custom == {"local_id": str(accepted)}
        await client.end()
        assert await client.expect_close() == 1000
        assert client.violations == []


async def test_C20_the_limit_is_one_per_session_and_harms_no_other(tmp_path: Path) -> None:
    limits = MessagingLimits(frames=RateLimit(count=5, seconds=1000))
    async with (
        messaging_server(tmp_path, limits=limits) as server,
        MessagingClient(server.url) as client,
        MessagingClient(server.url) as second_tab,
        MessagingClient(server.url) as neighbour,
    ):
        await client.start()
        await neighbour.start()
        second_tab.access_token, second_tab.session_id = client.access_token, client.session_id
        await client.expect("POLY_AGENT_MESSAGE")
        await second_tab.connect()
        for _ in range(2):
            await client.say_and_wait("one")
            await second_tab.say_and_wait("two")
        await client.say("three")
        await client.expect("SYSTEM_MESSAGE")
        await client.reconnect()
        await client.say("four")
        await client.expect("SYSTEM_MESSAGE", 2)
        await neighbour.say_and_wait("what is going on over there?")


async def test_messages_before_the_join_are_held_for_the_agent(server: MessagingServer) -> None:
    async with MessagingClient(server.url, auto_join=False) as client:
        await client.start()
        await client.say_and_wait("first")
        await client.say_and_wait("second")
        assert server.engine.turns == []
        await client.send("REQUEST_POLY_AGENT_JOIN")
        await client.expect("POLY_AGENT_MESSAGE", 3)
        assert [turn.text for turn in server.engine.turns] == ["", "first", "second"]


async def test_a_client_event_in_a_vanished_connector_is_an_error(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    async with messaging_server(tmp_path, wrap=wrap, connectors=()) as server:
        token_made_before = await _session_of_a_deleted_connector(server)
        async with MessagingClient(server.url, auto_join=False) as client:
            client.access_token, client.session_id = token_made_before
            await client.connect()
            message = await error_of(client, json.dumps({"type": "EVENT_TYPE_REQUEST_POLY_AGENT_JOIN"}))
            assert message == ("Error: Connector not found", None)
            assert faulty[0].calls.count("connectors") == 1


async def _session_of_a_deleted_connector(server: MessagingServer) -> tuple[str, str]:
    tokens = AccessTokens([JWT_SECRET], server.clock, SystemIds())
    token = tokens.issue("deleted")
    info = SessionInfo(connector_id="deleted", project_id="p", subject=tokens.verify(token).subject)
    return token, await server.conversations.start(info)
