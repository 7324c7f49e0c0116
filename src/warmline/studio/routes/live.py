"""Server-sent events (WHATWG HTML, §9.2) for the parts of pages that follow what happens."""

import asyncio
import contextlib

from aiohttp import web

from warmline.domain.errors import StoreUnavailable
from warmline.studio.access.sign_in import SignIns, Visitor
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.hints import Ear, Hints
from warmline.studio.pages import PROJECT, VISITOR

_MOST = 500
"""Pages that are open at once on a node."""
_MOST_EACH = 20
"""Pages that are open at once of one sign-in."""
_GAP_S = 1.0
"""Between two hints to a page."""
_PULSES_S = {"conversations": 15, "conversation": 10, "state": 5}
"""By what a page is about: after how many seconds without a hint it looks all the same. No hints tell of attempts,
waiting and trouble; and a page that hears nothing for much longer knows that the connection is dead."""


class Live:
    """One stream for each open page. It says that something changed, never what."""

    def __init__(self, deps: StudioDeps, sign_ins: SignIns, hints: Hints) -> None:
        self._deps = deps
        self._sign_ins = sign_ins
        self._hints = hints

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/live", self.stream)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Tell of changes until the page, the sign-in or the server goes; `about` is a key of `_PULSES_S`."""
        about = request.query.get("about", "")
        visitor = request[VISITOR]
        ear = Ear(sign_in_id=visitor.sign_in.id)
        match about:
            case "conversations":
                ear.project_id = request[PROJECT]
            case "conversation":
                ear.session_id = await self._session(request)
            case "state":
                pass
            case _:
                raise web.HTTPNotFound
        if self._hints.count() >= _MOST or self._hints.count(visitor.sign_in.id) >= _MOST_EACH:
            raise web.HTTPTooManyRequests
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        with self._hints.listening(ear), contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            await self._tell(request, response, ear, visitor, _PULSES_S[about])
        return response

    async def _session(self, request: web.Request) -> str:
        stored = await self._deps.store.session(request.query.get("session", ""))
        if stored is None or not request[VISITOR].user.sees(stored.info.project_id):
            raise web.HTTPNotFound
        return stored.session.id

    async def _tell(
        self, request: web.Request, response: web.StreamResponse, ear: Ear, visitor: Visitor, pulse_s: int
    ) -> None:
        while await self._may_go_on(request, visitor):
            await _news(request, ear, pulse_s)
            if self._hints.closed or _left(request):
                return
            await response.write(b"event: changed\ndata:\n\n")
            await asyncio.sleep(_GAP_S)

    async def _may_go_on(self, request: web.Request, before: Visitor) -> bool:
        """Whether the visitor is still signed in, with the same rights; a new stream asks for changed ones."""
        if self._hints.closed or _left(request):
            return False
        try:
            now = await self._sign_ins.visitor(request)
        except StoreUnavailable:
            return True
        return now is not None and now.user == before.user


async def _news(request: web.Request, ear: Ear, seconds: int) -> None:
    """Wait for a hint, no longer than so; a page that is left is noticed within a second."""
    for _ in range(seconds):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await ear.news.wait()
        if ear.news.is_set() or _left(request):
            break
    ear.news.clear()


def _left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
