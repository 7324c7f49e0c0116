"""The calls of the chat REST API (messaging-protocol.md §16)."""

import asyncio
import contextlib
import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from warmline.channels.chat_rest import bodies
from warmline.channels.chat_rest.deps import ChatDeps
from warmline.channels.chat_rest.entry import Caller, Entry
from warmline.channels.chat_rest.reading import Answer, greeting, response
from warmline.channels.chat_rest.refusals import (
    Refused,
    conversation_ended,
    invalid,
    no_conversation,
    refusal_response,
)
from warmline.channels.messaging.wire import encode_event
from warmline.domain.errors import SessionNotFound, WarmlineError
from warmline.domain.events import Recorded, SessionEnded
from warmline.ports import Poke, SessionInfo, Signal, StoredSession
from warmline.web.requests import read_body

_log = structlog.get_logger(__name__)

T = TypeVar("T")

SEQUENCE = "X-Warmline-Sequence"
"""Header that says through which event an answer goes: what follows is asked for with `after`."""
MAX_WAIT_S = 30

_SUBJECT = "chat-rest"
"""The user identity of these sessions: no access token has it, so that no socket opens one of them."""
_CHANNELS = {"webchat": "webchat.polyai", "whatsapp": "whatsapp.polyai", "sms": "sms.polyai", "api": "chat.polyai"}
_LOOK_EVERY_S = 0.5
_PAGE = 500
_NUMBER = re.compile(r"[0-9]{1,16}")
_KEY = re.compile(r"[!-~]{1,128}")


class Chat:
    """Handlers. A call is answered when the virtual agent has, or at once when a live agent has the conversation."""

    def __init__(self, deps: ChatDeps) -> None:
        self._deps = deps
        self._entry = Entry(deps)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST …/chat/create: begin a conversation; answers with its greeting."""
        return await self._answer(request, self._create)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """POST …/chat/respond: say something; answers with what the virtual agent says."""
        return await self._answer(request, self._respond)

    async def close(self, request: web.Request) -> web.StreamResponse:
        """PUT …/chat/close: end the conversation."""
        return await self._answer(request, self._close)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET …/chat/events: what happened since, live agents' messages among it; may wait for news."""
        return await self._answer(request, self._events)

    async def other_method(self, request: web.Request) -> web.StreamResponse:
        """Any other method."""
        allowed = ", ".join(
            sorted(route.method for route in request.match_info.route.resource or () if route.method != "*")
        )
        return refusal_response(request, Refused(405, "METHOD_NOT_ALLOWED", f"Use {allowed}.", {"Allow": allowed}))

    async def _answer(
        self, request: web.Request, work: Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await work(request, await self._entry.caller(request))
        except Refused as refused:
            return refusal_response(request, refused)
        except web.HTTPRequestEntityTooLarge:
            return refusal_response(request, Refused(413, "REQUEST_TOO_LARGE", "The body is too large."))
        except web.HTTPBadRequest as error:
            return refusal_response(request, invalid(error.reason))
        except WarmlineError as error:
            _log.warning("chat_rest.failed", code=error.code)
            status, code = (503, "TEMPORARILY_UNAVAILABLE") if error.retryable else (500, "INTERNAL_ERROR")
            headers = {"Retry-After": "5"} if error.retryable else None
            return refusal_response(request, Refused(status, code, "Please try again.", headers))
        except Exception:
            _log.exception("chat_rest.failed")
            return refusal_response(request, Refused(500, "INTERNAL_ERROR", "Something went wrong."))

    async def _create(self, request: web.Request, caller: Caller) -> web.Response:
        body = await self._body(request, bodies.CreateBody, optional=True)
        session_id = await self._deps.conversations.start(
            self._info(caller, body),
            channel=_CHANNELS[body.channel or "api"],
            session_id=_repeatable_id(request, caller),
        )
        stored = await self._deps.conversations.session(session_id)
        if stored is not None and not stored.session.joined and stored.session.ended is None:
            await self._deps.conversations.join(session_id, caller.connector)
        begun = await self._until(session_id, self._deps.limits.answer_s, lambda idle: self._greeting(session_id, idle))
        if begun is None:
            raise Refused(400, "CHAT_TIMEOUT", "The virtual agent did not greet in time.")
        if begun.failed:
            raise Refused(500, "CHAT_START_FAILED", "The virtual agent could not begin. Try again.")
        return _json(bodies.CreateAnswer(conversation_id=session_id, response=begun.text), begun.through)

    def _info(self, caller: Caller, body: bodies.CreateBody) -> SessionInfo:
        attributes = body.integration_attributes or {}
        if len(msgspec.json.encode(attributes)) > self._deps.limits.attributes_bytes:
            raise invalid(f"integration_attributes: larger than {self._deps.limits.attributes_bytes} bytes")
        connector = caller.connector
        return SessionInfo(
            connector_id=connector.id,
            project_id=connector.project_id,
            subject=_SUBJECT,
            environment=connector.environment,
            variant=body.variant_id or connector.variant,
            platform="custom",
            language=body.tts_lang_code or body.asr_lang_code or "",
            integration_attributes={name: _attribute(value) for name, value in attributes.items()},
        )

    async def _greeting(self, session_id: str, idle: bool) -> Answer | None:
        """What was said, or a silent answer once a start turn is known to be over without a word."""
        over = idle and await self._over(session_id, "start-")  # asked first: what it said is then in the log
        found = greeting(await self._deps.conversations.events(session_id, 0, _PAGE))
        if found is None and over:
            stored = await self._deps.conversations.session(session_id)
            return Answer(through=stored.session.last_sequence if stored else 0)
        return found

    async def _respond(self, request: web.Request, caller: Caller) -> web.Response:
        body = await self._body(request, bodies.RespondBody)
        given = _idempotency_key(request)
        stored = await self._conversation(caller, body.conversation_id)
        session_id, text = stored.session.id, body.message.strip()
        if stored.session.ended is not None:
            raise conversation_ended()
        if len(text.encode()) > self._deps.limits.text_bytes:
            raise invalid(f"message: larger than {self._deps.limits.text_bytes} bytes")
        self._deps.conversations.seen(session_id)
        if not text:
            return _said(session_id, Answer(through=stored.session.last_sequence))
        try:
            done = await self._deps.conversations.post(session_id, text, client_ref=f"rest:{given}" if given else "")
        except SessionNotFound:
            raise conversation_ended() from None
        message = done.events[0]
        answered = await self._until(
            session_id, self._deps.limits.answer_s, lambda idle: self._response(session_id, message, idle)
        )
        if answered is None:
            text = (
                "The virtual agent did not answer in time. Ask again with the same Idempotency-Key, or read the events."
            )
            raise Refused(400, "CHAT_TIMEOUT", text)
        return _said(session_id, answered)

    async def _response(self, session_id: str, message: Recorded, idle: bool) -> Answer | None:
        stored = await self._deps.conversations.session(session_id)
        if stored is None:
            raise no_conversation()
        waiting = any(m.sequence == message.sequence for m in stored.session.unanswered)
        if waiting and not (idle and await self._over(session_id, getattr(message.event, "message_id", ""))):
            return None
        log = await self._deps.conversations.events(session_id, message.sequence, _PAGE)
        return response(log, message.sequence)

    async def _close(self, request: web.Request, caller: Caller) -> web.Response:
        body = await self._body(request, bodies.CloseBody)
        stored = await self._conversation(caller, body.conversation_id)
        if stored.session.ended is None:
            with contextlib.suppress(SessionNotFound):
                await self._deps.conversations.end_by_user(stored.session.id)
        return _json(bodies.CloseAnswer(success=True))

    async def _events(self, request: web.Request, caller: Caller) -> web.Response:
        after, wait = _number(request, "after", 1 << 53), _number(request, "wait", MAX_WAIT_S)
        stored = await self._conversation(caller, request.query.get("conversation_id", ""))
        session_id = stored.session.id
        self._deps.conversations.seen(session_id)

        async def news(_: bool) -> list[Recorded] | None:
            return await self._deps.conversations.events(session_id, after, _PAGE) or None

        log = await self._until(session_id, 0 if stored.session.ended else wait, news) or []
        self._deps.conversations.seen(session_id)
        return _json(
            bodies.EventsAnswer(
                conversation_id=session_id,
                events=[msgspec.json.decode(encode_event(recorded)) for recorded in log],
                ended=_has_end(log) if log else stored.session.ended is not None,
            ),
            log[-1].sequence if log else after,
        )

    async def _conversation(self, caller: Caller, session_id: str) -> StoredSession:
        stored = await self._deps.conversations.session(session_id)
        if stored is None or (stored.info.subject, stored.info.connector_id) != (_SUBJECT, caller.connector.id):
            raise no_conversation()
        return stored

    async def _over(self, session_id: str, turn: str) -> bool:
        """Whether a turn whose id begins so is finished; one that says nothing leaves only its record."""
        return any(turn_id.startswith(turn) for turn_id, _ in await self._deps.turn_records(session_id))

    async def _until(self, session_id: str, seconds: float, look: Callable[[bool], Awaitable[T | None]]) -> T | None:
        """What `look` finds in at most that many seconds; it looks at every news, and (True) when there was none."""
        news, idle = asyncio.Event(), False

        def hear(signal: Signal) -> None:
            if isinstance(signal, Poke):
                news.set()

        stop = self._deps.bus.listen(session_id, hear)
        deadline = self._deps.clock.monotonic() + seconds
        try:
            while True:
                news.clear()
                found = await look(idle)
                left = deadline - self._deps.clock.monotonic()
                if found is not None or left <= 0:
                    return found
                idle = False
                try:
                    async with asyncio.timeout(min(left, _LOOK_EVERY_S)):
                        await news.wait()
                except TimeoutError:
                    idle = True
        finally:
            stop()

    async def _body(self, request: web.Request, kind: type[T], *, optional: bool = False) -> T:
        raw = await read_body(request, self._deps.limits.body_bytes)
        if optional and not raw.strip():
            raw = b"{}"
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise invalid("The body is not JSON.") from None


def _has_end(log: Sequence[Recorded]) -> bool:
    return any(isinstance(recorded.event, SessionEnded) for recorded in log)


def _attribute(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _idempotency_key(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise invalid("Idempotency-Key: 1 to 128 visible ASCII characters")
    return key


def _repeatable_id(request: web.Request, caller: Caller) -> str:
    """The session's id when the call has an idempotency key: the same key makes the same conversation."""
    given = _idempotency_key(request)
    if not given:
        return ""
    digest = hashlib.sha256("\0".join((caller.key_id, caller.connector.id, given)).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _number(request: web.Request, name: str, most: int) -> int:
    given = request.query.get(name, "0")
    if not _NUMBER.fullmatch(given) or int(given) > most:
        raise invalid(f"{name}: must be a whole number from 0 to {most}")
    return int(given)


def _said(session_id: str, answer: Answer) -> web.Response:
    told = bodies.RespondAnswer(
        conversation_id=session_id,
        response=answer.text,
        end_conversation=answer.ended or answer.handoff is not None,
    )
    if answer.handoff is not None:
        told.handoff = bodies.HandoffTold(destination=answer.handoff.destination, reason=answer.handoff.reason)
    return _json(told, answer.through)


def _json(body: msgspec.Struct, through: int | None = None) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if through is not None:
        headers[SEQUENCE] = str(through)
    return web.Response(body=msgspec.json.encode(body), content_type="application/json", headers=headers)
