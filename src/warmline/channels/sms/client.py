"""The carrier's REST API: one method per endpoint (messaging-protocol.md §17.5)."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from warmline.channels.sms.wire import RANKS, TextStatus
from warmline.handoff.contract import ProviderRejected, ProviderTimeout
from warmline.handoff.http import Answer, call, failure
from warmline.ports import Connection

OPTED_OUT = "21610"
"""The customer has unsubscribed at the carrier."""

MEDIA_ERRORS: Mapping[str, str] = {
    "11200": "the carrier could not fetch the file",
    "11751": "the file is larger than the carrier takes",
    "12300": "the carrier does not take files of this type",
    "21620": "the address of the file is not valid",
    "21623": "the carrier does not take so many files",
    "30019": "the file is larger than the customer's network takes",
    "63019": "the carrier could not fetch the file",
}
"""Errors that are about the files of a text. Source: https://www.twilio.com/docs/api/errors"""

MEANINGS: Mapping[str, str] = {
    **MEDIA_ERRORS,
    "20003": "the account SID or the auth token is wrong",
    "21211": "the customer's number is not valid",
    "21408": "the account may not send to this region",
    "21606": "the number cannot send texts, or is not of this account",
    OPTED_OUT: "the customer has unsubscribed",
    "21614": "the customer's number is no mobile number",
    "21617": "the text is longer than 1600 characters",
    "30003": "the phone is switched off or cannot be reached",
    "30004": "the customer or the carrier blocks the number",
    "30005": "the customer's number does not exist any more",
    "30006": "the customer's number is a landline or its carrier cannot be reached",
    "30007": "the carrier took the text for spam",
    "30034": "the number is not registered for A2P 10DLC: register it with the carrier",
    "30035": "the number's A2P registration is still being set up",
}
"""What error codes mean for the operator."""

_PAGES = 5
_CLOCKS_APART_MS = 5_000
_HINT = "Twilio answered HTTP {status}, error {code}: {meaning}"


class Refused(ProviderRejected):
    """The carrier will not send this text. `number` is its error code."""

    def __init__(self, number: str, status: int) -> None:
        meaning = MEANINGS.get(number, "see the carrier's list of errors")
        super().__init__(f"carrier_{number}", _HINT.format(status=status, code=number, meaning=meaning), status=status)
        self.number = number


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A text that the carrier has. `status` as in `wire.RANKS`."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A text from a customer, as the carrier keeps it. `at` is in milliseconds since the epoch."""

    sid: str
    customer: str
    number: str
    body: str = field(repr=False)
    files: int
    at: int


class TwilioClient:
    """Speaks for one connection."""

    def __init__(self, http: aiohttp.ClientSession, connection: Connection) -> None:
        self._http = http
        values = connection.values
        self._account = values["account_sid"]
        self._base = values.get("api_base_url") or "https://api.twilio.com"
        self._root = f"{self._base}/2010-04-01/Accounts/{self._account}"
        self._service = values.get("messaging_service_sid", "")
        # Where the token was lost, the carrier refuses the account: what tells operators of it does so then, too.
        credentials = f"{self._account}:{connection.secrets.get('auth_token', '')}"
        self.authorization = "Basic " + base64.b64encode(credentials.encode()).decode()

    def owns(self, url: str) -> bool:
        """Whether an address is the carrier's API, which may see our credentials."""
        return url.startswith(f"{self._base}/")

    async def send(
        self, *, number: str, customer: str, text: str, media: tuple[str, ...], status_callback: str
    ) -> Accepted:
        """Send one text. Raises ProviderError; Refused is final."""
        sender = ("MessagingServiceSid", self._service) if self._service else ("From", number)
        form = [("To", customer), sender, ("StatusCallback", status_callback)]
        form += [("Body", text)] if text else []
        form += [("MediaUrl", address) for address in media]
        answer = await self._request("POST", "/Messages.json", urlencode(form).encode())
        told = _json(answer)
        sid, status = told.get("sid"), told.get("status")
        if not isinstance(sid, str) or not sid:
            raise ProviderTimeout("unreadable_answer")
        return Accepted(sid=sid, status=status if isinstance(status, str) else "accepted")

    async def fate(self, sid: str) -> TextStatus:
        """What became of a text that the carrier has. Raises ProviderError.

        Source: https://www.twilio.com/docs/messaging/api/message-resource
        """
        told = _json(await self._request("GET", f"/Messages/{quote(sid, safe='')}.json"))
        status, error = told.get("status"), told.get("error_code")
        if not isinstance(status, str) or status not in RANKS:
            raise ProviderTimeout("unreadable_answer")
        return TextStatus(sid=sid, status=status, error=str(error) if isinstance(error, int) else "")

    async def sent_since(self, *, number: str, customer: str, at: int) -> list[tuple[Accepted, str, int]]:
        """What we have sent to `customer` since `at` (milliseconds), newest first: the text, its body and media count.

        Raises ProviderError.
        """
        query = [("To", customer), ("PageSize", "100")]
        if not self._service:
            query.append(("From", number))
        return [
            (_accepted(m), str(m.get("body") or ""), _count(m.get("num_media")))
            for m in await self._messages(query, at)
            if str(m.get("direction", "")).startswith("outbound")
        ]

    async def received_since(self, *, number: str, at: int) -> list[Received]:
        """What customers have sent to `number` since `at` (milliseconds), oldest first. Raises ProviderError.

        The order counts: dates of the carrier are as fine as a second.
        """
        return [
            Received(
                sid=m["sid"],
                customer=str(m.get("from") or ""),
                number=number,
                body=str(m.get("body") or ""),
                files=_count(m.get("num_media")),
                at=_created(m),
            )
            for m in reversed(await self._messages([("To", number), ("PageSize", "1000")], at))
            if m.get("direction") == "inbound" and m.get("status") == "received"
        ]

    async def media(self, sid: str) -> list[tuple[str, str]]:
        """Addresses and types of a message's files. Raises ProviderError.

        Source: https://www.twilio.com/docs/messaging/api/media-resource
        """
        path = f"/Messages/{quote(sid, safe='')}/Media"
        found = _json(await self._request("GET", f"{path}.json")).get("media_list")
        return [
            (f"{self._root}{path}/{item['sid']}", str(item.get("content_type") or ""))
            for item in (found if isinstance(found, list) else ())
            if isinstance(item, dict) and isinstance(item.get("sid"), str)
        ]

    async def account(self) -> str:
        """The account's state, such as "active". Raises ProviderError."""
        return str(_json(await self._request("GET", ".json")).get("status", ""))

    async def number(self, number: str) -> Mapping[str, Any] | None:
        """What the account says about one of its numbers; None: it is not one of them. Raises ProviderError."""
        query = urlencode([("PhoneNumber", number)])
        found = _json(await self._request("GET", f"/IncomingPhoneNumbers.json?{query}")).get("incoming_phone_numbers")
        return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else None

    async def _messages(self, query: list[tuple[str, str]], at: int) -> list[dict[str, Any]]:
        """Messages since `at`, newest first, as the carrier sorts them."""
        since = at - _CLOCKS_APART_MS
        found: list[dict[str, Any]] = []
        path = f"/Messages.json?{urlencode([*query, ('DateSent>', _day(since))])}"
        for _ in range(_PAGES):
            page = _json(await self._request("GET", path))
            entries = list(_entries(page))
            found.extend(m for m in entries if _created(m) >= since)
            if entries and _created(entries[-1]) < since:
                break
            follows = page.get("next_page_uri")
            path = follows.split(f"/Accounts/{self._account}", 1)[-1] if isinstance(follows, str) and follows else ""
            if not path:
                break
        return found

    async def _request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        url = self._root + path
        headers = {"Authorization": self.authorization, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = await call(self._http, method, url, headers=headers, body=body)
        if answer.ok:
            return answer
        if answer.status >= 500:
            # Whether a message came about is not known: their API has no idempotency keys.
            raise ProviderTimeout("server_error", f"HTTP {answer.status}", status=answer.status)
        if answer.status in (401, 403, 408, 429):
            raise failure(answer)
        code = _json(answer).get("code")
        raise Refused(str(code) if isinstance(code, int) else "unknown", answer.status)


def _json(answer: Answer) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if answer.ok:
            raise ProviderTimeout("unreadable_answer") from error
        return {}
    return told if isinstance(told, dict) else {}


def _entries(page: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    messages = page.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and isinstance(message.get("sid"), str):
            yield message


def _accepted(message: Mapping[str, Any]) -> Accepted:
    return Accepted(sid=message["sid"], status=str(message.get("status")))


def _created(message: Mapping[str, Any]) -> int:
    try:
        return round(parsedate_to_datetime(str(message.get("date_created"))).timestamp() * 1000)
    except ValueError:
        return 0


def _count(told: object) -> int:
    return int(told) if isinstance(told, int | str) and str(told).isdecimal() else 0


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
