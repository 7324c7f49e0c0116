"""Where contact centres deliver: check, store, answer.

Only confirmations are also understood in the request: what they mean is stored with them (docs/adr/0021).
"""

import asyncio

import structlog
from aiohttp import web

from warmline.delivery.calls import Providers
from warmline.delivery.inbox import Inbox
from warmline.delivery.metrics import DeliveryMetrics
from warmline.domain.errors import StoreUnavailable
from warmline.handoff.contract import WebhookRefused, WebhookRequest
from warmline.ports import Clock

_log = structlog.get_logger(__name__)

BODY_LIMIT = 1024 * 1024
"""Bytes (webex-byoc.md §11.3)."""

_READ_WITHIN_S = 10.0
_COMPLAIN_EVERY_S = 60.0


class Hooks:
    """The webhook endpoint of all providers. Never redirects, never answers 429 (webex-byoc.md §11.3)."""

    def __init__(self, inbox: Inbox, providers: Providers, clock: Clock, metrics: DeliveryMetrics) -> None:
        self._inbox = inbox
        self._providers = providers
        self._clock = clock
        self._metrics = metrics
        self._complained: dict[str, float] = {}
        self.ready = False
        """All connections are known. Until then an unknown one may come to be known: they shall try again."""

    def routes(self) -> list[web.RouteDef]:
        """What to add to the server's router."""
        return [web.post("/hooks/{provider}/{connection_id}/{endpoint}", self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one webhook; 200 means that it is durable, or that nobody needs it."""
        connection_id = request.match_info["connection_id"]
        connection = self._providers.connection(connection_id)
        provider = self._providers.get(connection_id)
        if connection is None or provider is None or connection.provider != request.match_info["provider"]:
            self._metrics.webhooks.labels("", "unknown_connection").inc()
            return _answer(404, "unknown_connection") if self.ready else _answer(503, "starting")
        try:
            webhook = WebhookRequest(
                endpoint=request.match_info["endpoint"],
                headers=request.headers,
                body=await _read(request),
                received_at=self._clock.now(),
            )
            receipt = provider.verify(webhook)
            if receipt is None:
                return self._answered(connection_id, "ignored", _answer(200))
            self._metrics.webhook_heard.labels(connection_id, webhook.endpoint).set(webhook.received_at / 1000)
            new = await self._inbox.accept(connection_id, webhook.endpoint, receipt, webhook.body)
        except WebhookRefused as error:
            self._complain(connection_id, error)
            return self._answered(connection_id, error.code, _answer(error.status, error.code))
        except StoreUnavailable as error:
            return self._answered(connection_id, error.code, _answer(503, error.code))
        return self._answered(connection_id, "accepted" if new else "duplicate", _answer(200))

    def _answered(self, connection_id: str, result: str, response: web.Response) -> web.Response:
        self._metrics.webhooks.labels(connection_id, result).inc()
        return response

    def _complain(self, connection_id: str, error: WebhookRefused) -> None:
        """Tell the operator, but not once per forgery."""
        now = self._clock.monotonic()
        if now - self._complained.get(connection_id, -_COMPLAIN_EVERY_S) >= _COMPLAIN_EVERY_S:
            self._complained[connection_id] = now
            _log.warning("webhook.refused", connection_id=connection_id, code=error.code, status=error.status)


async def _read(request: web.Request) -> bytes:
    if (request.content_length or 0) > BODY_LIMIT:
        raise WebhookRefused("too_large", 413)
    if (request.content_length or 0) and request.content.is_eof():
        # It is here already, as it mostly is: no need to watch the time.
        return request.content.read_nowait()
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_READ_WITHIN_S):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > BODY_LIMIT:
                    raise WebhookRefused("too_large", 413)
                chunks.append(chunk)
    except TimeoutError as error:
        raise WebhookRefused("too_slow", 408) from error
    return b"".join(chunks)


def _answer(status: int, code: str = "") -> web.Response:
    body = b'{"error":"%s"}' % code.encode() if code else b"{}"
    return web.Response(status=status, body=body, content_type="application/json")
