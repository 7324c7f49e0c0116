"""The phone page: a customer's phone in the browser, kept up to date over a WebSocket."""

import asyncio
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from warmline.emulators.sms.carrier import Carrier
from warmline.emulators.sms.control import is_foreign
from warmline.emulators.sms.model import view

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
)
_STATIC = files("warmline.emulators.sms") / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class PhonePages:
    """Serves the page and tells open pages what changes."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._pages: dict[web.WebSocketResponse, tuple[str, asyncio.Event]] = {}
        carrier.listeners.append(self._changed)

    def routes(self) -> list[web.RouteDef]:
        """What to add to the emulator's router."""
        return [
            web.get("/phone", self._redirect),
            web.get("/phone/ws", self._socket),
            web.get("/phone/media/{message}/{media}", self._media),
            web.get("/phone/{name:[a-z.]*}", self._static),
        ]

    async def close(self, _: web.Application) -> None:
        """Close the sockets of all pages; they come back when there is something to come back to."""
        await asyncio.gather(*(socket.close(code=WSCloseCode.SERVICE_RESTART) for socket in list(self._pages)))

    async def _redirect(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/phone/")

    async def _static(self, request: web.Request) -> web.Response:
        file = _STATIC / (request.match_info["name"] or "index.html")
        if not file.is_file():
            raise web.HTTPNotFound
        return web.Response(
            body=file.read_bytes(),
            content_type=_TYPES[PurePath(file.name).suffix],
            charset="utf-8",
            headers={**_HEADERS, "Content-Security-Policy": _CSP},
        )

    async def _media(self, request: web.Request) -> web.Response:
        message = self._carrier.world.messages.get(request.match_info["message"])
        for item in message.media if message else ():
            if item.sid == request.match_info["media"]:
                headers = {**_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
                return web.Response(body=item.content, content_type=item.mime_type, headers=headers)
        raise web.HTTPNotFound

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if is_foreign(request):
            raise web.HTTPForbidden
        socket = web.WebSocketResponse(heartbeat=20.0, compress=False)
        await socket.prepare(request)
        phone = request.query.get("phone") or next(iter(self._carrier.world.phones))
        news = asyncio.Event()
        news.set()
        self._pages[socket] = (phone, news)
        sender = asyncio.create_task(self._send(socket, phone, news))
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            del self._pages[socket]
            sender.cancel()
        return socket

    async def _send(self, socket: web.WebSocketResponse, phone: str, news: asyncio.Event) -> None:
        while not socket.closed:
            await news.wait()
            news.clear()
            await socket.send_str(msgspec.json.encode(self._snapshot(phone)).decode())

    def _snapshot(self, phone: str) -> dict[str, Any]:
        world = self._carrier.world
        return {
            "phone": phone,
            "phones": self._carrier.phones(),
            "numbers": [spec.number for spec in world.settings.numbers],
            "messages": [view(message) for message in world.of_phone(phone)],
        }

    def _changed(self, phone: str) -> None:
        for watched, news in self._pages.values():
            if watched == phone:
                news.set()
