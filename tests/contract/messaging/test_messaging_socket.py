"""Checks W1 to W25 of messaging-protocol.md §20, over real WebSockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.faulty import FaultyBus, FaultyStore
from support.messaging import (
    FREE,
    batches_of,
    greeted,
    live_agent_says,
    same_session,
    sequences,
    talk_to_live_agent,
)
from support.server import MessagingServer, messaging_server, one_handoff
from warmline.domain.events import UserMessage
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient, Refused


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    async with messaging_server(tmp_path, limits=FREE) as running:
        yield running


async def test_W1_parameters_in_any_order_and_unknown_ones(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, aiohttp.ClientSession() as http:
        await greeted(client)
        for query in (
            f"session_id={client.session_id}&access_token={client.access_token}",
            f"cursor=1&lang=de&session_id={client.session_id}&x=&access_token={client.access_token}",
        ):
            for path in ("/ws", "//ws", "/ws/"):
                async with http.ws_connect(f"{server.url}{path}?{query}") as ws:
                    assert json.loads(await ws.receive_str(timeout=PATIENCE_S))["type"] == "EVENT_TYPE_EVENT_BATCH"


async def test_W2_auth_token_is_an_alias(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, aiohttp.ClientSession() as http:
        await greeted(client)
        query = {"auth_token": client.access_token, "session_id": client.session_id}
        async with http.ws_connect(f"{server.url}/ws", params=query) as ws:
            assert json.loads(await ws.receive_str(timeout=PATIENCE_S))["payload"]["events"]


async def test_W3_refusals(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, MessagingClient(server.url) as stranger:
        await greeted(client)
        await greeted(stranger)
        for query, status in (
            ({"session_id": ""}, 400),
            ({"access_token": ""}, 400),
            ({"access_token": client.access_token + "x"}, 401),
            ({"access_token": stranger.access_token}, 401),
            ({"session_id": "00000000-0000-4000-8000-000000000000"}, 404),
            ({"session_id": "no such"}, 404),
        ):
            with pytest.raises(Refused) as refused:
                await client.connect(**query)
            assert refused.value.status == status
        await client.say_and_wait("still here")


async def test_W3_a_page_can_ask_why_its_socket_was_refused(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, aiohttp.ClientSession() as http:
        await greeted(client)
        for session_id, status, text in (
            (client.session_id, 426, "websocket upgrade required"),
            ("gone", 404, "session not found"),
        ):
            query = {"access_token": client.access_token, "session_id": session_id}
            async with http.get(f"{server.url}/ws", params=query) as response:
                assert response.status == status
                assert (await response.json())["message"] == text
                assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_W4_the_eleventh_socket_is_refused(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client:
        await greeted(client)
        others = [MessagingClient(server.url, auto_join=False) for _ in range(10)]
        for other in others:
            await other.__aenter__()
        for other in others[:9]:
            await same_session(client, other)
        with pytest.raises(Refused) as refused:
            await same_session(client, others[9])
        assert refused.value.status == 429
        await client.say_and_wait("all ten are here")
        for other in others[:9]:
            await other.expect("USER_MESSAGE")
        await others[0].drop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(Refused):
                    await same_session(client, others[9])
                    break
                await asyncio.sleep(0.05)
        for other in others:
            await other.__aexit__()


async def test_W5_W6_W7_first_batch_of_a_fresh_session(server: MessagingServer) -> None:
    async with MessagingClient(server.url, auto_join=False) as client:
        await client.start()
        (events,) = batches_of(client)
        assert [event["type"] for event in events] == ["EVENT_TYPE_SESSION_START"]
        assert events[0]["sequence"] == 1
        assert events[0]["payload"] == {
            "capabilities": {
                "streaming": False,
                "max_message_size_bytes": 131072,
                "heartbeat_interval_seconds": 30,
                "max_reconnect_attempts": 20,
            }
        }


async def test_W8_start_and_joined_are_in_the_same_first_batch(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, MessagingClient(server.url) as cold:
        await greeted(client)
        await same_session(client, cold)
        names = [event["type"] for event in batches_of(cold)[0]]
        assert {"EVENT_TYPE_SESSION_START", "EVENT_TYPE_POLY_AGENT_JOINED"} <= set(names)
        await cold.settle()
        assert cold.sent == [frame for frame in cold.sent if "JOIN" not in frame]


@pytest.mark.parametrize("cursor", ["3", "seq:3"])
async def test_W9_replay_begins_after_the_cursor(server: MessagingServer, cursor: str) -> None:
    async with MessagingClient(server.url) as client, MessagingClient(server.url, auto_join=False) as other:
        await greeted(client)
        other.access_token, other.session_id = client.access_token, client.session_id
        await other.connect(cursor=cursor)
        assert [event["sequence"] for event in batches_of(other)[0]] == [4]


@pytest.mark.parametrize("cursor", ["abc", "-1", "", "seq:", "seq:-1", "1.5", "9" * 40])
async def test_W9_a_bad_cursor_means_from_the_beginning(server: MessagingServer, cursor: str) -> None:
    async with MessagingClient(server.url) as client, MessagingClient(server.url, auto_join=False) as other:
        await greeted(client)
        other.access_token, other.session_id = client.access_token, client.session_id
        await other.connect(cursor=cursor)
        assert [event["sequence"] for event in batches_of(other)[0]] == [1, 2, 3, 4]
        await other.settle()


@pytest.mark.parametrize("cursor", ["4", "5", "999999999"])
async def test_W10_a_cursor_at_or_beyond_the_end(server: MessagingServer, cursor: str) -> None:
    async with MessagingClient(server.url) as client, MessagingClient(server.url, auto_join=False) as other:
        await greeted(client)
        other.access_token, other.session_id = client.access_token, client.session_id
        await other.connect(cursor=cursor)
        assert batches_of(other) == [[]]
        await client.say("and live events still come")
        await other.expect("USER_MESSAGE")
        assert other.violations == []


async def test_W11_replayed_events_are_the_same_bytes(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, MessagingClient(server.url) as cold:
        await greeted(client)
        await client.say_and_wait("one")
        await client.expect("POLY_AGENT_MESSAGE", 2)
        await same_session(client, cold)
        lived, replayed = client.connections[0].frames, cold.connections[0].frames[0]
        for event in client.journal()[1:]:
            assert any(event.id in frame and frame in replayed for frame in lived)
        assert [event.raw for event in cold.journal()] == [event.raw for event in client.journal()]


async def test_W12_nothing_without_sequence_is_replayed(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client:
        await greeted(client)
        await client.settle()
        await client.send("NOPE")
        await client.expect("SYSTEM_MESSAGE")
        client.cursor = 0
        await client.reconnect()
        names = [event["type"].removeprefix("EVENT_TYPE_") for batch in batches_of(client) for event in batch]
        assert names == ["SESSION_START", "REQUEST_POLY_AGENT_JOIN", "POLY_AGENT_JOINED", "POLY_AGENT_MESSAGE"]
        assert client.violations == []


@pytest.mark.parametrize("fault", ["none", "bare", "twice"])
async def test_W13_no_gap_between_replay_and_live(tmp_path: Path, fault: str) -> None:
    bus = FaultyBus()
    if fault != "none":
        setattr(bus, fault, True)
    async with messaging_server(tmp_path, limits=FREE, bus=bus) as server, MessagingClient(server.url) as client:
        await greeted(client)
        others = [MessagingClient(server.url, auto_join=False) for _ in range(6)]
        for other in others:
            await other.__aenter__()

        async def talk() -> None:
            for number in range(60):
                await client.say_and_wait(f"message {number}")

        talking = asyncio.create_task(talk())
        for other in others:
            await same_session(client, other)
            await asyncio.sleep(0.02)
        await talking
        await client.expect("POLY_AGENT_MESSAGE", 61)
        last = sequences(client)[-1]
        assert sequences(client) == list(range(1, last + 1))
        for other in others:
            await other.wait(lambda other=other: sequences(other)[-1:] == [last], "the last event")
            assert sequences(other) == list(range(1, last + 1))
            assert other.violations == []
            await other.__aexit__()
        assert client.violations == []


async def test_W14_a_long_history_comes_in_several_batches(tmp_path: Path) -> None:
    async with (
        messaging_server(tmp_path, limits=FREE, planner=one_handoff) as server,
        MessagingClient(server.url) as client,
        MessagingClient(server.url) as cold,
    ):
        await greeted(client)
        await talk_to_live_agent(server, client)
        for number in range(1, 251):
            await live_agent_says(server, client, "x" * 12_000, number)
        await client.expect("LIVE_AGENT_MESSAGE", 250)
        last = sequences(client)[-1]
        await same_session(client, cold)
        await cold.wait(lambda: len(cold.journal()) == last, "the whole history")
        assert len(cold.connections[0].frames) >= 30
        assert all(len(frame.encode()) < 131_072 for frame in cold.connections[0].frames)
        assert sequences(cold) == list(range(1, last + 1))
        assert cold.violations == client.violations == []


async def test_W17_sequences_go_on_after_a_restart(tmp_path: Path) -> None:
    async with MessagingClient("") as client:
        for text in ("before", "after"):
            async with messaging_server(tmp_path, limits=FREE) as server:
                client.base_url = server.url
                if text == "before":
                    await greeted(client)
                else:
                    await client.reconnect()
                await client.say_and_wait(text)
                await client.settle()
                await client.wait(lambda: len(sequences(client)) in (6, 8), "the answer")
        assert sequences(client) == list(range(1, 9))
        assert client.violations == []


async def test_W18_W19_a_graceful_stop_closes_with_1012_and_sessions_resume(tmp_path: Path) -> None:
    async with MessagingClient("") as client, MessagingClient("", auto_join=False) as idle:
        async with messaging_server(tmp_path, limits=FREE) as server:
            client.base_url = idle.base_url = server.url
            await greeted(client)
            await same_session(client, idle)
            began = asyncio.get_running_loop().time()
            await server.stop_serving()
            assert asyncio.get_running_loop().time() - began < 3
            assert await client.expect_close() == 1012
            assert await idle.expect_close() == 1012
        async with messaging_server(tmp_path, limits=FREE) as server:
            client.base_url = server.url
            await client.reconnect()
            await client.say_and_wait("hello again")
            assert client.violations == []


async def test_W19_what_was_accepted_while_stopping_is_stored(tmp_path: Path) -> None:
    async with MessagingClient("", resend_s=0.3) as client:
        async with messaging_server(tmp_path, limits=FREE) as server:
            client.base_url = server.url
            await greeted(client)
            drafts = [await client.say(f"message {number}") for number in range(20)]
            await server.stop_serving()
            assert await client.expect_close() == 1012
            echoed = {draft.text for draft in drafts if draft.state == "sent"}
        async with messaging_server(tmp_path, limits=FREE) as server:
            client.base_url = server.url
            await client.reconnect()
            await client.wait(lambda: all(draft.state == "sent" for draft in drafts), "all echoes")
            log = await server.conversations.events(client.session_id, 0)
            texts = [recorded.event.text for recorded in log if isinstance(recorded.event, UserMessage)]
            assert echoed <= set(texts)
            assert sorted(texts) == sorted(draft.text for draft in drafts)
            assert client.violations == []


async def test_W20_trouble_with_the_store_is_never_an_http_error(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    async with messaging_server(tmp_path, wrap=wrap) as server, MessagingClient(server.url) as client:
        await greeted(client)
        for broken in ("session", "events"):
            await client.drop()
            faulty[0].down = {broken}
            await client.connect()
            assert await client.expect_close() == 1013
        faulty[0].down.clear()
        await client.reconnect()
        await client.say_and_wait("back again")
        assert client.violations == []


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4002])
async def test_W21_closing_is_not_ending(server: MessagingServer, code: int) -> None:
    async with MessagingClient(server.url) as client:
        await greeted(client)
        await client.close(code)
        stored = await server.conversations.session(client.session_id)
        assert stored is not None
        assert stored.session.ended is None
        await client.connect()
        await client.say_and_wait("back")


async def test_W22_heartbeat_echo(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client:
        await greeted(client)
        await client.heartbeat()
        plain = await client.expect("HEARTBEAT")
        assert plain.sequence is None
        assert set(plain.raw) == {"id", "sequence", "timestamp", "type", "payload"}
        await client.heartbeat({"n": "1"})
        assert (await client.expect("HEARTBEAT", 2)).custom == {"n": "1"}


async def test_W22_heartbeats_are_echoed_to_the_sender_only(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, MessagingClient(server.url) as other:
        await greeted(client)
        await same_session(client, other)
        await client.settle()
        await other.settle()
        assert len(other.all("HEARTBEAT")) == 1


async def test_W22_a_slow_store_does_not_stop_heartbeats(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    async with messaging_server(tmp_path, wrap=wrap) as server, MessagingClient(server.url) as client:
        await greeted(client)
        faulty[0].slow.add("transact")
        drafts = [await client.say(text) for text in ("one", "two", "three")]
        await client.settle()
        assert [draft.state for draft in drafts] == ["sending"] * 3
        faulty[0].slow.clear()
        faulty[0].gate.set()
        await client.wait(lambda: all(draft.state == "sent" for draft in drafts), "the echoes")
        order = [event.payload["text"] for event in client.all("USER_MESSAGE")]
        assert order == ["one", "two", "three"]


async def test_W23_heartbeats_keep_the_session_alive_and_silence_ends_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as server, MessagingClient(server.url) as client:
        await greeted(client)
        for _ in range(5):
            await clock.advance(300)
            await client.settle()
        assert client.ended is None
        await clock.advance(590)
        await client.settle()
        await clock.advance(599)
        stored = await server.conversations.session(client.session_id)
        assert stored is not None
        assert stored.session.ended is None
        await clock.advance(2)
        ended = await client.expect("SESSION_END")
        assert ended.payload == {"reason": "REASON_USER_ABANDONED"}
        assert ended.sequence == 5
        assert await client.expect_close() == 1000
        assert client.violations == []


async def test_a_token_that_expires_in_the_midst_ends_nothing_but_opens_no_other_socket(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as server, MessagingClient(server.url) as client:
        await greeted(client)
        for _ in range(290):
            await clock.advance(300)
            server.conversations.seen(client.session_id)
        await client.say_and_wait("still here")
        with pytest.raises(Refused) as refused:
            await client.reconnect()
        assert refused.value.status == 401
        # Clients get another token then, and with it a session of its own (messaging-protocol.md §2.1).
        former = client.session_id
        await client.start()
        assert client.session_id != former


async def test_W24_expired_and_ended_sessions_are_not_found(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client:
        await greeted(client)
        await server.conversations.abandon(client.session_id)
        assert await client.expect_close() == 1000
        with pytest.raises(Refused) as refused:
            await client.connect()
        assert refused.value.status == 404


async def test_W25_pings_are_answered_and_binary_frames_do_no_harm(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, aiohttp.ClientSession() as http:
        await greeted(client)
        await client.send_raw(b"\x00\xff")
        notice = await client.expect("SYSTEM_MESSAGE")
        assert notice.payload["message"] == "Unknown event type or invalid message format"
        await client.say_and_wait("still here")
        query = {"access_token": client.access_token, "session_id": client.session_id}
        async with http.ws_connect(f"{server.url}/ws", params=query, autoping=False) as ws:
            await ws.receive_str(timeout=PATIENCE_S)
            await ws.ping(b"there?")
            message = await ws.receive(timeout=PATIENCE_S)
            while message.type is aiohttp.WSMsgType.TEXT:  # the answer to "still here" may still be coming
                message = await ws.receive(timeout=PATIENCE_S)
            assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"there?")
