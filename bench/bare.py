"""The bare relay: the same libraries, the same wire, no storage and no check but the signature.

It is the yardstick of `bench/relay.py`: what this machine does when nothing is guaranteed.
Run by it as `python bench/bare.py` with a JSON line on standard input; prints its address.
"""

import asyncio
import hashlib
import hmac
import json
import sys
import time
import uuid
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class BareRelay:
    """Keeps everything in memory and forgets it."""

    def __init__(self, vendor_url: str, secret: bytes, token: str) -> None:
        self._vendor = vendor_url
        self._secret = secret
        self._auth = {"Authorization": f"Bearer {token}"}
        self._http: aiohttp.ClientSession | None = None
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._task_of: dict[str, str] = {}
        self._session_of: dict[str, str] = {}

    async def _close(self, _: web.Application) -> None:
        if self._http is not None:
            await self._http.close()

    def routes(self, app: web.Application) -> None:
        """Mount the paths that the customers and the vendor use."""
        app.on_cleanup.append(self._close)
        app.router.add_post("/api/v1/access-token", self._token)
        app.router.add_post("/api/v1/sessions", self._start)
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/hooks", self._hook)

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response({"access_token": "a.b.c", "expires_in": 86400, "token_type": "Bearer"})

    async def _start(self, request: web.Request) -> web.Response:
        return web.json_response({"session_id": str(uuid.uuid4())})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        session = request.query["session_id"]
        socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        self._sockets[session] = socket
        await self._send(socket, "EVENT_BATCH", {"events": []})
        async for frame in socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                await self._frame(session, socket, _decode(frame.data))
        return socket

    async def _frame(self, session: str, socket: web.WebSocketResponse, message: dict[str, object]) -> None:
        if message["type"] != "EVENT_TYPE_USER_MESSAGE":
            return
        payload = message["payload"]
        assert isinstance(payload, dict)
        await self.accept(session, socket, payload, message.get("metadata"))

    async def accept(
        self, session: str, socket: web.WebSocketResponse, payload: dict[str, str], metadata: object
    ) -> None:
        """Echo a customer's message and hand it on."""
        await self._send(socket, "USER_MESSAGE", payload, metadata)
        await self.forward(session, payload["text"])

    async def forward(self, session: str, text: str) -> None:
        """Give a message to the contact centre."""
        body = {"type": "text", "message": {"aliasId": str(uuid.uuid4()), "text": text, "timestamp": 0}}
        task = self._task_of.get(session)
        if task is None:
            answer = await self._post("/v2/tasks", {"origin": {"id": session}, "channelParams": body})
            task = answer["data"]["id"]
            self._task_of[session] = task
            self._session_of[task] = session
        else:
            request = {"mediaType": "customMessaging", "channelParams": body}
            await self._post(f"/v2/tasks/{task}/messages", request)

    async def _post(self, path: str, body: object) -> dict[str, dict[str, str]]:
        if self._http is None:
            self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512))
        headers = {"Content-Type": "application/json", **self._auth}
        async with self._http.post(self._vendor + path, data=_encode(body), headers=headers) as answer:
            return _decode(await answer.read())  # type: ignore[no-any-return]

    async def _hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        expected = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("X-WebexCC-Signature", "")):
            return web.Response(status=401)
        event = _decode(body)
        session = self._session_of.get(event["data"]["taskId"])
        if session is not None:
            await self.hear(session, event, body)
        return web.Response(body=b"{}", content_type="application/json")

    async def hear(self, session: str, event: dict[str, Any], body: bytes) -> None:
        """Show what a webhook says."""
        data = event["data"]
        socket = self._sockets[session]
        if event["type"] == "task:connected":
            await self._send(socket, "LIVE_AGENT_JOINED", {})
        elif data.get("messageDirection") == "OUTBOUND":
            await self._send(socket, "LIVE_AGENT_MESSAGE", {"text": data["channelParams"]["message"]["text"]})

    async def _send(self, socket: web.WebSocketResponse, kind: str, payload: object, metadata: object = None) -> None:
        event = {
            "id": str(uuid.uuid4()),
            "sequence": None,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "type": f"EVENT_TYPE_{kind}",
            "payload": payload,
        }
        if metadata is not None:
            event["metadata"] = metadata
        await socket.send_str(_encode(event).decode())


async def serve(relay: BareRelay) -> None:
    """Serve until standard input closes."""
    app = web.Application()
    relay.routes(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    port = runner.addresses[0][1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}", "hooks": f"http://127.0.0.1:{port}/hooks"}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


async def main() -> None:
    """Serve as ordered on standard input."""
    given = json.loads(sys.stdin.readline())
    await serve(BareRelay(given["vendor_url"], given["secret"].encode(), given["token"]))


if __name__ == "__main__":
    uvloop.run(main())
