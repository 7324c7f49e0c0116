"""The control plane `/__sim/v1`: drives phones, sets faults, tells the truth."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from warmline.emulators.sms.api import Api
from warmline.emulators.sms.carrier import Carrier, CarrierError
from warmline.emulators.sms.faults import FaultRequest
from warmline.emulators.sms.model import E164, NumberSpec, OptOut, PhoneSpec, PhoneState, view


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    mime_type: str
    content_base64: str


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: str = ""
    text: str = ""
    media: tuple[_File, ...] = ()


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    state: PhoneState


class _Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    numbers: tuple[NumberSpec, ...] | None = None
    phones: tuple[PhoneSpec, ...] | None = None
    opt_out: OptOut | None = None
    sending_ms: int | None = None
    delivery_ms: int | None = None
    media_needs_login: bool | None = None


def is_foreign(request: web.Request) -> bool:
    """Whether a page of another site sends this request: such pages must neither drive nor watch the emulator."""
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


def json_response(value: object, status: int = 200) -> web.Response:
    """An answer of the control plane."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


class Control:
    """Handlers of the control plane; a 2xx means done, errors are `{"error", "message"}`."""

    def __init__(self, carrier: Carrier, api: Api) -> None:
        self._carrier = carrier
        self._api = api

    def routes(self) -> list[web.RouteDef]:
        """What to add to the emulator's router."""
        root = "/__sim/v1"
        return [
            web.post(f"{root}/reset", _answering(self._reset)),
            web.get(f"{root}/config", _answering(self._show_config)),
            web.put(f"{root}/config", _answering(self._configure)),
            web.get(f"{root}/phones", _answering(self._phones)),
            web.get(root + "/phones/{number}", _answering(self._phone)),
            web.post(root + "/phones/{number}/text", _answering(self._text)),
            web.post(root + "/phones/{number}/state", _answering(self._state)),
            web.get(f"{root}/messages", _answering(self._messages)),
            web.get(f"{root}/deliveries", _answering(self._deliveries)),
            web.get(f"{root}/requests", _answering(self._requests)),
            web.get(f"{root}/faults", _answering(self._faults)),
            web.post(f"{root}/faults", _answering(self._add_fault)),
            web.delete(f"{root}/faults", _answering(self._clear_faults)),
        ]

    async def _reset(self, _: web.Request) -> web.Response:
        await self._carrier.reset()
        self._api.requests.clear()
        return json_response({"reset": True})

    async def _show_config(self, _: web.Request) -> web.Response:
        return json_response(self._carrier.world.settings)

    async def _configure(self, request: web.Request) -> web.Response:
        wanted = _decoded(await request.read(), _Config)
        changes = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        self._carrier.configure(msgspec.structs.replace(self._carrier.world.settings, **changes))
        return json_response(self._carrier.world.settings)

    async def _phones(self, _: web.Request) -> web.Response:
        return json_response({"phones": self._carrier.phones()})

    async def _phone(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        messages = [view(m) for m in self._carrier.world.of_phone(number)]
        return json_response({"number": number, "messages": messages})

    async def _text(self, request: web.Request) -> web.Response:
        wanted = _decoded(await request.read(), _Text)
        to = wanted.to or self._carrier.world.settings.numbers[0].number
        if not wanted.text.strip() and not wanted.media:
            raise CarrierError(400, 21602, "text must not be empty")
        message = self._carrier.text(
            _number(request), to, wanted.text, [(f.mime_type, _bytes(f)) for f in wanted.media]
        )
        return json_response(view(message), 201)

    async def _state(self, request: web.Request) -> web.Response:
        phone = self._carrier.world.phone(_number(request))
        phone.state = _decoded(await request.read(), _State).state
        return json_response({"number": phone.number, "state": phone.state})

    async def _messages(self, _: web.Request) -> web.Response:
        return json_response({"messages": [view(m) for m in self._carrier.world.messages.values()]})

    async def _deliveries(self, _: web.Request) -> web.Response:
        return json_response({"deliveries": self._carrier.webhooks.views()})

    async def _requests(self, _: web.Request) -> web.Response:
        return json_response({"requests": self._api.requests})

    async def _faults(self, _: web.Request) -> web.Response:
        return json_response({"faults": self._carrier.faults.views()})

    async def _add_fault(self, request: web.Request) -> web.Response:
        rule_id = self._carrier.faults.add(_decoded(await request.read(), FaultRequest))
        return json_response({"id": rule_id}, 201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._carrier.faults.clear()
        return json_response({"faults": []})


def _bytes(file: _File) -> bytes:
    try:
        return base64.b64decode(file.content_base64, validate=True)
    except binascii.Error as problem:
        raise CarrierError(400, 400, f"contentBase64: {problem}") from problem


def _number(request: web.Request) -> str:
    number = request.match_info["number"]
    if not E164.fullmatch(number):
        raise CarrierError(400, 21212, f"{number} is no international number such as +14155550100")
    return number


def _decoded(raw: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as problem:
        raise CarrierError(400, 400, str(problem)) from problem


def _answering(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            if is_foreign(request):
                raise CarrierError(403, 403, "pages of other sites cannot use the control plane")
            return await handler(request)
        except CarrierError as error:
            return json_response({"error": str(error.code), "message": str(error)}, error.status)

    return handle
