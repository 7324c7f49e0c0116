"""What the emulated carrier knows: its account, numbers, phones and messages."""

import itertools
import random
import re
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Literal

import msgspec

E164 = re.compile(r"\+[1-9]\d{6,14}")
"""A telephone number in its international form."""


class NumberSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A number of the account. `sms_url` is where texts to it are announced; "" nowhere."""

    number: str
    sms_url: str = ""
    service_sid: str = ""


class PhoneSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A customer's phone."""

    number: str
    name: str = ""


OptOut = Literal["off", "default", "advanced"]


class SmsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The emulated account.

    `opt_out` is who answers STOP, START and HELP: nobody ("off"), the carrier ("default"), or the carrier, who says so
    in the webhook ("advanced"). `sending_ms` and `delivery_ms` are how long a text takes to the network and to the
    phone. `media_needs_login`: files of texts are given only to who has the account's credentials.
    """

    account_sid: str = "AC00000000000000000000000000000001"
    auth_token: str = "emulated-auth-token"  # noqa: S105  (of an emulator)
    numbers: tuple[NumberSpec, ...] = (
        NumberSpec(number="+14155550199"),
        NumberSpec(number="+14155550198"),
    )
    phones: tuple[PhoneSpec, ...] = (
        PhoneSpec(number="+14155550100", name="Ada"),
        PhoneSpec(number="+14155550101", name="Ben"),
        PhoneSpec(number="+14155550102", name="Chloe"),
    )
    opt_out: OptOut = "off"
    sending_ms: int = 120
    delivery_ms: int = 350
    media_needs_login: bool = False
    webhook_timeout_s: float = 15.0
    public_url: str = ""
    seed: int | None = None


@dataclass(slots=True)
class Media:
    """A file of a message."""

    sid: str
    mime_type: str
    content: bytes = field(repr=False)


@dataclass(slots=True)
class Message:
    """A text. `customer` and `number` are its two ends, whoever wrote it."""

    sid: str
    customer: str
    number: str
    body: str
    direction: str
    status: str
    at: int
    media: list[Media] = field(default_factory=list)
    files: int = 0
    """How many it was sent with, whether or not they could be fetched."""
    callback: str = ""
    error_code: int | None = None
    arrived: bool = False
    """It is on the phone."""

    @property
    def inbound(self) -> bool:
        """A customer wrote it."""
        return self.direction == "inbound"

    @property
    def sender(self) -> str:
        """Who sent it."""
        return self.customer if self.inbound else self.number

    @property
    def receiver(self) -> str:
        """To whom."""
        return self.number if self.inbound else self.customer


PhoneState = Literal["on", "off", "landline", "blocked"]
PHONE_ERRORS: dict[str, int] = {"off": 30003, "landline": 30006, "blocked": 30004}


@dataclass(slots=True)
class Phone:
    """A customer's phone. `state` on: it gets what is sent to it."""

    number: str
    name: str
    state: PhoneState = "on"


class World:
    """Everything between two resets."""

    def __init__(self, settings: SmsSettings) -> None:
        self.settings = settings
        self.messages: dict[str, Message] = {}
        self.phones = {spec.number: Phone(spec.number, spec.name) for spec in settings.phones}
        self.opted_out: set[tuple[str, str]] = set()
        self._random = random.Random(settings.seed)
        self._numbers = itertools.count(1)

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def sid(self, prefix: str) -> str:
        """A new identifier, such as SM and 32 hexadecimal digits."""
        return f"{prefix}{self._random.getrandbits(64):016x}{next(self._numbers):016x}"

    def phone(self, number: str) -> Phone:
        """The phone of that number; every number has one."""
        return self.phones.setdefault(number, Phone(number, ""))

    def number(self, number: str) -> NumberSpec | None:
        """The account's number."""
        return next((spec for spec in self.settings.numbers if spec.number == number), None)

    def of_phone(self, number: str) -> list[Message]:
        """What the phone has sent and got, and what did not reach it, oldest first."""
        shown = ("undelivered", "failed")
        mine = [m for m in self.messages.values() if m.customer == number]
        return [m for m in mine if m.inbound or m.arrived or m.status in shown]


def segments(body: str) -> int:
    """Parts that the text takes, as in GSM 03.38."""
    basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ÄÖÑÜ§¿äöñüà"
    double = "^{}\\[]~|€\f"
    if all(c in basic or c in double or (c.isascii() and c.isalpha()) for c in body):
        units = sum(2 if c in double else 1 for c in body)
        return 1 if units <= 160 else -(-units // 153)
    units = len(body.encode("utf-16-le")) // 2
    return 1 if units <= 70 else -(-units // 67)


def resource(world: World, message: Message) -> dict[str, Any]:
    """The message as the carrier's API shows it."""
    account = world.settings.account_sid
    uri = f"/2010-04-01/Accounts/{account}/Messages/{message.sid}"
    stamp = formatdate(message.at / 1000, usegmt=False)
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": stamp,
        "date_sent": stamp,
        "date_updated": stamp,
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None,
        "from": message.sender,
        "messaging_service_sid": None,
        "num_media": str(max(message.files, len(message.media))),
        "num_segments": str(segments(message.body)),
        "price": None,
        "price_unit": "USD",
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.receiver,
        "uri": f"{uri}.json",
    }


def view(message: Message) -> dict[str, Any]:
    """The message as the control plane and the phone page show it."""
    return {
        "sid": message.sid,
        "direction": "in" if message.inbound else "out",
        "customer": message.customer,
        "number": message.number,
        "text": message.body,
        "segments": segments(message.body),
        "media": [{"sid": item.sid, "mimeType": item.mime_type} for item in message.media],
        "status": message.status,
        "errorCode": message.error_code,
        "at": message.at,
    }
