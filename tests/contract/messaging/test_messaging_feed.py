"""What a socket is sent under load and faults: in order, no gap, nothing stale, nobody delayed."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from support.faulty import FaultyBus, FaultyStore
from support.messaging import (
    FREE,
    greeted,
    live_agent_says,
    stop_reading,
    talk_to_live_agent,
    until,
)
from support.server import MessagingServer, messaging_server, one_handoff
from warmline.channels.messaging import MessagingLimits
from warmline.channels.messaging.feed import Feed
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.web.limits import RateLimit


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    async with messaging_server(tmp_path, limits=FREE) as running:
        yield running


async def test_a_frame_beyond_the_hard_cap_closes_the_socket_and_the_session_resumes(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client:
        await greeted(client)
        await client.send_raw('{"type":"EVENT_TYPE_USER_MESSAGE","payload":{"text":"' + "x" * 1_100_000 + '"}}')
        assert await client.expect_close() == 1009
        await client.reconnect()
        await client.say_and_wait("smaller")


async def test_what_a_socket_needed_is_gone_with_it_without_a_garbage_collection(server: MessagingServer) -> None:
    def feeds() -> int:
        return sum(isinstance(thing, Feed) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        async with MessagingClient(server.url) as client:
            await greeted(client)
            assert feeds() == 1
        await until(lambda: feeds() == 0)
    finally:
        gc.enable()


async def test_a_poke_that_was_lost_is_made_good_by_a_heartbeat(tmp_path: Path) -> None:
    clock, bus = ManualClock(), FaultyBus()
    async with messaging_server(tmp_path, clock=clock, bus=bus) as server, MessagingClient(server.url) as client:
        await greeted(client)
        bus.lose = True
        await server.conversations.post(client.session_id, "lost on the way")
        await client.settle()
        assert client.all("USER_MESSAGE") == []
        await clock.advance(30)
        await client.heartbeat()
        await client.expect("USER_MESSAGE")
        assert client.violations == []


async def test_a_slow_socket_is_given_up_and_delays_nobody(tmp_path: Path) -> None:
    limits = MessagingLimits(frames=FREE.frames, queue_bytes=1_000_000)
    async with (
        messaging_server(tmp_path, limits=limits, planner=one_handoff) as server,
        MessagingClient(server.url) as client,
        aiohttp.ClientSession() as http,
    ):
        await greeted(client)
        await talk_to_live_agent(server, client)
        assert server.runner.server is not None
        http_server = server.runner.server
        before = len(http_server.connections)
        query = {"access_token": client.access_token, "session_id": client.session_id}
        impatient = aiohttp.ClientWSTimeout(ws_close=0.1)
        async with http.ws_connect(f"{server.url}/ws", params=query, max_msg_size=0, timeout=impatient) as stuck:
            await stuck.receive_str(timeout=PATIENCE_S)
            assert len(http_server.connections) == before + 1
            stop_reading(stuck)
            with capture_logs() as logs:
                for number in range(1, 31):
                    await live_agent_says(server, client, "x" * 400_000, number)
                    await client.expect("LIVE_AGENT_MESSAGE", number)
                await until(lambda: len(http_server.connections) == before)
            assert [line["event"] for line in logs if line["event"] == "messaging.given_up"] == ["messaging.given_up"]
        assert client.violations == []


async def test_thinking_is_shown_before_the_answer_and_never_after_it(tmp_path: Path) -> None:
    bus = FaultyBus()
    bus.bare = True
    async with messaging_server(tmp_path, limits=FREE, bus=bus) as server, MessagingClient(server.url) as client:
        await greeted(client)
        for number in range(1, 21):
            await client.say_and_wait(f"question {number}")
            await client.expect("POLY_AGENT_MESSAGE", number + 1)
        names = [
            name for name in client.types() if name in ("USER_MESSAGE", "POLY_AGENT_THINKING", "POLY_AGENT_MESSAGE")
        ]
        assert names[2:] == ["USER_MESSAGE", "POLY_AGENT_THINKING", "POLY_AGENT_MESSAGE"] * 20


async def test_a_stale_thinking_is_not_shown_after_a_replay(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    async with (
        messaging_server(tmp_path, limits=FREE, wrap=wrap) as server,
        MessagingClient(server.url, auto_join=False) as client,
        MessagingClient(server.url, auto_join=False) as other,
    ):
        await client.start()
        other.access_token, other.session_id = client.access_token, client.session_id
        faulty[0].slow.add("events")
        connecting = asyncio.create_task(other.connect())
        await until(lambda: faulty[0].calls.count("events") == 2)
        server.conversations.show(client.session_id, "thinking")
        await server.conversations.post(client.session_id, "later than the thinking")
        await client.expect("USER_MESSAGE")
        faulty[0].gate.set()
        await connecting
        await other.settle()
        assert other.types() == ["SESSION_START", "USER_MESSAGE", "HEARTBEAT"]
        server.conversations.show(client.session_id, "thinking")
        await other.expect("POLY_AGENT_THINKING")
        assert other.violations == []


async def test_a_session_that_ends_during_the_handshake_is_closed(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    async with (
        messaging_server(tmp_path, limits=FREE, wrap=wrap) as server,
        MessagingClient(server.url) as client,
        MessagingClient(server.url, auto_join=False) as other,
    ):
        await greeted(client)
        other.access_token, other.session_id = client.access_token, client.session_id
        faulty[0].late.add("session")
        calls = faulty[0].calls.count("session")
        connecting = asyncio.create_task(other.connect())
        await until(lambda: faulty[0].calls.count("session") > calls)
        await asyncio.sleep(0.1)
        await client.end()
        assert await client.expect_close() == 1000
        faulty[0].gate.set()
        await connecting
        assert await other.expect_close() == 1000
        assert other.types()[-1] == "SESSION_END"
        assert other.violations == []


async def test_binary_frames_count_as_frames(tmp_path: Path) -> None:
    limits = MessagingLimits(frames=RateLimit(count=5, seconds=1000))
    async with messaging_server(tmp_path, limits=limits) as server, MessagingClient(server.url) as client:
        await greeted(client)
        for _ in range(20):
            await client.send_raw(b"x")
        await client.settle()
        levels = [
            notice.payload["level"].removeprefix("SYSTEM_MESSAGE_LEVEL_") for notice in client.all("SYSTEM_MESSAGE")
        ]
        assert levels == ["ERROR"] * 4 + ["WARNING"]
