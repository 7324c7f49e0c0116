"""One customer's WebSocket (messaging-protocol.md §3 to §5)."""

import asyncio
import contextlib

import structlog
from aiohttp import WSMsgType, web

from warmline.channels.messaging import intents
from warmline.channels.messaging.deps import MessagingDeps
from warmline.channels.messaging.feed import TRY_AGAIN, Feed
from warmline.channels.messaging.outgoing import BytesWebSocket, Outgoing
from warmline.channels.messaging.wire import batches, encode_batch, encode_event, encode_notice, encode_transient
from warmline.domain.errors import WarmlineError
from warmline.domain.events import Custom, NoticeLevel, Recorded, UserMessage
from warmline.ports import SessionInfo

_log = structlog.get_logger(__name__)

RESTART = 1012

_MOBILE = frozenset({"ios", "android"})
"""Platforms of the SDKs that end a session of which they hear nothing (§3.6)."""
_INTERNAL_ERROR = 1011
_CLOSE_S = 5.0
_CONTENT_EVERY_S = 450.0
_PAGE = 200

_TOO_FAST = "You are sending messages too quickly. Please wait a moment and try again."
_BUSY = "Our system is experiencing high load. Please try again in a moment."
_FAILED = "Sorry, I encountered an error. Please try again."
_NO_CONNECTOR = "Error: Connector not found"


class Socket:
    """Speaks the protocol over one accepted WebSocket: replay, then live both ways, then a proper close.

    Reading never waits for the store: heartbeats are answered at once, everything else is done in order by
    a task that lives only while there is something to do.

    Clients that come back to a session without an agent have lost their request to join: they send it when they first
    see SESSION_START and never again (§5.1). It is made up for, or nobody would ever answer them.
    """

    __slots__ = (
        "_asked_at",
        "_close_code",
        "_connector_id",
        "_deps",
        "_feed",
        "_filled_at",
        "_heard",
        "_id",
        "_join_was_lost",
        "_mobile",
        "_reading",
        "_request",
        "_todo",
        "_warned_at",
        "_working",
        "outgoing",
        "ws",
    )

    def __init__(
        self,
        request: web.Request,
        ws: BytesWebSocket,
        feed: Feed,
        deps: MessagingDeps,
        *,
        cursor: int,
        info: SessionInfo,
        joined: bool,
    ) -> None:
        self._request = request
        self.ws = ws
        self._feed = feed
        self._deps = deps
        self._id = feed.session_id
        self._connector_id = info.connector_id
        self._mobile = info.platform in _MOBILE
        self._join_was_lost = cursor > 0 and not joined
        self._reading: asyncio.Timeout | None = None
        self._close_code: int | None = None
        self._todo: list[intents.Intent] = []
        self._working: asyncio.Task[None] | None = None
        self._warned_at: float | None = None
        self._filled_at = 0.0
        self._heard = True
        self._asked_at: float | None = None
        self.outgoing = Outgoing(ws, cursor, deps.limits, self._stop)
        feed.add(self.outgoing)

    async def serve(self) -> None:
        """Run until either side closes; whatever was read is done before this returns."""
        self._deps.conversations.seen(self._id)
        try:
            async with asyncio.timeout(None) as self._reading:
                if self._close_code is None:
                    await self._replay()
                    self.outgoing.release()
                    if self._join_was_lost:
                        self._plan(intents.Join())
                    await self._read()
        except (TimeoutError, ConnectionError):
            pass
        except WarmlineError as error:
            _log.warning("messaging.replay_failed", session_id=self._id, code=error.code)
            self._close_code = TRY_AGAIN
        except Exception:
            _log.exception("messaging.socket_failed", session_id=self._id)
        finally:
            self._reading = None
            self.forget()
            self.outgoing.abandon()
            await self._close()
            if self._working is not None:
                await self._working

    def forget(self) -> None:
        """Nothing more of the session is for this socket."""
        self._feed.remove(self.outgoing)

    def feel(self, now: float, grace_s: float) -> None:
        """Ping it if nothing was heard since the last time; cut it off if that was no use (`open_sockets.Patient`)."""
        if self._heard:
            self._heard, self._asked_at = False, None
        elif self._asked_at is None:
            self._asked_at = now
            self.outgoing.ping()
        elif now - self._asked_at >= grace_s and self._request.transport is not None:
            _log.info("messaging.no_pong", session_id=self._id)
            self._request.transport.abort()

    def _stop(self, code: int) -> None:
        if code == TRY_AGAIN:
            _log.info("messaging.given_up", session_id=self._id)
        self._close_code = code
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def _close(self) -> None:
        """Close unless the client did.

        The reading task does it, so that the peer's last bytes are read before the connection goes: unread bytes
        would reset it and the client might lose the last events. A peer that takes nothing is cut off in the end.
        """
        transport = self._request.transport
        if self.ws.closed or transport is None:
            return
        give_up = asyncio.get_running_loop().call_later(_CLOSE_S, transport.abort)
        with contextlib.suppress(ConnectionError):
            await self.ws.close(code=self._close_code or _INTERNAL_ERROR)
        if not transport.get_write_buffer_size():
            give_up.cancel()

    async def _replay(self) -> None:
        """Everything after the cursor, in batches; at least one batch, maybe empty (§3.2)."""
        page = await self._page()
        if not page:
            await self._replay_batch([], self.outgoing.sent)
        while page:
            done = 0
            for frames in batches(map(encode_event, page)):
                done += len(frames)
                await self._replay_batch(frames, page[done - 1].sequence)
            page = await self._page() if len(page) == _PAGE else []

    async def _page(self) -> list[Recorded]:
        return await self._deps.conversations.events(self._id, self.outgoing.sent, _PAGE)

    async def _replay_batch(self, frames: list[bytes], through: int) -> None:
        batch = encode_batch(frames, event_id=self._deps.ids.uuid(), at=self._deps.clock.now())
        await self.outgoing.replay(batch, through)
        self._heard = True

    async def _read(self) -> None:
        while True:
            message = await self.ws.receive()
            self._heard = True
            if message.type is WSMsgType.TEXT:
                self._take(intents.decode_frame(message.data, max_text_bytes=self._deps.limits.text_bytes))
            elif message.type is WSMsgType.BINARY:
                self._take(intents.Refused(message=intents.INVALID_FRAME))
            elif message.type is WSMsgType.PING:
                self.outgoing.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                return

    def _take(self, intent: intents.Intent) -> None:
        if self._feed.ended:
            return
        self._deps.conversations.seen(self._id)
        if isinstance(intent, intents.Heartbeat):
            self._beat(intent)
        elif not isinstance(intent, intents.End) and self._feed.over_limit():
            self._slow_down(intent)
        elif isinstance(intent, intents.Refused):
            self._tell(NoticeLevel.ERROR, intent.message, intent.custom)
        elif not isinstance(intent, intents.Ignored):
            self._plan(intent)

    def _plan(self, intent: intents.Intent) -> None:
        self._todo.append(intent)
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    def _beat(self, heartbeat: intents.Heartbeat) -> None:
        deps = self._deps
        echo = encode_transient("HEARTBEAT", {}, event_id=deps.ids.uuid(), at=deps.clock.now(), custom=heartbeat.custom)
        self.outgoing.own(echo)
        self._feed.look()
        if self._mobile:
            self._fill_silence()

    def _fill_silence(self) -> None:
        """Say nothing, audibly: the mobile SDKs take a session for dead after ten minutes without content, whatever
        heartbeats say, and render nothing of an empty message (§3.6)."""
        deps, since = self._deps, self._feed.silent_since
        now = deps.clock.monotonic()
        if since is None or now - max(since, self._filled_at) < _CONTENT_EVERY_S:
            return
        self._filled_at = now
        empty = {"message_id": deps.ids.uuid(), "text": "", "attachments": [], "response_suggestions": []}
        at = deps.clock.now()
        self.outgoing.own(encode_transient("POLY_AGENT_MESSAGE", empty, event_id=deps.ids.uuid(), at=at))

    def _slow_down(self, intent: intents.Intent) -> None:
        """The frame is dropped; the customer is told once in a while (§10)."""
        now = self._deps.clock.monotonic()
        if self._warned_at is None or now - self._warned_at >= self._deps.limits.frames.seconds:
            self._warned_at = now
            _log.info("messaging.frames_dropped", session_id=self._id)
            self._tell(NoticeLevel.WARNING, _TOO_FAST, intent.custom)

    async def _work(self) -> None:
        try:
            while self._todo:
                todo, self._todo = self._todo, []
                for intent in todo:
                    await self._do(intent)
        finally:
            self._working = None

    async def _do(self, intent: intents.Intent) -> None:
        try:
            await self._perform(intent)
        except WarmlineError as error:
            text = error.public_message or (_BUSY if error.retryable else _FAILED)
            _log.warning("messaging.frame_failed", session_id=self._id, code=error.code)
            self._tell(NoticeLevel.ERROR, text, intent.custom)
        except Exception:
            _log.exception("messaging.frame_failed", session_id=self._id)
            self._tell(NoticeLevel.ERROR, _FAILED, intent.custom)

    async def _perform(self, intent: intents.Intent) -> None:
        conversations = self._deps.conversations
        match intent:
            case intents.Post():
                done = await conversations.post(
                    self._id, intent.text, custom=intent.custom, client_ref=intent.client_ref
                )
                if done.duplicate:
                    self._echo_again(done.events)
            case intents.Join():
                await self._join(intent)
            case intents.Typing():
                conversations.show(self._id, "customer_typing", started=intent.started)
            case intents.End():
                await conversations.end_by_user(self._id, intent.custom)

    async def _join(self, intent: intents.Join) -> None:
        connector = await self._deps.connectors.by_id(self._connector_id)
        if connector is None:
            self._tell(NoticeLevel.ERROR, _NO_CONNECTOR, intent.custom)
            return
        await self._deps.conversations.join(self._id, connector, intent.custom)

    def _echo_again(self, events: tuple[Recorded, ...]) -> None:
        """The same echo for this socket, unless it is on its way with the events before it (§5.2)."""
        for recorded in events:
            if isinstance(recorded.event, UserMessage) and recorded.sequence <= self.outgoing.sent:
                self.outgoing.own(encode_event(recorded))

    def _tell(self, level: NoticeLevel, text: str, custom: Custom | None = None) -> None:
        deps = self._deps
        self.outgoing.own(encode_notice(level, text, event_id=deps.ids.uuid(), at=deps.clock.now(), custom=custom))
