"""A contact centre that costs nothing: answers Webex's paths at once and speaks through signed webhooks.

Every appended message is acknowledged and answered by the "agent" with the same text. For measurements only;
the emulator (`warmline emulate webex`) is the faithful one.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

ORG = "cb5901fb-ab66-4377-a7bc-5f0b21896952"
CHANNEL = "bench-channel"
ADDRESS = "bench@channel.example"
EVENT_TYPES = [
    ("task:new", "task"),
    ("task:parked", "task"),
    ("task:connect", "task"),
    ("task:connected", "task"),
    ("task:ended", "task"),
    ("task:failed", "task"),
    ("task-message:appended", "task-message"),
    ("task-message:append-failed", "task-message"),
]


@dataclass(slots=True)
class Legs:
    """Times of single legs in seconds, by what they measure."""

    sent: dict[str, float] = field(default_factory=dict)
    """Text → when the customer sent it."""
    replied: dict[str, float] = field(default_factory=dict)
    """Text → when the agent's webhook was posted."""
    up: list[float] = field(default_factory=list)
    webhook: list[float] = field(default_factory=list)
    webhook_failures: int = 0


class Vendor:
    """The fake contact centre. `asset` and `events` are the webhook URLs with their secrets."""

    def __init__(self, legs: Legs, *, acknowledge: bool) -> None:
        self.legs = legs
        self.acknowledge = acknowledge
        self.asset: tuple[str, bytes] = ("", b"")
        self.events: tuple[str, bytes] = ("", b"")
        self.doors: list[str] = []
        """Addresses of several nodes: each webhook goes to any of them, whichever its URL names."""
        self._http: aiohttp.ClientSession | None = None
        self._tasks: dict[str, dict[str, object]] = {}
        self._pending: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port."""
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512))
        app = web.Application()
        app.router.add_post("/v1/access_token", self._token)
        app.router.add_get("/v2/event-types", self._event_types)
        app.router.add_get("/v2/subscriptions", self._subscriptions)
        app.router.add_post("/v2/subscriptions", self._subscribe)
        app.router.add_post("/v2/tasks", self._create)
        app.router.add_post("/v2/tasks/{task}/messages", self._append)
        app.router.add_post("/{version:v[12]}/tasks/{task}/end", self._end)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Drop what is not delivered yet, then close everything."""
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(
            {
                "access_token": f"bench_BENCH_{ORG}",
                "expires_in": 1209600,
                "refresh_token": "bench-refresh-token-000000",
                "refresh_token_expires_in": 7776000,
            }
        )

    async def _event_types(self, request: web.Request) -> web.Response:
        versions = [{"resource": r, "version": "1.0.0"} for r in ("task", "task-message")]
        data = [{"name": name, "resource": r, "action": name.split(":")[1]} for name, r in EVENT_TYPES]
        return web.json_response({"meta": {"orgId": ORG, "resourceVersionList": versions}, "data": data})

    async def _subscriptions(self, request: web.Request) -> web.Response:
        return web.json_response({"meta": {"orgId": ORG, "subscriptionCount": 0}, "data": []})

    async def _subscribe(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.events = (body["destinationUrl"], body["secret"].encode())
        data = {"id": str(uuid.uuid4()), "status": "active", **{k: v for k, v in body.items() if k != "secret"}}
        return web.json_response({"meta": {"orgId": ORG}, "data": data}, status=201)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        task = str(uuid.uuid4())
        self._tasks[task] = body["origin"]
        self._later(self._open(task))
        return web.json_response({"meta": {"orgId": ORG}, "data": {"id": task}}, status=201)

    async def _append(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        message = body["channelParams"]["message"]
        sent = self.legs.sent.get(message["text"])
        if sent is not None:
            self.legs.up.append(time.perf_counter() - sent)
        self._later(self._reply(request.match_info["task"], message))
        return web.json_response({"meta": {"orgId": ORG}, "data": {"id": message["aliasId"]}})

    async def _end(self, request: web.Request) -> web.Response:
        self._later(self._lifecycle(request.match_info["task"], "task:ended", reason="Customer Left"))
        return web.json_response({}, status=202)

    def _later(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _open(self, task: str) -> None:
        await self._lifecycle(task, "task:new")
        await self._lifecycle(task, "task:connected", agentId="bench-agent")

    async def _reply(self, task: str, message: dict[str, object]) -> None:
        if self.acknowledge:
            data = self._data(task, messageDirection="INBOUND", channelParams={"type": "text", "message": message})
            await self._post(self.events, "task-message:appended", data)
        reply = {"aliasId": str(uuid.uuid4()), "text": message["text"], "timestamp": _now()}
        data = self._data(
            task,
            messageDirection="OUTBOUND",
            senderType="agent",
            senderId="bench-agent",
            channelParams={"type": "text", "message": reply},
        )
        self.legs.replied[str(message["text"])] = time.perf_counter()
        await self._post(self.asset, "task-message:appended", data)

    async def _lifecycle(self, task: str, kind: str, **more: object) -> None:
        await self._post(self.events, kind, self._data(task, direction="INBOUND", **more))

    def _data(self, task: str, **more: object) -> dict[str, object]:
        return {
            "taskId": task,
            "createdTime": _now(),
            "channelType": "customMessaging",
            "channel": CHANNEL,
            "origin": self._tasks.get(task, {}),
            "destination": {"id": ADDRESS, "type": "businessAddress"},
            **more,
        }

    async def _post(self, target: tuple[str, bytes], kind: str, data: dict[str, object]) -> None:
        url, secret = target
        if self.doors:
            url = random.choice(self.doors) + urlsplit(url).path
        at = _now()
        body = json.dumps(
            {
                "id": f"e{next(self._numbers)}",
                "specversion": "1.0",
                "type": kind,
                "source": "/com/cisco/wxcc/bench",
                "comciscoorgid": ORG,
                "comciscotimestamp": at,
                "datacontenttype": "application/json",
                "data": data,
            }
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "X-WebexCC-Signature": hmac.new(secret, body, hashlib.sha256).hexdigest(),
            "X-WebexCC-Timestamp": str(at),
            "X-WebexCC-Webhook-Version": f"{kind.split(':')[0]}:1.0.0",
        }
        assert self._http is not None
        began = time.perf_counter()
        try:
            async with self._http.post(url, data=body, headers=headers) as answer:
                await answer.read()
                if answer.status != 200:
                    self.legs.webhook_failures += 1
        except aiohttp.ClientError:
            self.legs.webhook_failures += 1
            return
        self.legs.webhook.append(time.perf_counter() - began)


def _now() -> int:
    return int(time.time() * 1000)
