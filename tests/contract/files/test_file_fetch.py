"""Fetching what somebody else's address points at, against a real server (webex-byoc.md §13.2, A-28)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from warmline.files import Fetcher, FetchFailed
from warmline.files.fetch import is_public
from warmline.testing.messaging_client import PATIENCE_S


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server with files that are as they should be, and files that are not."""

    async def plain(request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        return web.Response(body=b"hello", content_type="text/plain")

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        with_room = True
        while with_room:
            try:
                await response.write(b"x" * 65536)
            except ConnectionError:
                with_room = False
        return response

    async def hop(request: web.Request) -> web.Response:
        left = int(request.match_info["left"])
        return web.Response(status=302, headers={"Location": f"/hop/{left - 1}" if left > 1 else "/plain"})

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response(body=b"late")

    async def empty(_: web.Request) -> web.Response:
        return web.Response(body=b"")

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "ftp://127.0.0.1/x"})

    async def packed(request: web.Request) -> web.Response:
        return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})

    app = web.Application()
    for path, handler in {
        "/plain": plain, "/endless": endless, "/hop/{left}": hop, "/slow": slow, "/empty": empty,
        "/elsewhere": elsewhere, "/packed": packed,
    }.items():  # fmt: skip
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def relaxed() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(relaxed=True, timeout_s=PATIENCE_S, max_bytes=200_000)
    yield fetcher
    await fetcher.close()


@pytest.fixture
async def hasty() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(relaxed=True, timeout_s=0.5)
    yield fetcher
    await fetcher.close()


@pytest.fixture
async def strict() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(timeout_s=2)
    yield fetcher
    await fetcher.close()


async def test_a_file_is_fetched_with_its_type_over_three_redirects(relaxed: Fetcher, url: str) -> None:
    for path in ("/plain", "/hop/1", "/hop/3"):
        fetched = await relaxed.fetch(url + path)
        assert (fetched.content, fetched.mime_type) == (b"hello", "text/plain")


@pytest.mark.parametrize(
    ("path", "code", "retryable"),
    [
        ("/endless", "too_large", False),
        ("/hop/4", "too_many_redirects", False),
        ("/elsewhere", "bad_address", False),
        ("/slow", "too_slow", True),
        ("/empty", "empty", True),
        ("/packed", "encoded", False),
        ("/missing", "http_404", True),
    ],
)
async def test_A28_what_is_not_as_it_should_be_is_given_up(
    relaxed: Fetcher, hasty: Fetcher, url: str, path: str, code: str, retryable: bool
) -> None:
    with pytest.raises(FetchFailed) as failed:
        await (hasty if code == "too_slow" else relaxed).fetch(url + path)
    assert (failed.value.code, failed.value.retryable) == (code, retryable)
    assert "127.0.0.1" not in str(failed.value)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://example.com/a.png", "bad_address"),
        ("https://user:pw@example.com/a.png", "bad_address"),
        ("file:///etc/passwd", "bad_address"),
        ("https:///a.png", "bad_address"),
        ("nonsense", "bad_address"),
        ("https://[broken", "bad_address"),
        ("https://127.0.0.1/a.png", "private_address"),
        ("https://10.1.2.3/a.png", "private_address"),
        ("https://169.254.169.254/latest/meta-data", "private_address"),
        ("https://[::1]/a.png", "private_address"),
        ("https://[::ffff:10.0.0.1]/a.png", "private_address"),
        ("https://localhost/a.png", "private_address"),
    ],
)
async def test_A28_private_addresses_and_odd_schemes_are_refused(strict: Fetcher, address: str, code: str) -> None:
    with pytest.raises(FetchFailed) as failed:
        await strict.fetch(address)
    assert (failed.value.code, failed.value.retryable) == (code, False)


@pytest.mark.parametrize("address", ["2130706433", "0x7f000001", "127.1", "0"])
async def test_A28_other_spellings_of_a_private_address_lead_nowhere_either(strict: Fetcher, address: str) -> None:
    with pytest.raises(FetchFailed):
        await strict.fetch(f"https://{address}/a.png")


def test_only_the_internets_addresses_are_public() -> None:
    assert all(map(is_public, ("1.1.1.1", "2606:4700::1111")))
    inside = ("192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "fc00::1", "fe80::1%eth0", "::", "x")
    assert not any(map(is_public, (*inside, "2002:0a00:0001::1", "::ffff:127.0.0.1")))
