"""Who calls the chat REST API, and for which project."""

from dataclasses import dataclass

from aiohttp import web

from warmline.channels.chat_rest.deps import ChatDeps
from warmline.channels.chat_rest.refusals import Refused
from warmline.ports import Connector
from warmline.web.limits import RateLimiter, retry_after
from warmline.web.requests import client_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An API key and a connector token that fit each other and the path's project."""

    key_id: str
    connector: Connector


class Entry:
    """Checks callers: X-API-KEY says who calls, X-TOKEN which project, variant and environment are meant."""

    def __init__(self, deps: ChatDeps) -> None:
        self._deps = deps
        self._requests = RateLimiter(deps.limits.requests, deps.clock)
        self._strangers = RateLimiter(deps.limits.strangers, deps.clock)

    async def caller(self, request: web.Request) -> Caller:
        """Who calls. Raises Refused, StoreUnavailable."""
        key = await self._deps.keys.find(request.headers.get("X-API-KEY", "").strip())
        if key is None:
            raise self._stranger(request, "X-API-KEY: missing or not a key of this installation.")
        connector = await self._deps.connectors.by_token(request.headers.get("X-TOKEN", "").strip())
        if connector is None:
            raise self._stranger(request, "X-TOKEN: missing or not a connector token of this installation.")
        wait = self._requests.take(key.id)
        if wait:
            raise _too_many(wait)
        project_id = request.match_info["project_id"]
        if project_id not in self._deps.projects:
            raise Refused(404, "PROJECT_NOT_FOUND", "There is no such project.")
        if not key.opens(project_id):
            raise Refused(403, "FORBIDDEN", "The API key is for another project.")
        if connector.project_id != project_id:
            raise Refused(403, "FORBIDDEN", "The connector token is for another project.")
        return Caller(key_id=key.id, connector=connector)

    def _stranger(self, request: web.Request, text: str) -> Refused:
        """Whoever tries keys is slowed down."""
        wait = self._strangers.take(client_address(request, self._deps.limits.trusted_proxies))
        return _too_many(wait) if wait else Refused(401, "UNAUTHORIZED", text)


def _too_many(wait: float) -> Refused:
    return Refused(429, "TOO_MANY_REQUESTS", "Too many requests.", {"Retry-After": retry_after(wait)})
