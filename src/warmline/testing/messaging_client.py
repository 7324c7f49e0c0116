"""A client of the messaging protocol, modelled on the public SDKs; it records everything.

It decodes as they do, joins and re-joins on its own, resends what is not echoed, deduplicates by id, keeps the
cursor, and comes back with it. What a server must never do to an SDK lands in `violations`.
"""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from warmline.testing.messaging_decode import WireEvent, decode

_REJOIN = ("conversation not found", "conversation id not found", "unable to start a conversation")
_CHANGES_NOTHING_AFTER_END = frozenset({"HEARTBEAT", "SESSION_END", "SYSTEM_MESSAGE", "LIVE_AGENT_LEFT"})
_RESENDS = 3
_SOCKET_WAIT_S = 15.0
PATIENCE_S = 30.0
"""What is waited for comes at once, or this long after on a busy machine; else it does not come."""


@dataclass
class Draft:
    """A message on its way. `state`: sending, sent (echoed) or failed."""

    text: str
    local_id: str
    state: str = "sending"
    echo: WireEvent | None = None
    sent_at: float = 0.0
    echoed_at: float = 0.0

    @property
    def echo_s(self) -> float:
        """Seconds from the first send to the echo."""
        return self.echoed_at - self.sent_at


@dataclass
class Connection:
    """One socket's life: the text frames that came, and the code it was closed with by the server."""

    frames: list[str] = field(default_factory=list)
    close_code: int | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class Refused(Exception):
    """The handshake was answered with an HTTP status other than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(f"handshake refused with {status}")
        self.status = status


class MessagingClient:
    """One customer. Use as an async context manager; `start` does what an SDK does on opening the chat.

    Args:
        base_url: of the server, e.g. "http://127.0.0.1:8080".
        token, host: connector token and host for the two REST calls.
        streaming, platform: wishes of the session.
        auto_join: ask for the virtual agent as SDKs do. `resend_s`: after how long an unechoed message is sent
            again (SDK: 3 s), at most three times.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str = "demo-connector-token",  # noqa: S107
        host: str = "localhost",
        streaming: bool = False,
        platform: str = "ios",
        auto_join: bool = True,
        resend_s: float = 3.0,
    ) -> None:
        self.base_url = base_url
        self.token = token
        self.host = host
        self.streaming = streaming
        self.platform = platform
        self.auto_join = auto_join
        self.resend_s = resend_s
        self.access_token = ""
        self.session_id = ""
        self.cursor = 0
        self.ended: str | None = None
        self.events: list[WireEvent] = []
        """What the SDK handled: without duplicates, in its order."""
        self.sent: list[str] = []
        self.drafts: dict[str, Draft] = {}
        self.connections: list[Connection] = []
        self.violations: list[str] = []
        self._seen: dict[str, str] = {}
        self._http: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._resending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def __aenter__(self) -> "MessagingClient":
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in tuple(self._resending):
            task.cancel()
        await self.drop()
        assert self._http is not None
        await self._http.close()

    async def start(self) -> None:
        """Token, session, socket; returns when the first batch is handled."""
        self.access_token = (await self.fetch_token())["access_token"]
        self.session_id = (await self.create_session())["session_id"]
        await self.connect()

    async def fetch_token(self) -> dict[str, Any]:
        """POST /api/v1/access-token."""
        headers = {"X-Token": self.token, "X-Host": self.host}
        return await self._post("/api/v1/access-token", headers, {})

    async def create_session(self) -> dict[str, Any]:
        """POST /api/v1/sessions."""
        body = {"streaming_enabled": self.streaming, "platform": self.platform, "device_type": "mobile"}
        return await self._post("/api/v1/sessions", {"Authorization": f"Bearer {self.access_token}"}, body)

    async def _post(self, path: str, headers: Mapping[str, str], body: object) -> dict[str, Any]:
        assert self._http is not None
        async with self._http.post(self.base_url + path, json=body, headers=headers) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer

    async def connect(self, **query: str) -> Connection:
        """Open the socket with the cursor; `query` replaces parameters. Raises Refused."""
        assert self._http is not None
        params = {"access_token": self.access_token, "session_id": self.session_id}
        if self.cursor:
            params["cursor"] = str(self.cursor)
        url = self.base_url + "/ws"
        try:
            ws = await self._http.ws_connect(url, params=params | query, max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(error.status) from None
        connection = Connection()
        self.connections.append(connection)
        self._ws = ws
        self._reader = asyncio.create_task(self._read(ws, connection))
        await self.wait(lambda: bool(connection.frames) or connection.closed.is_set(), "the first frame")
        return connection

    async def drop(self) -> None:
        """Lose the connection without a closing handshake."""
        if self._ws is not None and self._reader is not None:
            transport = self._ws.get_extra_info("socket") and self._ws._response.connection
            if transport is not None and transport.transport is not None:
                transport.transport.abort()
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._ws = self._reader = None

    async def close(self, code: int = 1000) -> None:
        """Close the socket as a client does; that does not end the session."""
        assert self._ws is not None
        await self._ws.close(code=code)
        await self.wait(lambda: self.connections[-1].closed.is_set(), "the close")

    async def reconnect(self) -> Connection:
        """Drop and come back with the cursor."""
        await self.drop()
        return await self.connect()

    async def send_raw(self, frame: str | bytes) -> None:
        """Send a text or binary frame as it is."""
        assert self._ws is not None
        if isinstance(frame, bytes):
            await self._ws.send_bytes(frame)
        else:
            self.sent.append(frame)
            await self._ws.send_str(frame)

    async def send(self, name: str, payload: object = None, custom: Mapping[str, Any] | None = None) -> None:
        """Send an event; `name` lacks the prefix."""
        frame: dict[str, Any] = {"type": f"EVENT_TYPE_{name}", "payload": {} if payload is None else payload}
        if custom is not None:
            frame["metadata"] = {"custom": custom}
        await self.send_raw(json.dumps(frame))

    async def say(self, text: str) -> Draft:
        """Send a message as an SDK does, again until it is echoed; returns at once."""
        draft = Draft(text=text, local_id=str(uuid.uuid4()), sent_at=time.monotonic())
        self.drafts[draft.local_id] = draft
        await self.send_again(draft)
        return draft

    async def send_again(self, draft: Draft) -> None:
        """What a tap on a failed message does: the same message under the same id, again until it is echoed."""
        draft.state = "sending"
        await self._send_draft(draft)
        task = asyncio.create_task(self._resend(draft))
        self._resending.add(task)
        task.add_done_callback(self._resending.discard)

    async def say_and_wait(self, text: str, timeout: float = PATIENCE_S) -> Draft:
        """Send a message and wait for its echo."""
        draft = await self.say(text)
        await self.wait(lambda: draft.state == "sent", f"the echo of {text!r}", timeout)
        return draft

    async def _send_draft(self, draft: Draft) -> None:
        if self._ws is None:
            return
        # A socket that breaks now is noticed by its reader; the next try comes when another one is open.
        with contextlib.suppress(ConnectionError):
            await self.send("USER_MESSAGE", {"text": draft.text}, {"local_id": draft.local_id})

    async def _resend(self, draft: Draft) -> None:
        for _ in range(_RESENDS):
            await asyncio.sleep(self.resend_s)
            if draft.state == "sent":
                return
            if await self._socket_opens() and draft.state != "sent":
                await self._send_draft(draft)
        await asyncio.sleep(self.resend_s)
        if draft.state == "sending":
            draft.state = "failed"

    async def _socket_opens(self) -> bool:
        """A resend waits up to 15 s for an open socket (messaging-protocol.md §5.2)."""
        deadline = time.monotonic() + _SOCKET_WAIT_S
        while self._ws is None or self._ws.closed:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def heartbeat(self, custom: Mapping[str, Any] | None = None) -> None:
        """Send one; its echo is an event as any."""
        await self.send("HEARTBEAT", None, custom)

    async def end(self) -> None:
        """End the session."""
        await self.send("USER_END_SESSION")

    # --- reading -----------------------------------------------------------------------------------------------

    async def _read(self, ws: aiohttp.ClientWebSocketResponse, connection: Connection) -> None:
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._frame(message.data, connection)
                else:
                    self.violations.append("a frame that is not text")
        finally:
            connection.close_code = ws.close_code
            if ws.close_code == 4000 or (ws.close_code == 1000 and self.ended is None and not ws._closing):
                self.violations.append(f"closed with {ws.close_code} before SESSION_END")
            connection.closed.set()
            async with self._news:
                self._news.notify_all()

    async def _frame(self, text: str, connection: Connection) -> None:
        batch, events = decode(text, self.violations)
        if not connection.frames and not batch:
            self.violations.append("the first frame is not a batch")
        connection.frames.append(text)
        handled = [event for event in events if self._handle(event)]
        names = {event.type for event in handled}
        if self.auto_join and "SESSION_START" in names and "POLY_AGENT_JOINED" not in names:
            await self.send("REQUEST_POLY_AGENT_JOIN")
        if self.auto_join and any(_wants_rejoin(event) for event in handled):
            await self.send("REQUEST_POLY_AGENT_JOIN")
        async with self._news:
            self._news.notify_all()

    def _handle(self, event: WireEvent) -> bool:
        if event.sequence is not None:
            raw = json.dumps(event.raw)
            if self._seen.setdefault(event.id, raw) != raw:
                self.violations.append(f"{event.type} {event.sequence} came again with another content")
            if any(known is not event and known.id == event.id for known in self.events):
                return False
            if event.sequence <= self.cursor:
                self.violations.append(f"{event.type} {event.sequence} came after {self.cursor}")
            self.cursor = max(self.cursor, event.sequence)
        if self.ended is not None and event.type not in _CHANGES_NOTHING_AFTER_END:
            self.violations.append(f"{event.type} after SESSION_END")
        self.events.append(event)
        if event.type == "SESSION_END":
            self.ended = str(event.payload.get("reason", ""))
        if event.type == "USER_MESSAGE" and event.custom is not None:
            draft = self.drafts.get(event.custom.get("local_id", ""))
            if draft is not None and draft.state != "sent":
                draft.state, draft.echo, draft.echoed_at = "sent", event, time.monotonic()
        return True

    # --- waiting and looking -----------------------------------------------------------------------------------

    async def wait(self, condition: Callable[[], bool], what: str, timeout: float = PATIENCE_S) -> None:
        """Until `condition` holds. Raises TimeoutError that names `what` was waited for and what came."""
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise TimeoutError(f"waited {timeout} s for {what}; got {self.types()}") from None

    async def expect(self, name: str, count: int = 1, timeout: float = PATIENCE_S) -> WireEvent:
        """Wait for the `count`th event of type `name`; returns it."""
        await self.wait(lambda: len(self.all(name)) >= count, f"{name} number {count}", timeout)
        return self.all(name)[count - 1]

    async def expect_close(self, timeout: float = PATIENCE_S) -> int | None:
        """Wait until the server closes; returns the code."""
        await self.wait(lambda: self.connections[-1].closed.is_set(), "the close", timeout)
        return self.connections[-1].close_code

    async def settle(self) -> None:
        """Wait until everything sent so far has been handled by the server: a heartbeat there and back."""
        mark = str(uuid.uuid4())
        await self.heartbeat({"mark": mark})
        await self.wait(lambda: any((e.custom or {}).get("mark") == mark for e in self.events), "a heartbeat")

    def all(self, name: str) -> list[WireEvent]:
        """All events of type `name`."""
        return [event for event in self.events if event.type == name]

    def types(self, *, transient: bool = True) -> list[str]:
        """Types of what came, in order."""
        return [event.type for event in self.events if transient or event.sequence is not None]

    def journal(self) -> list[WireEvent]:
        """What came of the log."""
        return [event for event in self.events if event.sequence is not None]


def _wants_rejoin(event: WireEvent) -> bool:
    if event.type != "SYSTEM_MESSAGE" or event.payload.get("level") != "SYSTEM_MESSAGE_LEVEL_ERROR":
        return False
    text = str(event.payload.get("message", "")).lower()
    return any(phrase in text for phrase in _REJOIN)
