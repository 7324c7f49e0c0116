"""A Webex emulator with a receiver for its webhooks and a client for its APIs, all over real HTTP."""

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from support.waiting import until
from warmline.emulators.webex import RunningSim, SimSettings, demo_values, start

ASSET_SECRET = "asset-secret-0123456789-0123456789"
SUBSCRIPTION_SECRET = "subscription-secret-0123456789-01"
NOW_MS = 1_700_000_000_000
"""Where a clock starts that stands still unless it is advanced."""
TASK_EVENTS = ["task:new", "task:parked", "task:connect", "task:connected", "task:ended", "task:failed"]
MESSAGE_EVENTS = ["task-message:appended", "task-message:append-failed"]


@dataclass(slots=True)
class Hook:
    """One webhook request as it arrived; `at` is the loop's time in seconds."""

    path: str
    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def body(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.raw)
        return decoded

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.body["data"]
        return data

    def is_signed_with(self, secret: str) -> bool:
        wanted = hmac.new(secret.encode(), self.raw, hashlib.sha256).hexdigest()
        return self.headers.get("X-WebexCC-Signature") == wanted


@dataclass(slots=True)
class Receiver:
    """A web server that takes webhooks and serves files. `answers` maps a path to what it does next."""

    hooks: list[Hook] = field(default_factory=list)
    answer: dict[str, Callable[[web.Request], Any]] = field(default_factory=dict)
    files: dict[str, Callable[[web.Request], Any]] = field(default_factory=dict)
    file_requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        loop_time = asyncio.get_running_loop().time()
        self.hooks.append(Hook(request.path, dict(request.headers), raw, loop_time))
        special = self.answer.get(request.path)
        if special is not None:
            response: web.StreamResponse = await special(request)
            return response
        return web.json_response({})

    async def serve_file(self, request: web.Request) -> web.StreamResponse:
        self.file_requests.append((request.method, request.path))
        response: web.StreamResponse = await self.files[request.path](request)
        return response

    def put_file(self, path: str, content: bytes, **headers: str) -> str:
        """Serve `content` under `/f{path}` and return its URL."""

        async def serve(_: web.Request) -> web.StreamResponse:
            return web.Response(body=content, headers=headers)

        self.files[f"/f{path}"] = serve
        return f"{self.url}/f{path}"

    def types(self, path: str | None = None) -> list[str]:
        """The event types that arrived, in order, at `path` or anywhere."""
        return [hook.type for hook in self.hooks if path in (None, hook.path)]

    def of(self, event_type: str, path: str | None = None) -> list[Hook]:
        """The webhooks of one type."""
        return [hook for hook in self.hooks if hook.type == event_type and path in (None, hook.path)]


class Lab:
    """The emulator, its client, and the receiver of its webhooks."""

    def __init__(self, sim: RunningSim, receiver: Receiver, http: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.receiver = receiver
        self.http = http
        self.values = demo_values(sim.sim.settings, sim.url)
        self.token = ""

    async def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Call any path; returns status and decoded body (None without one)."""
        url = path if path.startswith("http") else self.sim.url + path
        async with self.http.request(method, url, json=body, headers=headers, allow_redirects=False) as response:
            raw = await response.read()
            return response.status, json.loads(raw) if raw else None

    async def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call the vendor's API with the access token."""
        return await self.call(method, path, body, {"Authorization": f"Bearer {self.token}"})

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control plane; anything but 2xx fails."""
        status, answer = await self.call(method, "/__sim/v1" + path, body)
        assert 200 <= status < 300, answer
        return answer

    async def config(self, **values: Any) -> None:
        """Change settings (snake case)."""
        await self.control("PUT", "/config", values)

    async def fault(self, effect: dict[str, Any], **match: str) -> str:
        """Install a fault and return its id."""
        return str((await self.control("POST", "/faults", {"match": match, "effect": effect}))["id"])

    async def refresh(self, **form: str) -> tuple[int, Any]:
        """Use the token endpoint; `form` replaces single fields."""
        fields = {
            "grant_type": "refresh_token",
            "client_id": self.values["client_id"],
            "client_secret": self.values["client_secret"],
            "refresh_token": self.values["refresh_token"],
            **form,
        }
        async with self.http.post(self.values["oauth_token_url"], data=fields) as response:
            return response.status, await response.json()

    async def log_in(self) -> None:
        """Get an access token."""
        status, grant = await self.refresh()
        assert status == 200
        self.token = grant["access_token"]

    async def connect(self) -> None:
        """Do what a middleware does before traffic: token, asset webhook, both subscriptions."""
        await self.log_in()
        await self.config(
            assets=[
                {
                    "business_address": self.values["business_address"],
                    "webhook_url": f"{self.receiver.url}/asset",
                    "webhook_secret": ASSET_SECRET,
                }
            ]
        )
        await self.subscribe("lab-task", TASK_EVENTS, "task:1.0.0")
        await self.subscribe("lab-msg", MESSAGE_EVENTS, "task-message:1.0.0")

    async def subscribe(self, name: str, events: list[str], version: str, **more: Any) -> dict[str, Any]:
        """Register a v2 subscription and return it."""
        status, answer = await self.api("POST", "/v2/subscriptions", self.subscription(name, events, version, **more))
        assert status == 201, answer
        data: dict[str, Any] = answer["data"]
        return data

    def subscription(self, name: str, events: list[str], version: str, **more: Any) -> dict[str, Any]:
        """A valid body of `POST /v2/subscriptions`."""
        return {
            "name": name,
            "eventTypes": events,
            "resourceVersion": version,
            "destinationUrl": f"{self.receiver.url}/events",
            "secret": SUBSCRIPTION_SECRET,
            **more,
        }

    def message(self, text: str = "hello", *, alias: str = "", attachments: Any = None) -> dict[str, Any]:
        """A valid `channelParams`."""
        content: dict[str, Any] = {
            "aliasId": alias or str(uuid.uuid4()),
            "text": text,
            "timestamp": int(time.time() * 1000),
        }
        if attachments is not None:
            content["attachments"] = attachments
        return {"type": "text" if attachments is None else "text-with-attachments", "message": content}

    def task(self, text: str = "hello", origin: str = "", name: str = "Ann", **more: Any) -> dict[str, Any]:
        """A valid body of `POST /v2/tasks`."""
        return {
            "origin": {"id": origin or str(uuid.uuid4()), "name": name},
            "destination": {"id": self.values["business_address"], "type": "businessAddress"},
            "channelType": "customMessaging",
            "channel": self.values["channel_name"],
            "channelParams": self.message(text),
            **more,
        }

    async def create(self, text: str = "hello", origin: str = "", **more: Any) -> str:
        """Create a task and return its id."""
        status, answer = await self.api("POST", "/v2/tasks", self.task(text, origin, **more))
        assert status == 201, answer
        return str(answer["data"]["id"])

    async def append(self, task_id: str, params: dict[str, Any] | str) -> tuple[int, Any]:
        """Append a message (text or `channelParams`) to a task."""
        channel_params = self.message(params) if isinstance(params, str) else params
        body = {"mediaType": "customMessaging", "channelParams": channel_params}
        return await self.api("POST", f"/v2/tasks/{task_id}/messages", body)

    async def end(self, task_id: str) -> int:
        """End a task by the API and return the status."""
        return (await self.api("POST", f"/v1/tasks/{task_id}/end", {}))[0]

    async def truth(self, task_id: str) -> dict[str, Any]:
        """The task as the control plane shows it."""
        task: dict[str, Any] = await self.control("GET", f"/tasks/{task_id}")
        return task

    async def until_status(self, task_id: str, status: str) -> None:
        """Wait until the task has that status."""
        task = self.sim.sim.world.tasks[task_id]
        await until(lambda: task.status == status, f"the task is {status}")

    async def agent(self, agent_id: str, action: str, **body: Any) -> Any:
        """An agent's action that must succeed."""
        return await self.control("POST", f"/agents/{agent_id}/{action}", body)

    async def available(self, *agent_ids: str) -> None:
        """Log agents in and make them available."""
        for agent_id in agent_ids:
            await self.agent(agent_id, "login")
            await self.agent(agent_id, "state", state="Available")

    async def connected(self, agent_id: str = "agent-1", text: str = "hello", origin: str = "") -> str:
        """A new task that `agent_id` has accepted."""
        await self.available(agent_id)
        task_id = await self.create(text, origin)
        await self.arrived("task:connect", task_id)
        await self.agent(agent_id, "accept", taskId=task_id)
        await self.arrived("task:connected", task_id)
        return task_id

    async def arrived(self, event_type: str, task_id: str = "", count: int = 1) -> list[Hook]:
        """Wait until `count` webhooks of a type (and task) came, and return them."""

        def found() -> list[Hook]:
            hooks = self.receiver.of(event_type)
            return [hook for hook in hooks if task_id in ("", hook.data.get("taskId"))]

        await until(lambda: len(found()) >= count, f"{count} × {event_type}")
        return found()

    async def settled(self) -> None:
        """Wait until the emulator does nothing, has nothing to do at once, and no webhook is on its way."""
        await until(self._idle, "the emulator has done its work")

    def _idle(self) -> bool:
        sim = self.sim.sim
        now = sim.world.clock.now_ms()
        due = any(not timer.cancelled and timer.due_ms <= now for _, _, timer in sim.world.clock._timers)
        return not due and not sim.world.pipelines._workers and not sim.webhooks._lanes._workers

    async def quiet(self, seconds: float = 0.15) -> None:
        """Give unwanted webhooks time to come."""
        await self.settled()
        await asyncio.sleep(seconds)
        await self.settled()


@asynccontextmanager
async def webex_lab(connected: bool = True, data: Path | None = None, **settings: Any) -> AsyncIterator[Lab]:
    """A running lab; `settings` are fields of `SimSettings` (relaxed and without create delay by default)."""
    receiver = Receiver()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/f{path:/.*}", receiver.serve_file)
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    sim = await start(
        SimSettings(**{"relaxed": True, "create_delay_ms": 0, "rate_limit_per_minute": 0, **settings}), data=data
    )
    try:
        async with aiohttp.ClientSession() as http:
            lab = Lab(sim, receiver, http)
            if connected:
                await lab.connect()
            yield lab
    finally:
        await sim.stop()
        await runner.cleanup()
