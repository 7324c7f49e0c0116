"""Webex's JSON: what is sent, and tolerant reading of what comes (webex-byoc.md §7, §8, §10–12). Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

CHANNEL_TYPE = "customMessaging"

# --- requests ----------------------------------------------------------------------------------------------------


class SentFile(msgspec.Struct, frozen=True, rename="camel"):
    """A customer's file: Webex fetches it without credentials (§13.1)."""

    file_name: str
    mime_type: str
    file_url: str


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """A customer message. `timestamp` is epoch milliseconds."""

    alias_id: str
    text: str
    timestamp: int
    attachments: tuple[SentFile, ...] | msgspec.UnsetType = msgspec.UNSET


class ChannelParams(msgspec.Struct, frozen=True):
    """A message's parameters; `type` is "text-with-attachments" exactly when it has some."""

    message: Message
    type: str = "text"


class Origin(msgspec.Struct, frozen=True):
    """The customer."""

    id: str
    name: str


class Destination(msgspec.Struct, frozen=True):
    """The business address."""

    id: str
    type: str = "businessAddress"


class CreateTask(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Body of `POST /v2/tasks` (§7.1); no other key may be sent."""

    origin: Origin
    destination: Destination
    channel: str
    channel_params: ChannelParams
    channel_type: str = CHANNEL_TYPE
    global_variables: Mapping[str, str] | msgspec.UnsetType = msgspec.UNSET
    flow_settings: Mapping[str, str] | msgspec.UnsetType = msgspec.UNSET


class AppendMessage(msgspec.Struct, frozen=True, rename="camel"):
    """Body of `POST /v2/tasks/{id}/messages` (§8)."""

    channel_params: ChannelParams
    media_type: str = CHANNEL_TYPE


encode = msgspec.json.Encoder().encode
"""The bytes of a request."""

# --- answers -----------------------------------------------------------------------------------------------------


def decoded(body: bytes) -> dict[str, Any]:
    """A JSON object; {} for anything else."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def created_id(body: bytes) -> str:
    """`data.id` of an answer, "" when there is none (§7.2)."""
    data = decoded(body).get("data")
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""


def rows(body: bytes) -> list[dict[str, Any]]:
    """The list in an answer, in any of the places where it was seen (§10)."""
    whole = decoded(body)
    data = whole.get("data")
    places = [data, whole.get("items")]
    if isinstance(data, dict):
        places += [data.get("items"), data.get("subscriptions")]
    for place in places:
        if isinstance(place, list):
            return [row for row in place if isinstance(row, dict)]
    return []


def problem(body: bytes) -> str:
    """The descriptions in an error body (§5.3, §6), at most 300 characters.

    They may repeat what was sent: only for calls that carry no customer data.
    """
    whole = decoded(body)
    error = whole.get("error")
    found: list[str] = []
    for items in (error.get("message") if isinstance(error, dict) else None, whole.get("errors")):
        if isinstance(items, list):
            found += [str(item["description"]) for item in items if isinstance(item, dict) and "description" in item]
    if not found and isinstance(whole.get("message"), str):
        found = [whole["message"]]
    return "; ".join(found)[:300]


# --- webhooks ------------------------------------------------------------------------------------------------------


class Envelope(msgspec.Struct, frozen=True, dict=True):
    """A webhook's envelope (§11.1), of which nothing is taken for granted."""

    id: str | int | None = None
    type: str | None = None
    comciscoorgid: str | None = None
    comciscotimestamp: int | float | str | None = None
    data: Any = None

    @property
    def event_id(self) -> str:
        """The envelope's id as text."""
        return "" if self.id is None else str(self.id)

    @cached_property
    def body(self) -> dict[str, Any]:
        """`data` as an object, also when it came as JSON text."""
        return as_object(self.data) or {}

    @cached_property
    def task_id(self) -> str:
        """The task it is about; lifecycle events without `data.taskId` name it in `id` (§12.2)."""
        found = self.body.get("taskId")
        if isinstance(found, str) and found:
            return found
        if (self.type or "").startswith("task:"):
            return self.event_id
        for wrapper in wrappers(self.body):
            inner = wrapper.get("taskId")
            if isinstance(inner, str) and inner:
                return inner
        return ""

    @property
    def sent_at(self) -> int:
        """When the body was built, epoch milliseconds; 0 when it does not tell."""
        return millis(self.comciscotimestamp)

    @property
    def happened_at(self) -> int:
        """When a lifecycle event took place, epoch milliseconds (§11.5); 0 when it does not tell."""
        return millis(self.body.get("createdTime")) or self.sent_at


envelope_decoder: msgspec.json.Decoder[Envelope] = msgspec.json.Decoder(Envelope)


def millis(value: Any) -> int:
    """A time in any form seen as epoch milliseconds (§11.5): seconds, milli- or microseconds, ISO 8601. 0: none."""
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            return _iso_millis(text)
        value = int(text)
    if not isinstance(value, int | float) or not 0 < value < 1e18:
        return 0
    if value < 1e11:
        return int(value * 1000)
    return int(value / 1000) if value > 1e14 else int(value)


def _iso_millis(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        return 0
    return max(0, int(moment.timestamp() * 1000))


def as_object(value: Any) -> dict[str, Any] | None:
    """A JSON object, given as such or as JSON text; None for anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return decoded(value.encode()) or None
    return None


def wrappers(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects under the wrapper names that were seen (§12.2)."""
    for name in ("payload", "content", "body", "eventData", "messageData"):
        inner = as_object(data.get(name))
        if inner is not None:
            yield inner


@dataclass(frozen=True, slots=True)
class File:
    """An attachment as Webex names it. `url` is signed and short-lived: never for customers."""

    url: str
    name: str
    mime: str
    encrypted: bool = False
    jwe: str = ""
    key_uri: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """A message found in a webhook. `shape` says where, for the log; `text` is as Webex sent it."""

    alias_id: str
    text: str
    files: tuple[File, ...]
    shape: str


def content_of(data: Mapping[str, Any]) -> Content | None:
    """Find the message in `data`, wherever it is (§12.2); None when there is none."""
    found = _direct(data, "")
    if found is not None:
        return found
    for wrapper in wrappers(data):
        found = _direct(wrapper, "wrapped.")
        if found is not None:
            return found
    return _nested(data)


def _direct(data: Mapping[str, Any], prefix: str) -> Content | None:
    params = as_object(data.get("channelParams"))
    if params is not None:
        message = as_object(params.get("message"))
        if message is not None:
            return _content(message, f"{prefix}channelParams.message")
        if _is_message(params):
            return _content(params, f"{prefix}channelParams")
    message = as_object(data.get("message"))
    if message is not None:
        return _content(message, f"{prefix}message")
    return _content(data, f"{prefix}flat") if _is_message(data) else None


_NESTED_DEPTH = 5
_NESTED_NODES = 64


def _nested(data: Mapping[str, Any]) -> Content | None:
    level: list[Any] = list(data.values())
    nodes = 0
    for _ in range(_NESTED_DEPTH):
        following: list[Any] = []
        for value in level:
            nodes += 1
            if nodes > _NESTED_NODES:
                return None
            if isinstance(value, list):
                following.extend(value)
                continue
            node = as_object(value)
            if node is None:
                continue
            if _is_message(node):
                return _content(node, "nested")
            following.extend(node.values())
        level = following
    return None


def _is_message(node: Mapping[str, Any]) -> bool:
    """Only what says which message it is may be one: never arbitrary text."""
    named = isinstance(node.get("aliasId"), str) or "timestamp" in node
    return named and (isinstance(node.get("text"), str) or isinstance(node.get("attachments"), list))


def _content(message: Mapping[str, Any], shape: str) -> Content:
    text = message.get("text")
    alias = message.get("aliasId")
    attachments = message.get("attachments")
    return Content(
        alias_id=alias if isinstance(alias, str) else "",
        text=text if isinstance(text, str) else "",
        files=tuple(_file(item) for item in attachments if isinstance(item, dict))
        if isinstance(attachments, list)
        else (),
        shape=shape,
    )


def _file(item: Mapping[str, Any]) -> File:
    url = str(item.get("url") or item.get("fileUrl") or "")
    jwe, key_uri, encrypted = _encryption(item, url)
    return File(
        url=url,
        name=str(item.get("fileName") or ""),
        mime=str(item.get("mimeType") or ""),
        encrypted=encrypted,
        jwe=jwe,
        key_uri=key_uri,
    )


def _encryption(item: Mapping[str, Any], url: str) -> tuple[str, str, bool]:
    """Key material of an encrypted file and whether anything shows that it is one (§13.3)."""
    try:
        query = dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        query = {}
    signed = query.get("JWE", ""), query.get("keyUri", "")
    if all(signed) and signed[1].startswith("kms://"):
        return *signed, True
    details = as_object(item.get("encryptionDetails")) or as_object(item.get("encryption_details")) or {}
    jwe = str(item.get("jwe") or details.get("jwe") or "")
    key_uri = str(item.get("keyUri") or details.get("keyUri") or "")
    return jwe, key_uri, bool(jwe or key_uri or item.get("encrypted") is True)
