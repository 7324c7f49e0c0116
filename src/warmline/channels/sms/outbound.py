"""Texts that another system begins: `POST /v1/outbound-sms` (messaging-protocol.md §17.5)."""

import re
import uuid
from collections.abc import Mapping

import msgspec
import structlog
from aiohttp import web

from warmline.channels.sms.connections import SmsConnections, numbers
from warmline.channels.sms.reference import MESSAGE_CHARS, OutboundBody, OutboundRefusal
from warmline.channels.sms.sessions import Sessions
from warmline.conversation.service import Conversations
from warmline.domain.commands import Abandon
from warmline.domain.errors import SessionNotFound, StoreUnavailable
from warmline.domain.events import EndReason
from warmline.ports import Clock, Connection, Ids, Store
from warmline.web.keys import ApiKeys
from warmline.web.limits import RateLimit, RateLimiter, retry_after
from warmline.web.requests import read_body

_log = structlog.get_logger(__name__)

_BODY_BYTES = 16 * 1024
_PER_PROJECT = RateLimit(count=100, seconds=60)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_FIELD = re.compile(r"(?:field `|at `\$\.)(\w+)`\Z")
"""The field that msgspec's errors end with."""
_MEANT = {
    "user_number": "must be an international number such as +14155550100",
    "message": f"must be a text of at most {MESSAGE_CHARS} characters",
    "agent_number": "must be a text",
}
_MESSAGES = uuid.UUID("c6a0f7c2-51b7-4c6f-8d0e-6b4f2f0f7a11")
"""Namespace of the ids of first messages."""


class _Wrong(Exception):
    """The request is not carried out; `status` and `detail` are the answer."""

    def __init__(self, status: int, detail: str, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.wait = wait


class OutboundApi:
    """Begins a session with a message of its own; the customer's reply lands in it.

    202 means that the text is on disk. Errors are `{"detail": …}`: 400 the body, 401 the key, 403 the key is another
    project's, 404 no such connection, 409 a live agent is with the customer, 413 the body is too large, 429 too many
    for the project. The same `Idempotency-Key` again is one request.
    `X-TOKEN-ID` is the id or name of the SMS connection.
    """

    def __init__(
        self,
        store: Store,
        conversations: Conversations,
        connections: SmsConnections,
        sessions: Sessions,
        keys: ApiKeys,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._connections = connections
        self._sessions = sessions
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._limiter = RateLimiter(_PER_PROJECT, clock)

    def routes(self) -> list[web.RouteDef]:
        """What to add to the server's router; the second path is the older one."""
        return [web.post("/v1/outbound-sms", self._post), web.post("/public_api/sms/outbound", self._post)]

    async def _post(self, request: web.Request) -> web.Response:
        try:
            await self._answer(request)
        except _Wrong as wrong:
            headers = {"Retry-After": retry_after(wrong.wait)} if wrong.wait else {}
            return _detail(wrong.status, wrong.detail, headers)
        except web.HTTPRequestEntityTooLarge:
            return _detail(413, f"the body is larger than {_BODY_BYTES} bytes")
        except StoreUnavailable:
            return _detail(503, "the message could not be stored; try again", {"Retry-After": "2"})
        return web.Response(status=202)

    async def _answer(self, request: web.Request) -> None:
        connection = await self._connection(request.headers)
        idempotency_key = request.headers.get("Idempotency-Key", "") or self._ids.uuid()
        if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise _Wrong(400, "Idempotency-Key: at most 255 visible ASCII characters")
        customer, number, message = _read(await read_body(request, _BODY_BYTES), connection)
        if wait := self._limiter.take(connection.project_id):
            raise _Wrong(429, "too many messages for this project", wait)
        await self._begin(connection, number, customer, message, f"outbound/{idempotency_key}")

    async def _connection(self, headers: Mapping[str, str]) -> Connection:
        key = await self._keys.find(headers.get("X-PolyAi-Auth-Token", ""))
        if key is None:
            raise _Wrong(401, "X-PolyAi-Auth-Token: no such API key")
        wanted = headers.get("X-TOKEN-ID", "")
        found = [c for c in await self._connections.all() if wanted and wanted in (c.id, c.name)]
        if not found:
            raise _Wrong(404, "X-TOKEN-ID: no such SMS connection")
        allowed = [c for c in found if key.project_id in ("", c.project_id)]
        if not allowed:
            raise _Wrong(403, "the API key is for another project")
        return allowed[0]

    async def _begin(self, connection: Connection, number: str, customer: str, message: str, cause: str) -> None:
        """A customer who has unsubscribed gets a session too, but no text: `outgoing` sees to that."""
        line = self._sessions.line(connection, number, customer)
        while True:
            known = await self._store.line(connection.id, number, customer)
            before = await self._conversations.session(known.session_id) if known.session_id else None
            if before is not None and before.session.active_handoff is not None:
                raise _Wrong(409, "a live agent is in conversation with this customer")
            taken = await self._sessions.begin(connection, line, cause, instead_of=known.session_id)
            stored = await self._conversations.session(taken)
            # Somebody else may have begun one at the same time: then once more, in its place.
            if stored is not None and taken == self._sessions.id_of(connection, cause):
                break
        if before is not None and before.session.id != taken:
            await self._close(before.session.id)
        greeting_id = str(uuid.uuid5(_MESSAGES, taken))
        try:
            await self._sessions.join(connection, taken, greeting=message, greeting_id=greeting_id)
        except SessionNotFound:
            _log.info("sms.outbound_repeated_after_the_end", session_id=taken)

    async def _close(self, session_id: str) -> None:
        """The earlier conversation of the line is over: what the customer writes from now on belongs to this one."""
        await self._conversations.apply(session_id, Abandon(at=self._clock.now(), reason=EndReason.NATURAL_END))


def _read(body: bytes, connection: Connection) -> tuple[str, str, str]:
    """Customer, our number, message. Raises _Wrong, naming the field."""
    try:
        data = msgspec.json.decode(body, type=OutboundBody)
    except msgspec.ValidationError as error:
        field = _FIELD.search(str(error))
        if field is None:
            raise _Wrong(400, "the body must be a JSON object") from None
        raise _Wrong(400, f"{field[1]}: {_MEANT[field[1]]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Wrong(400, "the body must be a JSON object") from None
    number = data.agent_number or numbers(connection)[0]
    if number not in numbers(connection):
        raise _Wrong(400, "agent_number: is not one of this connection's numbers")
    return data.user_number, number, data.message


def _detail(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(OutboundRefusal(detail=detail))
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
