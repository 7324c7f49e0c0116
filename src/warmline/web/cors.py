"""Cross-origin access for the surfaces that other people's pages call."""

from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ALLOWED_HEADERS = "X-Token, X-Host, Content-Type, Authorization, Accept, X-Polyai-Correlation-Id"
_EXPOSED_HEADERS = "X-PolyAI-Correlation-Id, Retry-After"


def open_to_pages(response: web.StreamResponse) -> None:
    """Let any page read the response; no cookies are involved (messaging-protocol.md §2.0)."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"


def preflight(methods: str) -> Handler:
    """A handler of OPTIONS that admits `methods`, e.g. "POST, OPTIONS"."""

    async def answer(_: web.Request) -> web.StreamResponse:
        response = web.Response(status=204)
        open_to_pages(response)
        response.headers["Access-Control-Allow-Methods"] = methods
        response.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = "86400"
        return response

    return answer
