"""Checks R1 to R21 of messaging-protocol.md §20, over real HTTP."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from support.faulty import FaultyStore
from support.server import CONNECTOR, JWT_SECRET, MessagingServer, messaging_server
from warmline.channels.messaging import MessagingLimits
from warmline.testing import ManualClock
from warmline.testing.messaging_client import MessagingClient
from warmline.web.hosts import host_matches
from warmline.web.limits import RateLimit

GOOD = {"X-Token": CONNECTOR.token, "X-Host": "localhost"}
CONNECTORS = (
    CONNECTOR,
    replace(CONNECTOR, id="shop", token="shop-token", host="https://Example.com/"),
    replace(CONNECTOR, id="app", token="app-token", host="com.example.app"),
    replace(CONNECTOR, id="hostless", token="hostless-token", host=""),
)


class Api:
    """The two REST calls, bare."""

    def __init__(self, server: MessagingServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http

    async def post(
        self, path: str, headers: dict[str, str] | None = None, data: bytes | None = b"{}"
    ) -> tuple[int, Any, dict[str, str]]:
        async with self.http.post(self.server.url + path, headers=headers, data=data) as response:
            return response.status, json.loads(await response.read()), dict(response.headers)

    async def token(self, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return (await self.post("/api/v1/access-token", GOOD if headers is None else headers))[:2]

    async def session(self, authorization: str | None, data: bytes | None = b"{}") -> tuple[int, Any]:
        headers = {} if authorization is None else {"Authorization": authorization}
        return (await self.post("/api/v1/sessions", headers, data))[:2]

    async def bearer(self) -> str:
        return f"Bearer {(await self.token())[1]['access_token']}"

    async def info(self, session_id: str) -> Any:
        stored = await self.server.conversations.session(session_id)
        assert stored is not None
        return stored


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with messaging_server(tmp_path, connectors=CONNECTORS) as server, aiohttp.ClientSession() as http:
        yield Api(server, http)


def error(text: str) -> dict[str, str]:
    return {"error": text, "message": text}


async def test_R1_access_token(api: Api) -> None:
    status, body = await api.token()
    assert status == 200
    assert body == {"access_token": body["access_token"], "expires_in": 86400, "token_type": "Bearer"}
    for data in (b"", b"not json", b"[]"):
        assert (await api.post("/api/v1/access-token", GOOD, data))[0] == 200


async def test_R2_R3_token_is_a_jwt_with_a_numeric_exp(api: Api) -> None:
    now = api.server.clock.now() / 1000
    parts = (await api.token())[1]["access_token"].split(".")
    assert len(parts) == 3
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    assert set(claims) == {"sub", "cid", "iat", "exp", "jti"}
    assert abs(claims["exp"] - now - 86400) < 5
    assert len(".".join(parts)) < 1024


async def test_R4_tokens_and_identities_are_fresh(api: Api) -> None:
    tokens = [(await api.token())[1]["access_token"] for _ in range(2)]
    subjects = {jwt.decode(token, JWT_SECRET, algorithms=["HS256"])["sub"] for token in tokens}
    assert len(set(tokens)) == len(subjects) == 2


@pytest.mark.parametrize(
    "headers",
    [{"X-Host": "localhost"}, {"X-Token": CONNECTOR.token}, GOOD | {"X-Host": ""}, GOOD | {"X-Host": "  "}, {}],
)
async def test_R5_missing_headers(api: Api, headers: dict[str, str]) -> None:
    assert await api.token(headers) == (401, error("Missing authentication headers"))


async def test_R6_unknown_connector_token(api: Api) -> None:
    assert await api.token(GOOD | {"X-Token": "nobody"}) == (401, error("Connector token does not exist"))


@pytest.mark.parametrize("host", ["example.org", "notexample.com", "example.com.evil.org", "null", "file:///x"])
async def test_R7_other_host(api: Api, host: str) -> None:
    assert await api.token({"X-Token": "shop-token", "X-Host": host}) == (401, error("Failed to validate connector"))


@pytest.mark.parametrize(
    "host",
    ["example.com", "https://example.com/", "HTTPS://WWW.Example.COM:8443/shop?x=1", "a.b.example.com", "example.com."],
)
async def test_R8_same_host_however_it_is_written(api: Api, host: str) -> None:
    assert (await api.token({"X-Token": "shop-token", "X-Host": host}))[0] == 200


async def test_R8_app_ids_must_be_equal(api: Api) -> None:
    assert (await api.token({"X-Token": "app-token", "X-Host": "com.example.App"}))[0] == 200
    assert (await api.token({"X-Token": "app-token", "X-Host": "evil.com.example.app"}))[0] == 401
    assert not host_matches("", "")
    assert not host_matches("", "example.com")


async def test_R9_connector_without_host(api: Api) -> None:
    headers = {"X-Token": "hostless-token", "X-Host": "localhost"}
    assert await api.token(headers) == (401, error("Connector missing host domain"))


async def test_R10_every_error_is_the_envelope(api: Api) -> None:
    for path in ("/api/v1/access-token", "/api/v1/sessions", "/api/v1/nothing"):
        status, body, headers = await api.post(path, {})
        assert status >= 400
        assert isinstance(body["error"], str)
        assert body["message"] == body["error"] != ""
        assert headers["Content-Type"].startswith("application/json")
    async with api.http.get(api.server.url + "/api/v1/sessions") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "OPTIONS,POST"
        assert await response.json() == error("Method Not Allowed")


async def test_R11_correlation_id(api: Api) -> None:
    mine = str(uuid.uuid4())
    for path, headers in (("/api/v1/access-token", GOOD), ("/api/v1/sessions", {}), ("/nowhere", {})):
        answered = (await api.post(path, headers | {"x-polyai-correlation-id": mine}))[2]
        assert answered["X-PolyAI-Correlation-Id"] == mine
        minted = (await api.post(path, headers))[2]["X-PolyAI-Correlation-Id"]
        assert str(uuid.UUID(minted)) == minted
    strange = (await api.post("/nowhere", {"X-Polyai-Correlation-Id": "x" * 500}))[2]
    assert len(strange["X-PolyAI-Correlation-Id"]) == 36


@pytest.mark.parametrize("path", ["/api/v1/access-token", "/api/v1/sessions"])
async def test_R12_preflight(api: Api, path: str) -> None:
    asked = {
        "Origin": "null",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-token,x-host,content-type,authorization,accept,x-polyai-correlation-id",
    }
    async with api.http.options(api.server.url + path, headers=asked) as response:
        assert response.status == 204
        headers = response.headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    allowed = {name.strip().lower() for name in headers["Access-Control-Allow-Headers"].split(",")}
    assert set(asked["Access-Control-Request-Headers"].split(",")) <= allowed
    assert headers["Access-Control-Allow-Methods"] == "POST, OPTIONS"
    answered = (await api.post(path, {"Origin": "https://example.com"}))[2]
    assert answered["Access-Control-Allow-Origin"] == "*"
    assert answered["Access-Control-Expose-Headers"] == "X-PolyAI-Correlation-Id, Retry-After"


async def test_R13_session_without_a_body_does_not_stream(api: Api) -> None:
    status, body = await api.session(await api.bearer(), None)
    assert status == 200
    stored = await api.info(body["session_id"])
    assert stored.session.streaming is False
    assert stored.info.platform == "web"


async def test_R14_session_with_wishes(api: Api) -> None:
    wishes = b'{"streaming_enabled":true,"platform":"ios","device_type":"tablet","language":"de-DE"}'
    status, body = await api.session(await api.bearer(), wishes)
    assert status == 200
    assert str(uuid.UUID(body["session_id"])) == body["session_id"]
    stored = await api.info(body["session_id"])
    assert stored.session.streaming is True
    info = stored.info
    assert (info.platform, info.device_type, info.language) == ("ios", "tablet", "de-DE")
    assert (info.project_id, info.connector_id) == ("lumen-energy", "connector-1")


@pytest.mark.parametrize(
    "wishes",
    [b'{"extra":[1]}', b'{"platform":"fridge","device_type":7,"language":"<b>"}', b'{"streaming_enabled":"yes"}'],
)
async def test_R15_unknown_keys_and_values_are_ignored(api: Api, wishes: bytes) -> None:
    status, body = await api.session(await api.bearer(), wishes)
    assert status == 200
    stored = await api.info(body["session_id"])
    assert stored.session.streaming is False
    assert (stored.info.platform, stored.info.device_type, stored.info.language) == ("web", "", "")


async def test_R16_no_authorization(api: Api) -> None:
    assert await api.session(None) == (400, error("Missing access token"))


@pytest.mark.parametrize("authorization", ["Basic x", "Bearer", "Bearer ", "x"])
async def test_R17_not_a_bearer(api: Api, authorization: str) -> None:
    assert await api.session(authorization) == (401, error("Missing authentication headers"))


OTHER_KEY = b"another key of 32 bytes or more."


def forged(**changes: Any) -> str:
    now = 1_700_000_000
    claims = {"sub": "s", "cid": "connector-1", "iat": now, "exp": 4_000_000_000, "jti": "j"} | changes
    return jwt.encode({key: value for key, value in claims.items() if value is not None}, JWT_SECRET, "HS256")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        forged()[:-3] + "AAA",
        forged(exp=1_700_000_000),
        forged(exp=None),
        forged(exp="4000000000"),
        forged(cid=None),
        forged(cid="deleted"),
        forged() + "x" * 5000,
        jwt.encode({"sub": "s", "cid": "connector-1", "exp": 4_000_000_000}, "", "none"),
        jwt.encode({"sub": "s", "cid": "connector-1", "exp": 4_000_000_000}, OTHER_KEY, "HS256"),
    ],
    ids=["word", "dots", "tampered", "expired", "no exp", "exp text", "no cid", "gone", "long", "none", "other key"],
)
async def test_R18_tampered_and_expired_tokens(api: Api, token: str) -> None:
    assert await api.session(f"Bearer {token}") == (401, error("Invalid access token"))


async def test_R18_a_token_expires_after_a_day(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as server, aiohttp.ClientSession() as http:
        api = Api(server, http)
        bearer = await api.bearer()
        clock.leap(86_399)
        assert (await api.session(bearer))[0] == 200
        clock.leap(1)
        assert await api.session(bearer) == (401, error("Invalid access token"))


@pytest.mark.parametrize("data", [b"{", b"[]", b"5", b'"x"', b"\xff", b"[" * 50_000])
async def test_R19_body_that_is_no_object(api: Api, data: bytes) -> None:
    assert await api.session(await api.bearer(), data) == (400, error("Error parsing request"))


async def test_R20_too_many_requests(tmp_path: Path) -> None:
    limits = MessagingLimits(requests=RateLimit(count=3, seconds=60))
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock, limits=limits) as server, aiohttp.ClientSession() as http:
        api = Api(server, http)
        assert [(await api.token())[0] for _ in range(4)] == [200, 200, 200, 429]
        status, body, headers = await api.post("/api/v1/sessions", {})
        assert (status, body) == (429, error("Too many requests"))
        assert 1 <= float(headers["Retry-After"]) <= 30
        assert headers["Access-Control-Allow-Origin"] == "*"
        await clock.advance(20)
        assert [(await api.token())[0] for _ in range(2)] == [200, 429]


async def test_R20_each_client_behind_the_proxy_is_counted_for_itself(tmp_path: Path) -> None:
    limits = MessagingLimits(requests=RateLimit(count=1, seconds=60), trusted_proxies=1)
    async with messaging_server(tmp_path, limits=limits) as server, aiohttp.ClientSession() as http:
        api = Api(server, http)
        for ip, expected in (("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.9, 192.0.2.1", 429)):
            assert (await api.token(GOOD | {"X-Forwarded-For": ip}))[0] == expected


async def test_R21_trouble_of_ours_is_a_500(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock, wrap=wrap) as server, aiohttp.ClientSession() as http:
        api = Api(server, http)
        bearer = await api.bearer()
        faulty[0].down.add("transact")
        assert await api.session(bearer) == (500, error("Failed to create session"))
        faulty[0].down.add("connectors")
        await clock.advance(6)
        assert await api.token() == (500, error("Failed to create access token"))
        faulty[0].down.clear()
        assert (await api.session(await api.bearer()))[0] == 200


async def test_oversized_bodies_are_refused(api: Api) -> None:
    big = b'{"x":"' + b"y" * 70_000 + b'"}'
    status, body, _ = await api.post("/api/v1/sessions", {"Authorization": await api.bearer()}, big)
    assert (status, body) == (413, error("Request Entity Too Large"))

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"y" * 1_000

    headers = {"Authorization": await api.bearer()}
    async with api.http.post(api.server.url + "/api/v1/sessions", headers=headers, data=chunks()) as response:
        assert response.status == 413


@pytest.mark.parametrize("path", ["//api/v1/access-token", "/api/v1/access-token/", "/api//v1//access-token//"])
async def test_doubled_and_trailing_slashes_are_tolerated(api: Api, path: str) -> None:
    assert (await api.post(path, GOOD))[0] == 200


async def test_connectors_are_at_most_five_seconds_old(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as server, aiohttp.ClientSession() as http:
        api = Api(server, http)
        assert (await api.token())[0] == 200
        await server.store.save_connector(replace(CONNECTOR, host="example.com"))
        assert (await api.token())[0] == 200
        await clock.advance(5)
        assert (await api.token())[0] == 401


async def test_client_gets_through_all_of_it(api: Api) -> None:
    async with MessagingClient(api.server.url, streaming=True) as client:
        await client.start()
        assert client.all("SESSION_START")[0].payload["capabilities"]["streaming"] is True
        assert client.violations == []
    await asyncio.sleep(0)
