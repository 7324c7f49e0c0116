"""Opening `/ws` (messaging-protocol.md §3.1, §3.2)."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from prometheus_client import Gauge

from warmline.channels.messaging.deps import MessagingDeps
from warmline.channels.messaging.feed import TRY_AGAIN, Feed, Hub
from warmline.channels.messaging.open_sockets import OpenSockets
from warmline.channels.messaging.outgoing import BytesWebSocket
from warmline.channels.messaging.socket import RESTART, Socket
from warmline.channels.messaging.tokens import AccessTokens, InvalidToken
from warmline.domain.errors import WarmlineError
from warmline.web.cors import open_to_pages
from warmline.web.errors import error_response

_log = structlog.get_logger(__name__)

_FAREWELL_S = 2.0
"""Seconds that clients have to close their side when the server stops."""
_CURSOR = re.compile(r"(?:seq:)?([0-9]{1,15})")


def parse_cursor(cursor: str | None) -> int:
    """`12` or `seq:12`; everything else means from the beginning and never rejects (§3.2)."""
    if cursor is None:
        return 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        _log.warning("messaging.bad_cursor")
        return 0
    return int(match.group(1))


class Sockets:
    """All sockets of this node; `open` is the handler of `/ws`."""

    def __init__(self, deps: MessagingDeps, tokens: AccessTokens) -> None:
        self._deps = deps
        self._tokens = tokens
        self._hub = Hub(deps)
        self._open: OpenSockets[Socket] = OpenSockets(deps.limits.ping_s)
        self._stopping = False
        Gauge(
            "warmline_sockets",
            "WebSockets of customers that are open on this node. When it is high: memory, at about 25 kB each, and the "
            "limit of open files; add a node.",
            registry=deps.registry,
        ).set_function(lambda: len(self._open))
        self._all_closed = asyncio.Event()

    async def open(self, request: web.Request) -> web.StreamResponse:
        """Check, upgrade, serve. A refusal is an HTTP answer that pages can read; trouble of ours never is one."""
        query = _query(request)
        session_id = query.get("session_id", "")
        token = query.get("access_token") or query.get("auth_token") or ""
        if not session_id or not token:
            return _refuse(400, "invalid connection parameters")
        try:
            claims = self._tokens.verify(token)
        except InvalidToken:
            return _refuse(401, "authentication failed")
        feed, cursor = self._hub.enter(session_id), parse_cursor(query.get("cursor"))
        del query, session_id, token  # thousands of handlers stand below for as long as their sockets are open
        try:
            admitted = await self._admit(request, feed, claims.subject, cursor)
            return await self._serve(request, admitted) if isinstance(admitted, Socket) else admitted
        finally:
            self._hub.leave(feed)

    async def _admit(self, request: web.Request, feed: Feed, subject: str, cursor: int) -> Socket | web.StreamResponse:
        """The socket if it may be opened, else the answer to the request."""
        try:
            stored = await self._deps.conversations.session(feed.session_id)
        except WarmlineError as error:
            _log.warning("messaging.handshake_failed", session_id=feed.session_id, code=error.code)
            return await self._turn_away(request, TRY_AGAIN)
        if stored is None or stored.session.ended:
            return _refuse(404, "session not found")
        if stored.info.subject != subject:
            return _refuse(401, "authentication failed")
        if feed.places > self._deps.limits.sockets:
            return _refuse(429, "connection limit exceeded for session", {"Retry-After": "5"})
        if self._stopping:
            return await self._turn_away(request, RESTART)
        last = stored.session.last_sequence
        feed.begin(last, with_human=stored.session.active_handoff is not None)
        ws = self._response()
        if not ws.can_prepare(request).ok:
            return _refuse(426, "websocket upgrade required", {"Upgrade": "websocket"})
        return Socket(
            request,
            ws,
            feed,
            self._deps,
            cursor=min(cursor, last),
            info=stored.info,
            joined=stored.session.joined,
        )

    async def _serve(self, request: web.Request, socket: Socket) -> web.StreamResponse:
        self._open.add(socket)
        try:
            await socket.ws.prepare(request)
            await socket.serve()
        except ConnectionError:
            return _refuse(400, "connection lost")  # in the middle of the handshake: nobody reads it
        finally:
            socket.forget()
            self._open.discard(socket)
            if not self._open:
                self._all_closed.set()
        return socket.ws

    async def _turn_away(self, request: web.Request, code: int) -> web.StreamResponse:
        """Upgrade, then close: any HTTP answer would make clients throw the session away (§3.7)."""
        ws = self._response()
        if not ws.can_prepare(request).ok:
            return _refuse(503, "try again later", {"Retry-After": "5"})
        await ws.prepare(request)
        await ws.close(code=code)
        return ws

    def _response(self) -> BytesWebSocket:
        return web.WebSocketResponse(
            compress=False,
            autoping=False,
            max_msg_size=self._deps.limits.frame_bytes,
            decode_text=False,
        )

    async def stop(self, _: web.Application) -> None:
        """Close every socket so that its client comes back later (graceful restart, W19), and wait for it a little."""
        self._stopping = True
        await self._open.stop()
        for socket in self._open:
            socket.outgoing.finish(RESTART)
        if self._open:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._all_closed.wait()


def _query(request: web.Request) -> Mapping[str, str]:
    """The first value of each parameter. What `request.query` makes would stay as long as the socket is open."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True):
        query.setdefault(name, value)
    return query


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    response = error_response(status, message, headers)
    open_to_pages(response)
    return response
