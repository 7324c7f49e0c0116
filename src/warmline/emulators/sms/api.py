"""The carrier's REST API: messages, media, numbers and the account, as far as texting needs them."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import msgspec
from aiohttp import web

from warmline.emulators.sms.carrier import Carrier, CarrierError
from warmline.emulators.sms.model import E164, Message, resource

_ROOT = "/2010-04-01/Accounts/{account:AC[0-9a-fA-F]{32}}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def error_response(status: int, code: int, message: str, retry_after: int | None = None) -> web.Response:
    """An error as the carrier shows it."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


class Api:
    """Handlers of the API. `requests` keeps which ones came, for inspection."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.requests: list[dict[str, object]] = []

    def routes(self) -> list[web.RouteDef]:
        """What to add to the emulator's router."""
        return [
            web.post(_ROOT + "/Messages.json", self._guarded("send", self._send)),
            web.get(_ROOT + "/Messages.json", self._guarded("list", self._list)),
            web.get(_ROOT + "/Messages/{sid:[A-Z]{2}[0-9a-f]{32}}.json", self._guarded("list", self._one)),
            web.get(_ROOT + "/Messages/{message}/Media.json", self._guarded("media", self._media_list)),
            web.get(_ROOT + "/Messages/{message}/Media/{media}", self._guarded("media", self._media)),
            web.get(_ROOT + "/IncomingPhoneNumbers.json", self._guarded("account", self._numbers)),
            web.get(_ROOT + ".json", self._guarded("account", self._account)),
        ]

    def _guarded(self, endpoint: str, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            settings = self._carrier.world.settings
            self.requests.append({"endpoint": endpoint, "method": request.method, "path": request.path_qs})
            effect = self._carrier.faults.take(endpoint)
            if effect is not None and effect.delay_ms and effect.when == "before":
                await asyncio.sleep(effect.delay_ms / 1000)
            spoils = effect is not None and (effect.drop or effect.status is not None)
            answer: web.StreamResponse | None = None
            if effect is None or effect.when == "after" or not spoils:
                open_media = endpoint == "media" and not settings.media_needs_login
                if not open_media and not self._authorized(request):
                    answer = error_response(401, 20003, "Authenticate")
                else:
                    try:
                        answer = await handler(request)
                    except CarrierError as error:
                        answer = error_response(error.status, error.code, str(error))
            if effect is not None:
                if effect.delay_ms and effect.when == "after":
                    await asyncio.sleep(effect.delay_ms / 1000)
                if effect.drop:
                    if request.transport is not None:
                        request.transport.abort()
                    return web.Response(status=500)
                if effect.status is not None:
                    code = effect.code or (20429 if effect.status == 429 else 20500)
                    return error_response(effect.status, code, "a fault on purpose", effect.retry_after)
            assert answer is not None
            return answer

        return handle

    def _authorized(self, request: web.Request) -> bool:
        settings = self._carrier.world.settings
        expected = base64.b64encode(f"{settings.account_sid}:{settings.auth_token}".encode()).decode()
        given = request.headers.get("Authorization", "")
        return given == f"Basic {expected}" and request.match_info["account"] == settings.account_sid

    async def _send(self, request: web.Request) -> web.Response:
        form = await request.post()
        to, body = str(form.get("To", "")), str(form.get("Body", ""))
        media = [str(url) for url in form.getall("MediaUrl", [])]
        sender = self._sender(str(form.get("From", "")), str(form.get("MessagingServiceSid", "")))
        if not to:
            raise CarrierError(400, 21604, "A 'To' phone number is required.")
        if not E164.fullmatch(to):
            raise CarrierError(400, 21211, "The 'To' number is not a valid phone number.")
        if not body and not media:
            raise CarrierError(400, 21602, "Message body is required.")
        if len(body) > 1600:
            raise CarrierError(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        callback = str(form.get("StatusCallback", ""))
        for url, code in [(callback, 21609), *((url, 21620) for url in media)]:
            if url and urlsplit(url).scheme not in ("http", "https"):
                raise CarrierError(400, code, f"not a URL: {url}")
        message = await self._carrier.send(sender, to, body, media, callback)
        return _json(resource(self._carrier.world, message), 201)

    def _sender(self, number: str, service: str) -> str:
        world = self._carrier.world
        if number and world.number(number) is not None:
            return number
        if not number and service:
            for spec in world.settings.numbers:
                if spec.service_sid == service:
                    return spec.number
            raise CarrierError(400, 21705, "The messaging service has no numbers.")
        if not number:
            raise CarrierError(400, 21603, "A 'From' phone number is required.")
        raise CarrierError(400, 21606, f"The 'From' phone number {number} is not of this account.")

    async def _list(self, request: web.Request) -> web.Response:
        query, world = request.query, self._carrier.world
        size = min(_whole(query, "PageSize", 50), 1000)
        page = _whole(query, "Page", 0)
        found = [m for m in world.messages.values() if _matches(m, query)]
        # Newest first, also of those of one millisecond.
        found.reverse()
        found.sort(key=lambda m: m.at, reverse=True)
        shown = found[page * size : (page + 1) * size]
        path = f"/2010-04-01/Accounts/{world.settings.account_sid}/Messages.json"
        more = None
        if len(found) > (page + 1) * size:
            more = f"{path}?{urlencode({**query, 'Page': str(page + 1), 'PageSize': str(size)})}"
        return _json({"messages": [resource(world, m) for m in shown], "page": page, "next_page_uri": more})

    async def _one(self, request: web.Request) -> web.Response:
        message = self._carrier.world.messages.get(request.match_info["sid"])
        if message is None:
            raise CarrierError(404, 20404, "The requested resource was not found")
        return _json(resource(self._carrier.world, message))

    async def _media_list(self, request: web.Request) -> web.Response:
        message = self._carrier.world.messages.get(request.match_info["message"])
        if message is None:
            raise CarrierError(404, 20404, "The requested resource was not found")
        account = self._carrier.world.settings.account_sid
        found = [
            {
                "sid": item.sid,
                "account_sid": account,
                "parent_sid": message.sid,
                "content_type": item.mime_type,
                "uri": f"{self._carrier.media_path(message, item)}.json",
            }
            for item in message.media
        ]
        return _json({"media_list": found, "page": 0, "next_page_uri": None})

    async def _media(self, request: web.Request) -> web.Response:
        message = self._carrier.world.messages.get(request.match_info["message"])
        for item in message.media if message else ():
            if item.sid == request.match_info["media"]:
                return web.Response(body=item.content, content_type=item.mime_type)
        raise CarrierError(404, 20404, "The requested resource was not found")

    async def _numbers(self, request: web.Request) -> web.Response:
        wanted = request.query.get("PhoneNumber")
        found = [
            {"phone_number": n.number, "sms_url": n.sms_url, "sms_method": "POST", "capabilities": {"sms": True}}
            for n in self._carrier.world.settings.numbers
            if wanted in (None, n.number)
        ]
        return _json({"incoming_phone_numbers": found})

    async def _account(self, _: web.Request) -> web.Response:
        account = self._carrier.world.settings.account_sid
        return _json({"sid": account, "status": "active", "friendly_name": "Emulated account"})


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    given = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,6}", given):
        raise CarrierError(400, 20001, f"{name} is not a number")
    return int(given)


def _matches(message: Message, query: Mapping[str, str]) -> bool:
    sent = datetime.fromtimestamp(message.at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    to, sender, since = query.get("To"), query.get("From"), query.get("DateSent>", "")
    return to in (None, message.receiver) and sender in (None, message.sender) and sent >= since
