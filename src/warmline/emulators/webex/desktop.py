"""The agent desktop: a page for a human agent, kept up to date over a WebSocket."""

import asyncio
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from warmline.emulators.webex.emulator import Emulator
from warmline.emulators.webex.http import is_foreign
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.state import Agent, Message, Task
from warmline.emulators.webex.views import agent_view, message_view, task_view

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
)
_STATIC = files("warmline.emulators.webex") / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class _Page:
    """One open page; `agent_id` is whom it is showing, '' while nobody is chosen."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()


class Desktop:
    """Serves the page and tells open pages what changes."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._pages: set[_Page] = set()
        self._sockets: set[web.WebSocketResponse] = set()
        emulator.renewed.append(self._attach)
        self._attach(emulator.sim)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the desktop."""
        return [
            web.get("/desktop", self._redirect),
            web.get("/desktop/ws", self._socket),
            web.get("/desktop/{name:[a-z.]*}", self._static),
        ]

    async def close(self, _: web.Application) -> None:
        """Close the sockets of all pages; they come back when there is something to come back to."""
        await asyncio.gather(*(socket.close(code=WSCloseCode.SERVICE_RESTART) for socket in self._sockets))

    async def _redirect(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/desktop/")

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"] or "index.html"
        file = _STATIC / name
        if not file.is_file():
            raise web.HTTPNotFound
        return web.Response(
            body=file.read_bytes(),
            content_type=_TYPES[PurePath(name).suffix],
            charset="utf-8",
            headers={**_HEADERS, "Content-Security-Policy": _CSP},
        )

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if is_foreign(request):
            raise web.HTTPForbidden
        socket = web.WebSocketResponse(heartbeat=20.0, compress=False)
        await socket.prepare(request)
        page = _Page(request.query.get("agent", ""))
        agent = self._emulator.sim.world.agents.get(page.agent_id)
        if agent is not None:
            self._emulator.sim.routing.reload_desktop(agent)
        self._pages.add(page)
        self._sockets.add(socket)
        page.outgoing.put_nowait(self._snapshot(page))
        sender = asyncio.create_task(self._send(socket, page))
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self._pages.discard(page)
            self._sockets.discard(socket)
            sender.cancel()
        return socket

    async def _send(self, socket: web.WebSocketResponse, page: _Page) -> None:
        while not socket.closed:
            update = await page.outgoing.get()
            await socket.send_str(msgspec.json.encode(update).decode())

    def _attach(self, sim: Sim) -> None:
        sim.world.observers.append(self._task_changed)
        sim.world.agent_observers.append(self._agent_changed)
        for page in self._pages:
            page.outgoing.put_nowait(self._snapshot(page))

    def _snapshot(self, page: _Page) -> dict[str, Any]:
        sim = self._emulator.sim
        agent = sim.world.agents.get(page.agent_id)
        return {
            "type": "snapshot",
            "now": sim.world.clock.now_ms(),
            "agents": [agent_view(other) for other in sim.world.agents.values()],
            "waiting": sim.routing.waiting(),
            "wrapUpCodes": sim.settings.wrap_up_codes,
            "conversations": self._conversations(agent) if agent else [],
        }

    def _conversations(self, agent: Agent) -> list[dict[str, Any]]:
        world = self._emulator.sim.world
        return [
            {
                **task_view(world, task),
                "transcript": [self._message(message) for message in task.transcript],
                "slot": str(slot),
                "policy": agent.policies.get(task.channel) or world.policy(task.channel),
                "offerEnds": task.offer_deadline_ms,
                "offerSeconds": world.settings.rona_seconds,
            }
            for task_id, slot in agent.slots.items()
            if (task := world.tasks[task_id])
        ]

    def _message(self, message: Message) -> dict[str, Any]:
        """Return a transcript entry with the name of the agent who wrote it."""
        world = self._emulator.sim.world
        author = world.agents.get(message.agent_id or "")
        return {**message_view(world, message), "agentName": author.spec.first_name if author else "Agent"}

    def _agent_changed(self, agent: Agent) -> None:
        """Tell every page the agent's state, and the agent's own pages which conversations they have now."""
        if not self._pages:
            return
        now = self._emulator.sim.world.clock.now_ms()
        update = {"type": "agent", "now": now, "agent": agent_view(agent)}
        own = {**update, "conversations": self._conversations(agent)}
        for page in self._pages:
            page.outgoing.put_nowait(own if page.agent_id == agent.spec.id else update)

    def _task_changed(self, task: Task, message: Message | None) -> None:
        """Tell the pages of the task's agents a new message, or all pages who waits."""
        if not self._pages:
            return
        sim = self._emulator.sim
        if message is None:
            update: dict[str, Any] = {"type": "waiting", "waiting": sim.routing.waiting()}
            for page in self._pages:
                page.outgoing.put_nowait(update)
            return
        update = {"type": "message", "taskId": task.id, "message": self._message(message)}
        for page in self._pages:
            agent = sim.world.agents.get(page.agent_id)
            if agent is not None and task.id in agent.slots:
                page.outgoing.put_nowait(update)
