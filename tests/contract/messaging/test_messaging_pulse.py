"""Pings: who answers stays, who does not is let go of, and a customer's own pings are answered."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType

from support.messaging import FREE, greeted
from support.server import MessagingServer, messaging_server
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient

EVERY_S = 1.0
"""So long has a customer to answer a ping: a busy machine takes its time for that, too."""


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
            assert (await dead.receive(timeout=PATIENCE_S)).type is WSMsgType.TEXT
            assert (await alive.receive(timeout=PATIENCE_S)).type is WSMsgType.TEXT
            pinged = 0
            while pinged < 3:
                message = await alive.receive(timeout=PATIENCE_S)
                assert message.type is WSMsgType.PING
                pinged += 1
                await alive.pong(message.data)
            seen = [await dead.receive(timeout=PATIENCE_S) for _ in range(2)]
            assert [message.type for message in seen] == [WSMsgType.PING, WSMsgType.CLOSED]
            assert not alive.closed
        await client.say("still here")
        await client.expect("USER_MESSAGE")


async def test_W25_a_customers_own_pings_are_answered_with_what_they_say(tmp_path: Path) -> None:
    async with (
        messaging_server(tmp_path, limits=FREE) as server,
        MessagingClient(server.url) as client,
        aiohttp.ClientSession() as http,
    ):
        await greeted(client)
        async with http.ws_connect(address(server, client), autoping=False) as ws:
            assert (await ws.receive(timeout=PATIENCE_S)).type is WSMsgType.TEXT
            for number in range(20):
                await ws.ping(b"%d" % number)
                message = await ws.receive(timeout=PATIENCE_S)
                assert (message.type, message.data) == (WSMsgType.PONG, b"%d" % number)
