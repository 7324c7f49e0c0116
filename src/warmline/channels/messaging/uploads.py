"""A customer's file (our extension of the protocol, whose own client events carry none; webex-byoc.md §13.1)."""

import asyncio
import re
from functools import partial

import msgspec
import structlog
from aiohttp import web

from warmline.channels.messaging.bodies import FileAnswer
from warmline.channels.messaging.deps import MessagingDeps
from warmline.channels.messaging.intents import TOO_LARGE
from warmline.channels.messaging.tokens import AccessTokens, InvalidToken
from warmline.domain import texts
from warmline.domain.errors import RuleViolation, SessionNotFound, StoreUnavailable
from warmline.domain.messages import FileRules
from warmline.files import FileRefused, clean_name, identify
from warmline.files.relay import CUSTOMER_TTL_S
from warmline.ports import MAX_FILE_BYTES, StoredSession
from warmline.web.cors import open_to_pages
from warmline.web.errors import error_response
from warmline.web.limits import RateLimiter, retry_after
from warmline.web.requests import client_address, read_body

_log = structlog.get_logger(__name__)

_REF = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_READ_WITHIN_S = 120.0
_STATUS = {"files_not_taken": 409, "file_count": 409, "file_size": 413, "file_type": 415}
_BUSY = "Please try again in a moment."
_TOO_FAST = "You are sending files too quickly. Please wait a moment and try again."


class Uploads:
    """Handler of `POST /api/v1/sessions/{session_id}/files?name=…&text=…&local_id=…`.

    The body is the file itself. 201 means that the message is accepted: its USER_MESSAGE with the attachment is in
    the log, and the same `local_id` again gives the same one. Refusals say in one sentence why: 401 no valid token,
    404 no such session, 409 nobody takes files now, 413 too large, 415 not such a file, 429 too fast.
    """

    def __init__(self, deps: MessagingDeps, tokens: AccessTokens) -> None:
        self._deps = deps
        self._tokens = tokens
        self._requests = RateLimiter(deps.limits.requests, deps.clock)
        self._files = RateLimiter(deps.limits.files, deps.clock)
        self._arriving = 0

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Answer one upload."""
        response = await self._answer(request)
        response.headers["Cache-Control"] = "no-store"
        open_to_pages(response)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        session_id = request.match_info["session_id"]
        wait = self._requests.take(client_address(request, self._deps.limits.trusted_proxies))
        if wait:
            return error_response(429, _TOO_FAST, {"Retry-After": retry_after(wait)})
        try:
            stored = await self._session(request, session_id)
            rules = stored.session.file_rules
            if rules is None:
                return error_response(409, texts.FILES_NOT_TAKEN)
            if wait := self._files.take(session_id):
                return error_response(429, _TOO_FAST, {"Retry-After": retry_after(wait)})
            return await self._take(request, session_id, rules)
        except InvalidToken:
            return error_response(401, "Invalid access token")
        except SessionNotFound:
            return error_response(404, "session not found")
        except FileRefused as error:
            return error_response(error.status, error.public_message)
        except RuleViolation as error:
            _log.info("messaging.file_refused", session_id=session_id, code=error.code)
            return error_response(_STATUS.get(error.code, 409), error.public_message or "Not possible")
        except web.HTTPRequestEntityTooLarge:
            return error_response(413, texts.FILES_REFUSED["size"])
        except TimeoutError:
            return error_response(408, "The file took too long to arrive.")
        except StoreUnavailable as error:
            _log.warning("messaging.file_failed", session_id=session_id, code=error.code)
            return error_response(503, _BUSY, {"Retry-After": "2"})

    async def _take(self, request: web.Request, session_id: str, rules: FileRules) -> web.Response:
        """Take the file unless too many are arriving: each one is in memory until it is stored."""
        if self._arriving >= self._deps.limits.uploads:
            return error_response(503, _BUSY, {"Retry-After": "5"})
        self._arriving += 1
        try:
            return await self._accept(request, session_id, rules)
        finally:
            self._arriving -= 1

    async def _session(self, request: web.Request, session_id: str) -> StoredSession:
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidToken
        claims = self._tokens.verify(token.strip())
        stored = await self._deps.conversations.session(session_id)
        if stored is None or stored.session.ended is not None:
            raise SessionNotFound
        if stored.info.subject != claims.subject:
            raise InvalidToken
        return stored

    async def _accept(self, request: web.Request, session_id: str, rules: FileRules) -> web.Response:
        query, limits, conversations = request.query, self._deps.limits, self._deps.conversations
        text, ref = query.get("text", "").strip(), query.get("local_id", "")
        if len(text.encode()) > limits.text_bytes:
            return error_response(413, TOO_LARGE)
        if ref and not _REF.fullmatch(ref):
            return error_response(400, "local_id: 1 to 128 letters, digits or ._:-")
        name = clean_name(query.get("name", ""))
        async with asyncio.timeout(_READ_WITHIN_S):
            content = await read_body(request, min(rules.max_bytes, MAX_FILE_BYTES))
        kind = identify(name, content)
        if not rules.takes(kind):
            raise FileRefused("file_type", 415, texts.FILES_REFUSED["type"])
        conversations.seen(session_id)
        file = await self._deps.files.keep(session_id, name, kind, content, ttl_s=CUSTOMER_TTL_S)
        post = partial(conversations.post, session_id, text, attachments=(file,))
        done = await (post(custom={"local_id": ref}, client_ref=ref) if ref else post())
        message = next((recorded.event for recorded in done.events), None)
        answer = FileAnswer(message_id=getattr(message, "message_id", ""))
        return web.Response(status=201, body=msgspec.json.encode(answer), content_type="application/json")
