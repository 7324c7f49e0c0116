"""What `warmline doctor` finds about the public address and its certificate (webex-byoc.md §3, §11)."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from support.tls import Authority
from warmline.cli.public_address import public_address
from warmline.config import Settings
from warmline.ports import Finding, Level
from warmline.testing.server import free_port

Handler = Callable[[web.Request], Awaitable[web.Response]]


async def warmline(request: web.Request) -> web.Response:
    """What a server of ours answers."""
    if request.path == "/healthz":
        return web.json_response({"status": "alive"})
    return web.json_response({"error": "unknown_connection"}, status=404)


@asynccontextmanager
async def site(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """An address at which `handler` answers everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def found(settings: Settings, url: str, trust: ssl.SSLContext | None = None) -> list[Finding]:
    async with aiohttp.ClientSession() as http:
        return await public_address(http, replace(settings, public_url=url), trust)


async def test_an_address_that_takes_webhooks_is_fine(settings: Settings) -> None:
    async with site(warmline) as url:
        [only] = await found(settings, url)
    assert (only.level, only.text) == (Level.OK, f"{url} answers, and takes webhooks, seen from this machine.")


async def test_nobody_a_redirect_and_somebody_else(settings: Settings) -> None:
    [only] = await found(settings, f"http://localhost:{free_port()}")
    assert only.level is Level.WARN
    assert "cannot be reached from this machine (ClientConnectorError)" in only.text

    async def leading_away(request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": "https://elsewhere.lumen.io/"})

    async with site(leading_away) as url:
        [only] = await found(settings, url)
    assert (only.level, "redirects (HTTP 301)" in only.text) == (Level.FAIL, True)
    assert "WARMLINE_PUBLIC_URL" in only.remedy

    async def welcoming(request: web.Request) -> web.Response:
        return web.Response(text="Welcome to nginx")

    async with site(welcoming) as url:
        [only] = await found(settings, url)
    assert (only.level, "not as Warmline (HTTP 200)" in only.text) == (Level.FAIL, True)


@pytest.mark.parametrize("status", [404, 405, 502])
async def test_a_proxy_that_keeps_webhooks_to_itself(settings: Settings, status: int) -> None:
    async def partly(request: web.Request) -> web.Response:
        return await warmline(request) if request.path == "/healthz" else web.Response(status=status, text="no")

    async with site(partly) as url:
        [only] = await found(settings, url)
    assert only.level is Level.FAIL
    assert f"webhooks do not get through (HTTP {status}" in only.text
    assert "/hooks/" in only.remedy


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://chat.lumen.io", "must be https"),
        ("https://chat.lumen.io:8443", "443"),
        ("https://10.0.0.5", "name"),
        ("https://localhost", "public domain name"),
    ],
)
async def test_an_address_that_contact_centres_refuse(settings: Settings, url: str, text: str) -> None:
    [only] = await found(replace(settings, relaxed=False), url)
    assert only.level is Level.FAIL
    assert text in only.text


@pytest.mark.parametrize(
    ("days", "level", "text"), [(90, Level.OK, "Expires in 89 days"), (5, Level.WARN, "Expires in 4 days")]
)
async def test_the_certificates_date_is_told(
    settings: Settings, tmp_path: Path, days: int, level: Level, text: str
) -> None:
    authority = Authority(tmp_path)
    async with site(warmline, authority.server(days)) as url:
        address, certificate = await found(settings, url, authority.trust)
    assert address.level is Level.OK
    assert (certificate.subject, certificate.level) == ("certificate", level)
    assert text in certificate.text


@pytest.mark.parametrize(
    ("days", "host", "known", "why"),
    [
        (-1, "localhost", True, "certificate has expired"),
        (90, "elsewhere.lumen.io", True, "Hostname mismatch"),
        (90, "localhost", False, "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_nobody_accepts_is_explained(
    settings: Settings, tmp_path: Path, days: int, host: str, known: bool, why: str
) -> None:
    authority = Authority(tmp_path)
    async with site(warmline, authority.server(days, host)) as url:
        [only] = await found(settings, url, authority.trust if known else None)
    assert only.level is Level.FAIL
    assert "is not accepted" in only.text
    assert why in only.text
    assert "its whole chain" in only.remedy
