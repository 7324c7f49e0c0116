"""The embed script and the widget's modules over real HTTP (checks V6 and V14 of messaging-protocol.md §20)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from support.server import CONNECTOR, MessagingServer, messaging_server
from warmline import widget
from warmline.testing import ManualClock

SCRIPT = f"/widget/{CONNECTOR.token}.js"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as running:
        yield running


@pytest.fixture
async def http(server: MessagingServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def test_V6_embed_script(http: aiohttp.ClientSession) -> None:
    async with http.get(SCRIPT, headers={"Origin": "https://example.com"}) as response:
        assert response.status == 200
        assert response.content_type == "text/javascript"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Cache-Control"] == "public, max-age=60"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        script = await response.text()
    assert widget.VERSION in script
    assert CONNECTOR.token in script
    assert "Lumi" in script


@pytest.mark.parametrize("path", ["/widget/nobody.js", "/widget/.js", "/widget/", "/widget/assets/"])
async def test_V6_unknown_code(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as response:
        assert response.status == 404
        assert "error" in await response.json()


async def test_V14_a_changed_configuration_shows_at_the_next_load(
    server: MessagingServer, http: aiohttp.ClientSession
) -> None:
    async with http.get(SCRIPT) as response:
        etag = response.headers["ETag"]
    async with http.get(SCRIPT, headers={"If-None-Match": f'"other", {etag}'}) as response:
        assert response.status == 304
        assert await response.read() == b""
    settings = {"widget": {"welcome_message": "Good evening", "agent_name": "Luma"}}
    await server.store.save_connector(replace(CONNECTOR, settings=settings))
    assert isinstance(server.clock, ManualClock)
    await server.clock.advance(5)
    async with http.get(SCRIPT, headers={"If-None-Match": etag}) as response:
        assert response.status == 200
        script = await response.text()
    assert "Good evening" in script
    assert "Luma" in script


async def test_a_wrong_configuration_is_an_error_of_ours(server: MessagingServer, http: aiohttp.ClientSession) -> None:
    await server.store.save_connector(replace(CONNECTOR, settings={"widget": {"color": "reddish"}}))
    async with http.get(SCRIPT) as response:
        assert response.status == 500
        assert "reddish" not in await response.text()


async def test_assets_of_this_version_may_be_kept_for_ever(http: aiohttp.ClientSession) -> None:
    assert widget.ASSETS
    for name, body in widget.ASSETS.items():
        async with http.get(f"/widget/assets/{widget.VERSION}/{name}") as response:
            assert response.status == 200
            assert await response.read() == body
            assert response.content_type == "text/javascript"
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_page_from_before_an_upgrade_gets_what_there_is(http: aiohttp.ClientSession) -> None:
    async with http.get("/widget/assets/0123456789abcdef/widget.js") as response:
        assert response.status == 200
        assert await response.read() == widget.ASSETS["widget.js"]
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["other/nothing.js", f"{widget.VERSION}/nothing.js", f"{widget.VERSION}/../embed.js"])
async def test_other_assets_are_not_found(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(f"/widget/assets/{path}") as response:
        assert response.status == 404


async def test_preflight_of_assets(http: aiohttp.ClientSession) -> None:
    async with http.options(f"/widget/assets/{widget.VERSION}/widget.js") as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Methods"] == "GET, OPTIONS"
