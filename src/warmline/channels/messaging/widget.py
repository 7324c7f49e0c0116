"""Serving the widget: the script that a page embeds, and its modules (messaging-protocol.md §15.1)."""

import hashlib

import structlog
from aiohttp import web

from warmline import widget
from warmline.channels.messaging.connectors import ConnectorDirectory
from warmline.ports import Connector
from warmline.web.cors import open_to_pages
from warmline.web.errors import error_response
from warmline.web.hosts import normal_host

_log = structlog.get_logger(__name__)

_FOR_EVER = "public, max-age=31536000, immutable"
_SHORTLY = "public, max-age=60"
_NOT_KEPT = "no-cache"


class WidgetFiles:
    """Handlers of `/widget/…`.

    What the operator configured lies in the connector's settings under "widget", by the names of
    `warmline.widget.embed_script`.
    """

    def __init__(self, connectors: ConnectorDirectory) -> None:
        self._connectors = connectors

    async def script(self, request: web.Request) -> web.StreamResponse:
        """GET /widget/{token}.js: changes of the configuration show at the next page load."""
        connector = await self._connectors.by_token(request.match_info["token"])
        if connector is None:
            response = error_response(404, "Connector token does not exist")
            open_to_pages(response)
            return response
        script = widget.embed_script(_config(connector)).encode()
        return _answer(request, script, _SHORTLY, _etag(script))

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """GET /widget/assets/{version}/{name}: files of this very version, for ever.

        Whoever asks for another version has the embed script of before or after an upgrade: this version's files
        serve it, and are not kept under that name.
        """
        body = widget.ASSETS.get(request.match_info["name"])
        if body is None:
            response = error_response(404, "Not Found")
            open_to_pages(response)
            return response
        current = request.match_info["version"] == widget.VERSION
        return _answer(request, body, _FOR_EVER if current else _NOT_KEPT, f'"{widget.VERSION}"')


def _config(connector: Connector) -> dict[str, object]:
    own = connector.settings.get("widget")
    configured = dict(own) if isinstance(own, dict) else {}
    named = {"agent_name": connector.agent_name} if connector.agent_name else {}
    return {**named, **configured, "token": connector.token, "host": normal_host(connector.host)}


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def _answer(request: web.Request, body: bytes, caching: str, etag: str) -> web.Response:
    headers = {"Cache-Control": caching, "ETag": etag}
    known = (tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(","))
    if etag in known:
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=body, headers={**headers, "Content-Type": widget.CONTENT_TYPE})
        response.enable_compression()
    open_to_pages(response)
    return response
