"""A small HTTP server that answers as it is told and remembers what it was asked."""

import asyncio
import contextlib
import json
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from warmline.testing.messaging_client import PATIENCE_S


@dataclass(slots=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Reply:
    """An answer to give. `cut` closes the connection instead, after the request was read."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False


class ScriptedServer:
    """Answers `METHOD /path` with the replies lined up for it, then with its standing one, else with 200 {}."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._lined_up: dict[str, deque[Reply]] = defaultdict(deque)
        self._standing: dict[str, Callable[[Asked], Reply]] = {}
        self._news = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def line_up(self, route: str, *replies: Reply) -> None:
        """Give these answers to `route` ("POST /v2/tasks"), one after the other."""
        self._lined_up[route].extend(replies)

    def always(self, route: str, answer: Reply | Callable[[Asked], Reply]) -> None:
        """Give this answer to `route` when nothing is lined up."""
        self._standing[route] = answer if callable(answer) else lambda _: answer

    def requests(self, route: str) -> list[Asked]:
        """What `route` was asked."""
        return [asked for asked in self.asked if f"{asked.method} {asked.path}" == route]

    async def until(self, condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        """Wait until the condition holds; it is looked at after every request. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.01)

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.method, request.path, request.query_string, headers, body)
        self.asked.append(asked)
        self._news.set()
        route = f"{request.method} {request.path}"
        if self._lined_up[route]:
            reply = self._lined_up[route].popleft()
        else:
            reply = self._standing.get(route, lambda _: Reply())(asked)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.cut and request.transport is not None:
            request.transport.abort()
        if isinstance(reply.body, bytes):
            return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        return web.json_response(reply.body, status=reply.status, headers=reply.headers)
