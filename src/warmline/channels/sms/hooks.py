"""The carrier's webhooks: texts from customers, and news of those to them (messaging-protocol.md §17.1, §17.5)."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from warmline.channels.sms.connections import SmsConnections
from warmline.channels.sms.inbound import Inbound
from warmline.channels.sms.outgoing import Outgoing
from warmline.channels.sms.signature import is_genuine
from warmline.channels.sms.wire import EMPTY, inbound_text, text_status
from warmline.domain.errors import StoreUnavailable
from warmline.web.requests import read_body

_log = structlog.get_logger(__name__)

_BODY_BYTES = 64 * 1024
_OVERRIDES = "#rc=5&rp=all"
"""What the guide appends to the webhook so that the carrier tries again. It is not sent, and whether the carrier signs
it is not documented: both are accepted (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides)."""
_STORE_TRIES = 4
_STORE_AGAIN_S = 1.0
"""The carrier hangs up after 15 seconds, and does not come again by itself after a 5xx."""


class Hooks:
    """Handler of `POST /sms/twilio/{connection_id}`.

    200 with an empty TwiML document means that the text is on disk. 403: not the carrier's signature; 404: no such
    connection; 400: signed, but no text; 503: nothing could be stored.
    """

    def __init__(self, connections: SmsConnections, inbound: Inbound, outgoing: Outgoing, public_url: str) -> None:
        self._connections = connections
        self._inbound = inbound
        self._outgoing = outgoing
        self._public_url = public_url

    def routes(self) -> list[web.RouteDef]:
        """What to add to the server's router."""
        return [web.post("/sms/twilio/{connection_id:[^/]+}", self._post)]

    async def _post(self, request: web.Request) -> web.Response:
        body = await read_body(request, _BODY_BYTES)
        for left in reversed(range(_STORE_TRIES)):
            try:
                return await self._answer(request, body)
            except StoreUnavailable:
                if left:
                    await asyncio.sleep(_STORE_AGAIN_S)
        _log.error("sms.webhook_not_stored")
        return web.Response(status=503, headers={"Retry-After": "5"})

    async def _answer(self, request: web.Request, body: bytes) -> web.Response:
        connection = await self._connections.get(request.match_info["connection_id"])
        if connection is None:
            return web.Response(status=404)
        try:
            form = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200)
        except ValueError:
            return web.Response(status=400)
        if request.content_type != "application/x-www-form-urlencoded":
            form = []
        given = request.headers.get("X-Twilio-Signature", "")
        # Behind a proxy the address that was signed is the public one (messaging-protocol.md §17.2).
        url = f"{self._public_url}{request.rel_url.raw_path_qs}"
        token = connection.secrets.get("auth_token")
        tokens = (token,) if token else ()
        if not any(is_genuine(tokens, url + more, form, given, body=body) for more in ("", _OVERRIDES)):
            _log.warning("sms.webhook_refused", connection_id=connection.id)
            return web.Response(status=403)
        fields = dict(form)
        try:
            if fields.get("MessageStatus"):
                await self._news(connection.id, request.query, fields)
            else:
                await self._inbound.accept(connection.id, inbound_text(fields), body)
        except ValueError as error:
            _log.warning("sms.webhook_not_understood", connection_id=connection.id, field=str(error))
            return web.Response(status=400)
        return web.Response(body=EMPTY.encode(), content_type="text/xml", charset="utf-8")

    async def _news(self, connection_id: str, query: Mapping[str, str], fields: Mapping[str, str]) -> None:
        text_id, session_id = query.get("text", ""), query.get("session", "")
        if not text_id.isdigit() or not session_id:
            # A text that was sent by somebody else with the same webhook.
            return
        line = (fields.get("From", ""), fields.get("To", ""))
        again = "again" in query
        await self._outgoing.news(connection_id, session_id, text_id, text_status(fields), line, again=again)
