"""A scriptable server of the messaging protocol (messaging-protocol.md §1 to §9) for tests of the widget.

It keeps a real journal and real sockets; a test says what the far side does: log events, cut connections, keep echoes
back, refuse a session. It also serves a website with a strict content security policy that embeds the widget.
"""

import asyncio
import base64
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from warmline import widget

TOKEN = "fake-connector-token"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_FOLDER = Path(widget.__file__).parent
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "X-Token, X-Host, Content-Type, Authorization, Accept",
    "Access-Control-Allow-Methods": "GET, POST, PUT, OPTIONS",
    "Access-Control-Expose-Headers": "Retry-After",
}
_SITE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https:; "
    "base-uri 'none'; require-trusted-types-for 'script'"
)

Event = dict[str, Any]


@dataclass
class FakeSession:
    """One conversation as the server sees it."""

    id: str
    token: str
    start: Mapping[str, Any]
    journal: list[Event] = field(default_factory=list)
    sockets: dict[web.WebSocketResponse, asyncio.Transport] = field(default_factory=dict)
    received: list[Event] = field(default_factory=list)
    cursors: list[str | None] = field(default_factory=list)
    echoes: dict[str, Event] = field(default_factory=dict)

    def event(self, type_: str, payload: Mapping[str, Any], sequence: int | None, custom: Any) -> Event:
        """A server event in the shape of §4.1; 2026-01-02T03:04:05Z is when everything happens here."""
        made: Event = {
            "id": str(uuid.uuid4()),
            "sequence": sequence,
            "timestamp": "2026-01-02T03:04:05Z",
            "type": f"EVENT_TYPE_{type_}",
            "payload": dict(payload),
        }
        return made | ({"metadata": {"custom": custom}} if custom else {})

    async def log(
        self, type_: str, payload: Mapping[str, Any] | None = None, custom: Any = None, skip: int = 0
    ) -> Event:
        """Append to the journal and send to every socket; `skip` leaves a hole of that size in the numbers."""
        last = self.journal[-1]["sequence"] if self.journal else 0
        made = self.event(type_, payload or {}, last + 1 + skip, custom)
        self.journal.append(made)
        await self.broadcast(made)
        return made

    async def lose(self, type_: str, payload: Mapping[str, Any]) -> Event:
        """Append to the journal, but send it to nobody."""
        made = self.event(type_, payload, self.journal[-1]["sequence"] + 1, None)
        self.journal.append(made)
        return made

    async def whisper(self, type_: str, payload: Mapping[str, Any] | None = None, custom: Any = None) -> None:
        """Send a transient event: no number, no replay."""
        await self.broadcast(self.event(type_, payload or {}, None, custom))

    async def broadcast(self, made: Event) -> None:
        for socket in list(self.sockets):
            await socket.send_json(made)

    async def say(self, text: str, **more: Any) -> Event:
        """The virtual agent says a whole message."""
        payload = {"message_id": str(uuid.uuid4()), "text": text, "attachments": [], "response_suggestions": []}
        return await self.log("POLY_AGENT_MESSAGE", payload | more)

    def cut(self) -> None:
        """Break every connection without a closing handshake."""
        for transport in self.sockets.values():
            transport.abort()
        self.sockets.clear()

    async def close(self, code: int) -> None:
        for socket in list(self.sockets):
            await socket.close(code=code)

    def texts(self) -> list[str]:
        """What the customer sent, repeats included."""
        return [frame["payload"]["text"] for frame in self.frames("USER_MESSAGE")]

    def said(self) -> list[str]:
        """What the customer sent, each message once, however often its echo was asked for."""
        frames = self.frames("USER_MESSAGE")
        return list({frame["metadata"]["custom"]["local_id"]: frame["payload"]["text"] for frame in frames}.values())

    def frames(self, type_: str) -> list[Event]:
        return [frame for frame in self.received if frame["type"] == f"EVENT_TYPE_{type_}"]


class FakeMessaging:
    """The server. `config` is the widget's; `attributes` go on the script tag; the rest are switches for a test."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {"token": TOKEN, "agent_name": "Lumen"}
        self.attributes = ""
        self.head = ""
        self.capabilities: dict[str, Any] = {
            "streaming": True,
            "max_message_size_bytes": 131072,
            "heartbeat_interval_seconds": 30,
            "max_reconnect_attempts": 20,
        }
        self.start_payload: dict[str, Any] = {}
        self.greeting: str | None = "Hello, how can I help?"
        self.suggestions: list[str] = []
        self.greeting_delay = 0.0
        self.echoing = True
        self.rest_status = 200
        self.rest_calls: list[tuple[str, dict[str, str], Any]] = []
        self.contexts: list[str] = []
        self.uploads: list[tuple[str, bytes]] = []
        self.upload_refusals: list[tuple[int, str]] = []
        """What the next uploads are answered with instead of being taken."""
        self.upload_gate = asyncio.Event()
        self.upload_gate.set()
        self.socket_gate = asyncio.Event()
        self.socket_gate.set()
        """While it is clear, whoever connects waits."""
        self.sessions: dict[str, FakeSession] = {}
        self.on_message: Callable[[FakeSession, str], Any] | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None

    @property
    def session(self) -> FakeSession:
        """The newest session."""
        return list(self.sessions.values())[-1]

    async def start(self, extra: Callable[[web.Application], None] | None = None) -> str:
        app = web.Application(client_max_size=2**24)
        app.router.add_get("/", self._site)
        app.router.add_get("/site.css", self._style)
        app.router.add_get("/site.js", self._script)
        app.router.add_get("/widget/{token}.js", self._embed)
        app.router.add_get("/widget/assets/{version}/{name:.+}", self._asset)
        app.router.add_static("/modules", _FOLDER)
        app.router.add_post("/api/v1/access-token", self._access_token)
        app.router.add_post("/api/v1/sessions", self._create)
        app.router.add_put("/api/v1/sessions/{id}/context", self._context)
        app.router.add_post("/api/v1/sessions/{id}/files", self._upload)
        app.router.add_get("/files/{name}", self._file)
        app.router.add_get("/ws", self._socket)
        app.router.add_route("OPTIONS", "/{path:.*}", self._preflight)
        if extra:
            extra(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://localhost:{port}/"
        return self.url

    async def stop(self) -> None:
        self.socket_gate.set()
        for session in self.sessions.values():
            session.cut()
        if self._runner:
            await self._runner.cleanup()

    async def _site(self, request: web.Request) -> web.Response:
        html = (
            "<!doctype html><html lang=en><head><meta name=viewport content='width=device-width'><title>Site</title>"
            f"<link rel=stylesheet href=/site.css>{self.head}</head>"
            "<body><main><h1>Site</h1><a href='#x'>A link</a></main>"
            f"<script src=/widget/{TOKEN}.js {self.attributes}></script><script src=/site.js></script></body></html>"
        )
        headers = {"Content-Security-Policy": _SITE_POLICY}
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def _style(self, request: web.Request) -> web.Response:
        return web.Response(text="body { font-family: sans-serif }", content_type="text/css")

    async def _script(self, request: web.Request) -> web.Response:
        text = (
            "window.membersAtOnce = Object.keys(window.WebchatAPI);"
            "const root = document.getElementById('poly-ai-chat')?.shadowRoot;"
            "window.launcherAtOnce = root?.querySelector('.launcher').checkVisibility();"
        )
        return web.Response(text=text, content_type="text/javascript")

    async def _embed(self, request: web.Request) -> web.Response:
        return web.Response(text=widget.embed_script(self.config), headers={"Content-Type": widget.CONTENT_TYPE})

    async def _asset(self, request: web.Request) -> web.Response:
        body = widget.ASSETS.get(request.match_info["name"])
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, headers={"Content-Type": widget.CONTENT_TYPE, **_CORS})

    async def _preflight(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers=_CORS)

    async def _access_token(self, request: web.Request) -> web.Response:
        self.rest_calls.append(("access-token", dict(request.headers), await request.json()))
        if self.rest_status != 200:
            return web.json_response({"message": "no"}, status=self.rest_status, headers=_CORS)
        token = f"h.{uuid.uuid4().hex}.s"
        body = {"access_token": token, "expires_in": 86400, "token_type": "Bearer"}
        return web.json_response(body, headers=_CORS)

    async def _create(self, request: web.Request) -> web.Response:
        self.rest_calls.append(("sessions", dict(request.headers), await request.json()))
        start = {"capabilities": self.capabilities, **self.start_payload}
        session = FakeSession(str(uuid.uuid4()), request.headers["Authorization"].removeprefix("Bearer "), start)
        self.sessions[session.id] = session
        await session.log("SESSION_START", start)
        return web.json_response({"session_id": session.id}, headers=_CORS)

    async def _context(self, request: web.Request) -> web.Response:
        self.contexts.append((await request.json())["token"])
        return web.Response(status=204, headers=_CORS)

    async def _upload(self, request: web.Request) -> web.Response:
        session, name = self.sessions[request.match_info["id"]], request.query["name"]
        assert request.headers["Authorization"] == f"Bearer {session.token}"
        self.uploads.append((name, await request.read()))
        await self.upload_gate.wait()
        if self.upload_refusals:
            status, message = self.upload_refusals.pop(0)
            return web.json_response({"error": message, "message": message}, status=status, headers=_CORS)
        local_id = request.query["local_id"]
        if local_id not in session.echoes:
            payload = {"text": "", "message_id": str(uuid.uuid4()), "attachments": [self.file(name)]}
            session.echoes[local_id] = await session.log("USER_MESSAGE", payload, {"local_id": local_id})
        return web.json_response({"message_id": "x"}, status=201, headers=_CORS)

    def file(self, name: str) -> dict[str, str]:
        """A file of this server as an attachment."""
        kind = "IMAGE" if name.endswith(".png") else "URL"
        return {
            "title": name,
            "content_url": f"{self.url}files/{name}",
            "content_type": f"ATTACHMENT_CONTENT_TYPE_{kind}",
        }

    async def _file(self, request: web.Request) -> web.Response:
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=PIXEL, content_type="image/png", headers=headers)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        session = self.sessions.get(request.query.get("session_id", ""))
        if session is None:
            return web.Response(status=404, text="session not found", headers=_CORS)
        if request.query.get("access_token") != session.token:
            return web.Response(status=401, text="authentication failed", headers=_CORS)
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            return web.Response(status=426, headers=_CORS)
        await self.socket_gate.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        cursor = request.query.get("cursor")
        session.cursors.append(cursor)
        replay = [made for made in session.journal if made["sequence"] > int(cursor or 0)]
        assert isinstance(request.transport, asyncio.Transport)
        session.sockets[socket] = request.transport
        await socket.send_json({"type": "EVENT_TYPE_EVENT_BATCH", "payload": {"events": replay}})
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._receive(session, socket, json.loads(message.data))
        finally:
            session.sockets.pop(socket, None)
        return socket

    async def _receive(self, session: FakeSession, socket: web.WebSocketResponse, frame: Event) -> None:
        session.received.append(frame)
        kind = frame["type"].removeprefix("EVENT_TYPE_")
        custom = frame.get("metadata", {}).get("custom")
        if kind == "HEARTBEAT":
            await socket.send_json(session.event("HEARTBEAT", {}, None, custom))
        elif kind == "REQUEST_POLY_AGENT_JOIN":
            await self._join(session)
        elif kind == "USER_MESSAGE" and self.echoing:
            await self._message(session, socket, frame["payload"]["text"], custom)
        elif kind == "USER_END_SESSION":
            await session.log("USER_END_SESSION")
            await session.log("SESSION_END", {"reason": "REASON_USER_END"})
            await session.close(1000)

    async def _join(self, session: FakeSession) -> None:
        await session.log("REQUEST_POLY_AGENT_JOIN")
        if any(made["type"] == "EVENT_TYPE_POLY_AGENT_JOINED" for made in session.journal):
            return
        await session.log("POLY_AGENT_JOINED", {"agent_name": "Lumen", "agent_avatar_url": ""})
        await session.whisper("POLY_AGENT_THINKING")
        if self.greeting is not None:
            await asyncio.sleep(self.greeting_delay)
            suggestions = [{"message_text": text} for text in self.suggestions]
            await session.say(self.greeting, response_suggestions=suggestions)

    async def _message(self, session: FakeSession, socket: web.WebSocketResponse, text: str, custom: Any) -> None:
        local_id = custom["local_id"]
        if local_id in session.echoes:
            await socket.send_json(session.echoes[local_id])
            return
        payload = {"text": text, "message_id": str(uuid.uuid4())}
        session.echoes[local_id] = await session.log("USER_MESSAGE", payload, custom)
        if self.on_message:
            await self.on_message(session, text)
