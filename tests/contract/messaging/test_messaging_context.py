"""Checks V1 to V4 of messaging-protocol.md §20: verified context, over real HTTP."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from support.server import CONNECTOR, MessagingServer, messaging_server
from warmline.channels.messaging.context import key_of_installation, signing_key
from warmline.testing.messaging_client import MessagingClient

VOUCHED = replace(CONNECTOR, settings={"verified_context": 1})
KEY = signing_key(key_of_installation("a key of the tests only"), VOUCHED)
FACTS = {"customer": "c-17", "score": 3, "vip": True, "note": None}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    async with messaging_server(tmp_path, connectors=(VOUCHED,)) as running:
        yield running


@pytest.fixture
async def client(server: MessagingServer) -> AsyncIterator[MessagingClient]:
    async with MessagingClient(server.url, auto_join=False) as opened:
        await opened.start()
        yield opened
        assert opened.violations == []


def context_id(client: MessagingClient) -> str:
    return str(client.all("SESSION_START")[0].payload["context_id"])


def signed(
    server: MessagingServer, client: MessagingClient, *, key: Any = KEY, alg: str = "HS256", **claims: Any
) -> str:
    now = server.clock.now() // 1000
    stated = {"sub": context_id(client), "iat": now, "exp": now + 30, "ctx": FACTS, **claims}
    return jwt.encode(stated, key, algorithm=alg, headers={"kid": CONNECTOR.id})


async def put(client: MessagingClient, token: object, *, bearer: str | None = None) -> tuple[int, str]:
    url = f"{client.base_url}/api/v1/sessions/{client.session_id}/context"
    headers = {"Authorization": f"Bearer {client.access_token if bearer is None else bearer}"}
    async with aiohttp.ClientSession() as http, http.put(url, json={"token": token}, headers=headers) as answer:
        return answer.status, "" if answer.status == 204 else (await answer.json())["message"]


async def test_V1_every_session_has_a_context_id_of_its_own_where_the_feature_is_on(server: MessagingServer) -> None:
    ids = set()
    for _ in range(2):
        async with MessagingClient(server.url, auto_join=False) as client:
            await client.start()
            ids.add(context_id(client))
            await client.reconnect()
    assert len(ids) == 2


async def test_V1_none_where_it_is_off(tmp_path: Path) -> None:
    async with messaging_server(tmp_path) as server, MessagingClient(server.url, auto_join=False) as client:
        await client.start()
        assert "context_id" not in client.all("SESSION_START")[0].payload
        assert (await put(client, "x"))[0] == 404


async def test_V2_the_agent_knows_it_on_turn_1_and_a_second_token_replaces_all_of_it(
    server: MessagingServer, client: MessagingClient
) -> None:
    assert await put(client, signed(server, client)) == (204, "")
    await client.send("REQUEST_POLY_AGENT_JOIN")
    await client.expect("POLY_AGENT_MESSAGE")
    assert await put(client, signed(server, client, ctx={"customer": "c-18"})) == (204, "")
    await client.say_and_wait("hi")
    await client.expect("POLY_AGENT_MESSAGE", 2)
    assert [dict(turn.context) for turn in server.engine.turns] == [FACTS, {"customer": "c-18"}]


async def test_V3_V4_what_is_refused_and_the_conversation_goes_on(
    server: MessagingServer, client: MessagingClient
) -> None:
    now = server.clock.now() // 1000
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unknown_kid = jwt.encode(
        {"sub": context_id(client), "iat": now, "exp": now + 30, "ctx": {}}, KEY, headers={"kid": "other"}
    )
    for token, named in (
        (signed(server, client, sub="another"), "sub"),
        (signed(server, client, iat=now, exp=now + 31), "exp"),
        (signed(server, client, iat=now - 120, exp=now - 100), "not valid now"),
        (signed(server, client, iat=now + 120, exp=now + 140), "not valid now"),
        (signed(server, client, iat=str(now)), "iat"),
        (signed(server, client, key=rsa_key, alg="RS256"), "signature"),
        (signed(server, client, key=None, alg="none"), "signature"),
        (signed(server, client, key=bytes.fromhex(KEY)), "signature"),
        (unknown_kid, "kid"),
        (signed(server, client, ctx={"nested": {"a": 1}}), "ctx"),
        (signed(server, client, ctx={"list": [1]}), "ctx"),
        (signed(server, client, ctx="text"), "ctx"),
        (signed(server, client, ctx={"long": "x" * 8_200}), "ctx"),
        ("not a token", "JWT"),
    ):
        status, message = await put(client, token)
        assert (status, named in message) == (401, True), message
    assert (await put(client, "x" * 16_385))[0] == 413
    assert (await put(client, 7))[0] == 400
    assert (await put(client, signed(server, client), bearer="nobody"))[0] == 401
    await client.send("REQUEST_POLY_AGENT_JOIN")
    await client.expect("POLY_AGENT_MESSAGE")
    assert dict(server.engine.turns[0].context) == {}


async def test_another_customers_token_and_an_ended_session_are_refused(
    server: MessagingServer, client: MessagingClient
) -> None:
    token = signed(server, client)
    async with MessagingClient(server.url, auto_join=False) as other:
        await other.start()
        assert (await put(client, token, bearer=other.access_token))[0] == 401
        assert (await put(other, token))[0] == 401
    await client.end()
    await client.expect_close()
    assert (await put(client, token))[0] == 404
