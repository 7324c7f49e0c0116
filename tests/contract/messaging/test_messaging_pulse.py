"""Pings: who answers stays, who does not is let go of, and a customer's own pings are answered."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType

from support.messaging import FREE, greeted
from support.server import MessagingServer, messaging_server
from warmline.testing.messaging_client import MessagingClient

EVERY_S = 0.1


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    async with messaging_server(tmp_path, limits=replace(FREE, ping_s=EVERY_S)) as running:
        yield running


def address(server: MessagingServer, client: MessagingClient) -> str:
    return f"{server.url}/ws?session_id={client.session_id}&access_token={client.access_token}"


async def test_who_does_not_answer_pings_is_cut_off_and_others_stay(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, aiohttp.ClientSession() as http:
        await greeted(client)
        async with (
            http.ws_connect(address(server, client), autoping=False) as dead,
            http.ws_connect(address(server, client), autoping=False) as alive,
        ):
            assert (await dead.receive(timeout=5)).type is WSMsgType.TEXT
            assert (await alive.receive(timeout=5)).type is WSMsgType.TEXT
            pinged = 0
            while pinged < 8:
                message = await alive.receive(timeout=5)
                assert message.type is WSMsgType.PING
                pinged += 1
                await alive.pong(message.data)
            seen = [await dead.receive(timeout=5) for _ in range(2)]
            assert [message.type for message in seen] == [WSMsgType.PING, WSMsgType.CLOSED]
            assert not alive.closed
        await client.say("still here")
        await client.expect("USER_MESSAGE")


async def test_W25_a_customers_own_pings_are_answered_with_what_they_say(server: MessagingServer) -> None:
    async with MessagingClient(server.url) as client, aiohttp.ClientSession() as http:
        await greeted(client)
        async with http.ws_connect(address(server, client), autoping=False) as ws:
            assert (await ws.receive(timeout=5)).type is WSMsgType.TEXT
            for number in range(20):
                await ws.ping(b"%d" % number)
                message = await ws.receive(timeout=5)
                while message.type is WSMsgType.PING:
                    message = await ws.receive(timeout=5)
                assert (message.type, message.data) == (WSMsgType.PONG, b"%d" % number)
