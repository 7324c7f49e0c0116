"""Applied to every request: correlation, error envelope, security headers."""

import re

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from warmline.ports import Ids
from warmline.web.errors import error_response

_log = structlog.get_logger(__name__)

CORRELATION = "X-PolyAI-Correlation-Id"
_CORRELATION_VALUE = re.compile(r"[A-Za-z0-9._-]{1,64}")
CORRELATION_ID = web.RequestKey("correlation_id", str)

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: https:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
"""Content security policies of responses that set none: for data, and for HTML pages."""


def install(app: web.Application, ids: Ids) -> None:
    """Give `app` what every surface needs. Call it once, on the outermost application.

    Each response carries `X-PolyAI-Correlation-Id` (the request's own value when it is a sane one), a content
    security policy and `nosniff`; errors that no handler answers become the JSON envelope.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(CORRELATION, "")
        correlation_id = given if _CORRELATION_VALUE.fullmatch(given) else ids.uuid()
        request[CORRELATION_ID] = correlation_id
        structlog.contextvars.bind_contextvars(correlation_id=correlation_id)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return error_response(error.status, error.reason, allow)
        except Exception:
            _log.exception("web.request_failed", method=request.method, route=_route(request))
            return error_response(500, "UNKNOWN_ERROR")

    app.middlewares.append(guard)
    app.on_response_prepare.append(_complete)


async def _complete(request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    if CORRELATION_ID in request:
        headers[CORRELATION] = request[CORRELATION_ID]
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    html = response.content_type == "text/html"
    headers.setdefault("Content-Security-Policy", PAGE_POLICY if html else DATA_POLICY)


def _route(request: web.Request) -> str:
    """The route's pattern: the path itself may hold tokens."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
