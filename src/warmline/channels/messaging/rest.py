"""The REST half of the handshake (messaging-protocol.md §2, §10)."""

import re
from typing import Any

import msgspec
import structlog
from aiohttp import web

from warmline.channels.messaging import bodies
from warmline.channels.messaging.context import MAX_TOKEN_BYTES, ContextRefused, ContextTokens, generation
from warmline.channels.messaging.deps import MessagingDeps
from warmline.channels.messaging.tokens import LIFETIME_S, AccessTokens, InvalidToken
from warmline.ports import Connector, SessionInfo
from warmline.web.cors import open_to_pages
from warmline.web.errors import error_response
from warmline.web.hosts import host_matches
from warmline.web.limits import RateLimiter, retry_after
from warmline.web.requests import client_address, read_body

_log = structlog.get_logger(__name__)

_PLATFORMS = frozenset({"web", "ios", "android", "ios-web", "android-web", "custom"})
_DEVICE_TYPES = frozenset({"mobile", "tablet", "desktop"})
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")


class Rest:
    """Handlers of the REST calls.

    Anything that is not the caller's fault is a 500: clients take 401 and 403 for a dead connector (§2.3).
    """

    def __init__(self, deps: MessagingDeps, tokens: AccessTokens) -> None:
        self._deps = deps
        self._tokens = tokens
        self._contexts = ContextTokens(deps.context_keys, deps.clock)
        self._requests = RateLimiter(deps.limits.requests, deps.clock)

    async def access_token(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/access-token: a connector token and a host for an access token."""
        return await self._answer(request, self._access_token, "Failed to create access token")

    async def sessions(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/sessions: an access token for a session."""
        return await self._answer(request, self._sessions, "Failed to create session")

    async def context(self, request: web.Request) -> web.StreamResponse:
        """PUT /api/v1/sessions/{session_id}/context: a token of the page's server for facts about the customer (§12).

        The last one counts, as a whole. 404: no such session, or its connector takes none; 413: the token is too large.
        """
        return await self._answer(request, self._context, "Failed to store context")

    async def _answer(self, request: web.Request, work: Any, failure: str) -> web.StreamResponse:
        wait = self._requests.take(client_address(request, self._deps.limits.trusted_proxies))
        if wait:
            response = error_response(429, "Too many requests", {"Retry-After": retry_after(wait)})
        else:
            try:
                response = await work(request)
            except web.HTTPException as error:
                response = error_response(error.status, error.reason)
            except Exception:
                _log.exception("messaging.rest_failed", failure=failure)
                response = error_response(500, failure)
        open_to_pages(response)
        return response

    async def _access_token(self, request: web.Request) -> web.Response:
        await read_body(request, self._deps.limits.body_bytes)
        token = request.headers.get("X-Token", "").strip()
        host = request.headers.get("X-Host", "").strip()
        if not token or not host:
            return error_response(401, "Missing authentication headers")
        connector = await self._deps.connectors.by_token(token)
        if connector is None:
            return error_response(401, "Connector token does not exist")
        if not connector.host:
            return error_response(401, "Connector missing host domain")
        if not host_matches(connector.host, host):
            return error_response(401, "Failed to validate connector")
        return _json(bodies.AccessTokenAnswer(access_token=self._tokens.issue(connector.id), expires_in=LIFETIME_S))

    async def _sessions(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        if not authorization.strip():
            return error_response(400, "Missing access token")
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return error_response(401, "Missing authentication headers")
        try:
            claims = self._tokens.verify(token.strip())
        except InvalidToken:
            return error_response(401, "Invalid access token")
        wishes = _parse(await read_body(request, self._deps.limits.body_bytes))
        if wishes is None:
            return error_response(400, "Error parsing request")
        connector = await self._deps.connectors.by_id(claims.connector_id)
        if connector is None:
            return error_response(401, "Invalid access token")
        context_id = self._deps.ids.uuid() if generation(connector) else ""
        session_id = await self._deps.conversations.start(
            _info(connector, claims.subject, wishes, context_id), streaming=wishes.get("streaming_enabled") is True
        )
        return _json(bodies.SessionAnswer(session_id=session_id))

    async def _context(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        try:
            claims = self._tokens.verify(token.strip() if scheme.lower() == "bearer" else "")
        except InvalidToken:
            return error_response(401, "Invalid access token")
        stored = await self._deps.conversations.session(request.match_info["session_id"])
        if stored is None or stored.session.ended is not None or not stored.info.context_id:
            return error_response(404, "session not found, or without verified context")
        connector = await self._deps.connectors.by_id(stored.info.connector_id)
        if stored.info.subject != claims.subject or connector is None:
            return error_response(401, "Invalid access token")
        body = _parse(await read_body(request, self._deps.limits.body_bytes))
        given = body.get("token") if body else None
        if not isinstance(given, str):
            return error_response(400, "token: must be a text")
        if len(given.encode()) > MAX_TOKEN_BYTES:
            return error_response(413, f"token: larger than {MAX_TOKEN_BYTES} bytes")
        try:
            facts = self._contexts.verify(given, connector, stored.info.context_id)
        except ContextRefused as refused:
            return error_response(401, str(refused))
        await self._deps.contexts.save_context(stored.session.id, facts)
        return web.Response(status=204)


def _json(value: msgspec.Struct) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)


def _parse(body: bytes) -> dict[str, Any] | None:
    """The body's object, {} when there is none, None when it is not one."""
    if not body.strip():
        return {}
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _info(connector: Connector, subject: str, wishes: dict[str, Any], context_id: str) -> SessionInfo:
    """Unknown values are ignored, not refused: clients add some over time (§2.2)."""
    platform, device_type, language = (wishes.get(key) for key in ("platform", "device_type", "language"))
    return SessionInfo(
        connector_id=connector.id,
        project_id=connector.project_id,
        subject=subject,
        environment=connector.environment,
        variant=connector.variant,
        context_id=context_id,
        platform=platform if isinstance(platform, str) and platform in _PLATFORMS else "web",
        device_type=device_type if isinstance(device_type, str) and device_type in _DEVICE_TYPES else "",
        language=language if isinstance(language, str) and _LANGUAGE.fullmatch(language) else "",
    )
