"""What every API request passes before its handler: faults, token, rate limit, scope, organization (§6, §20.1)."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from warmline.emulators.webex.errors import ApiError, error_body, json_response
from warmline.emulators.webex.faults import Effect, Faults
from warmline.emulators.webex.oauth import OAuth
from warmline.emulators.webex.state import World


@dataclass(slots=True, frozen=True)
class Endpoint:
    """One call of the emulated API.

    `name` is what faults and the record of requests call it, `scope` what the token needs (None: open to all),
    `integer_key` the form of `error.key` (§6).
    """

    name: str
    handler: "Callable[[Call], Awaitable[web.Response]]"
    scope: str | None
    integer_key: bool = False


@dataclass(slots=True)
class Call:
    """A request that passed the checks. `raw` is its body."""

    request: web.Request
    raw: bytes
    tracking_id: str

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the body.

        Raises:
            ApiError: 400 when it is something else.
        """
        try:
            value = msgspec.json.decode(self.raw)
        except msgspec.DecodeError as problem:
            raise ApiError(400, f"The body is not valid JSON: {problem}") from problem
        if not isinstance(value, dict):
            raise ApiError(400, "The body must be a JSON object")
        return value


class Access:
    """Lets requests of the emulated API in, or not, and remembers them."""

    def __init__(self, world: World, faults: Faults, oauth: OAuth) -> None:
        self._world = world
        self._faults = faults
        self._oauth = oauth
        self.requests: deque[dict[str, Any]] = deque(maxlen=world.settings.record_limit)

    async def serve(self, request: web.Request, endpoint: Endpoint) -> web.StreamResponse:
        """Answer one request: checks, then the endpoint's handler."""
        started = time.perf_counter()
        raw = await request.read()
        tracking_id = request.headers.get("TrackingId") or f"SIM_{self._world.ids.uuid('tracking')}"
        call = Call(request, raw, tracking_id)
        fault = self._faults.for_request(endpoint.name, request.path, request.match_info.get("task_id", ""))
        try:
            if fault is not None and fault.when == "before":
                await _suffer(fault)
            if endpoint.scope is not None:
                self._admit(request, endpoint.scope)
            response = await endpoint.handler(call)
            if fault is not None and fault.when == "after":
                await _suffer(fault)
            if fault is not None and fault.nonsense:
                nonsense = "<html>Thank you.</html>"
                response = web.Response(status=response.status, text=nonsense, content_type="text/html")
        except ApiError as error:
            response = _refusal(error, tracking_id, endpoint.integer_key)
        except _Cut:
            response = web.Response(status=499)
            if request.transport is not None:
                request.transport.abort()
        response.headers["TrackingId"] = tracking_id
        self._remember(call, endpoint.name, response.status, (time.perf_counter() - started) * 1000)
        return response

    def _admit(self, request: web.Request, scope: str) -> None:
        access = self._oauth.authenticate(request.headers.get("Authorization"))
        self._oauth.count(access)
        if scope not in access.scopes:
            raise ApiError(403, f"The access token lacks the scope {scope}")
        org_id = request.query.get("orgId") or request.match_info.get("org_id")
        if org_id and org_id.lower() != self._world.settings.org_id:
            raise ApiError(403, "The access token belongs to another organization")

    def _remember(self, call: Call, endpoint: str, status: int, latency_ms: float) -> None:
        request = call.request
        self.requests.append(
            {
                "at": self._world.clock.now_ms(),
                "method": request.method,
                "path": request.path_qs,
                "endpoint": endpoint,
                "taskId": request.match_info.get("task_id"),
                "status": status,
                "trackingId": call.tracking_id,
                "latencyMs": round(latency_ms, 3),
                "body": b"" if endpoint == "token" else call.raw,
            }
        )

    def views(self) -> list[dict[str, Any]]:
        """Return the remembered requests as the control plane shows them, oldest first; no secrets among them."""
        return [{**request, "body": _readable(request["body"])} for request in self.requests]


class _Cut(Exception):
    """The connection is to be cut without an answer."""


async def _suffer(effect: Effect) -> None:
    if effect.delay_ms:
        await asyncio.sleep(effect.delay_ms / 1000)
    if effect.drop:
        raise _Cut
    if effect.status is not None:
        retry_after_s = effect.retry_after if effect.retry_after is not None else 1
        raise ApiError(
            effect.status, "Injected fault", retry_after_s=retry_after_s if effect.status == 429 else effect.retry_after
        )


def _refusal(error: ApiError, tracking_id: str, integer_key: bool) -> web.Response:
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s is not None else None
    return json_response(error_body(error, tracking_id, integer_key), error.status, headers)


def _readable(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw.decode("utf-8", "replace")
