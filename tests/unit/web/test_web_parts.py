"""What every HTTP surface shares."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from warmline.testing import ManualClock, SequentialIds
from warmline.web.limits import RateLimit, RateLimiter, retry_after
from warmline.web.middleware import CORRELATION, DATA_POLICY, PAGE_POLICY, install
from warmline.web.requests import counted_address


async def test_rate_limit_allows_a_burst_and_then_the_average() -> None:
    clock = ManualClock()
    limiter = RateLimiter(RateLimit(count=3, seconds=6), clock)
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a") == pytest.approx(2)
    assert limiter.take("b") == 0
    await clock.advance(2)
    assert limiter.take("a") == 0
    assert limiter.take("a") == pytest.approx(2)
    await clock.advance(100)
    assert [limiter.take("a") > 0 for _ in range(4)] == [False, False, False, True]


async def test_rate_limit_forgets_keys_that_are_idle() -> None:
    clock = ManualClock()
    limiter = RateLimiter(RateLimit(count=1, seconds=1), clock)
    for number in range(30_000):
        limiter.take(str(number))
        if number % 5_000 == 0:
            await clock.advance(2)
    assert len(limiter._due) < 15_001


@pytest.mark.parametrize(("seconds", "value"), [(0.01, "1"), (1.2, "2"), (29.5, "30"), (500.0, "30")])
def test_retry_after(seconds: float, value: str) -> None:
    assert retry_after(seconds) == value


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "address"),
    [
        ("192.0.2.1", "", 0, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", 0, "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", 1, "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7", 1, "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2", 2, "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7", 3, "198.51.100.7"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("2001:db8::1", "", 0, "2001:db8::/64"),
        ("2001:db8::ffff:1", "", 0, "2001:db8::/64"),
        ("::ffff:192.0.2.1", "", 0, "192.0.2.1"),
        ("unix", "", 0, "unix"),
    ],
)
def test_counted_address(remote: str, forwarded: str, proxies: int, address: str) -> None:
    assert counted_address(remote, [forwarded] if forwarded else [], proxies) == address


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<p>hi</p>", content_type="text/html")

    async def own_policy(_: web.Request) -> web.Response:
        return web.Response(headers={"Content-Security-Policy": "default-src 'self'"})

    async def broken(_: web.Request) -> web.Response:
        raise ValueError("card 4111 1111 1111 1111")

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/page")

    app = web.Application()
    install(app, SequentialIds())
    app.router.add_get("/page", page)
    app.router.add_get("/own", own_policy)
    app.router.add_get("/broken", broken)
    app.router.add_get("/moved", moved)
    async with TestClient(TestServer(app)) as running:
        yield running


async def test_policies(client: TestClient[web.Request, web.Application]) -> None:
    for path, policy in (("/page", PAGE_POLICY), ("/own", "default-src 'self'"), ("/nothing", DATA_POLICY)):
        response = await client.get(path)
        assert response.headers["Content-Security-Policy"] == policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert len(response.headers[CORRELATION]) == 36


async def test_a_broken_handler_tells_nothing(client: TestClient[web.Request, web.Application]) -> None:
    response = await client.get("/broken", headers={CORRELATION: "mine-1"})
    assert response.status == 500
    assert await response.json() == {"error": "UNKNOWN_ERROR", "message": "UNKNOWN_ERROR"}
    assert response.headers[CORRELATION] == "mine-1"


async def test_redirects_stay_redirects(client: TestClient[web.Request, web.Application]) -> None:
    response = await client.get("/moved", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "/page")
    assert response.headers[CORRELATION]
