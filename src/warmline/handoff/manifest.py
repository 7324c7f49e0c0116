"""What a provider says about itself as data: tile, abilities, bounds, and the fields of the Connect dialog."""

import ipaddress
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from warmline.domain.errors import ConfigError


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of the Connect dialog.

    `min` and `max` bound the length of texts, the value of numbers, the entries of maps. `also` are numbers that
    are allowed outside of the bounds. `unusual` is what is said about a value that does not match `usual`: a
    warning, not an error. Generated fields are made by Warmline and shown for copying, unless `hidden`.
    `rotation` names the change of secrets that a field belongs to (`handoff.rotate`); a generated secret's
    predecessor stays valid for `previous_hours`, 0: until the new one was used.
    """

    key: str
    label: str
    kind: Literal["text", "secret", "url", "uuid", "select", "number", "bool", "map", "generated"]
    help: str = ""
    required: bool = False
    required_when: Mapping[str, str] = {}
    default: str = ""
    options: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None
    also: tuple[int, ...] = ()
    max_key_bytes: int | None = None
    max_value_bytes: int | None = None
    pattern: str = ""
    pattern_help: str = ""
    usual: str = ""
    unusual: str = ""
    generate: Literal["", "secret", "webhook_url"] = ""
    endpoint: str = ""
    rotation: str = ""
    previous_hours: int = 24
    hidden: bool = False
    advanced: bool = False

    @property
    def secret(self) -> bool:
        """Write-only after saving, and encrypted at rest."""
        return self.kind == "secret" or self.generate == "secret"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's `manifest.toml`. `limits` are upper bounds of the platform, by name."""

    key: str
    title: str
    category: str
    summary: str
    help: str = ""
    webhook_endpoints: tuple[str, ...] = ()
    capabilities: Mapping[str, bool] = {}
    limits: Mapping[str, int] = {}
    fields: tuple[Field, ...] = ()

    def field(self, key: str) -> Field | None:
        """The field of that key."""
        return next((item for item in self.fields if item.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFields:
    """What became of the dialog's input. With `errors` (by field key) nothing may be saved."""

    values: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    errors: Mapping[str, str]
    warnings: Mapping[str, str]


def read_manifest(file: Traversable) -> Manifest:
    """Read a `manifest.toml`. Raises ConfigError, naming the file and what is wrong in it."""
    try:
        manifest = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Manifest)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(str(file), str(error)) from error
    keys = [item.key for item in manifest.fields]
    doubled = sorted({key for key in keys if keys.count(key) > 1})
    if doubled:
        raise ConfigError(str(file), f"fields given twice: {', '.join(doubled)}")
    return manifest


def check_fields(manifest: Manifest, given: Mapping[str, str], *, relaxed: bool = False) -> CheckedFields:
    """Check the dialog's input field by field; values are trimmed, defaults filled in.

    Args:
        manifest: whose fields.
        given: values and secrets by field key.
        relaxed: allow http and local addresses (emulators).
    """
    values: dict[str, str] = {}
    secrets: dict[str, str] = {}
    errors = {key: "There is no such field." for key in given if manifest.field(key) is None}
    warnings: dict[str, str] = {}
    known = {item.key: (given.get(item.key, "").strip() or item.default) for item in manifest.fields}
    for item in manifest.fields:
        value = known[item.key]
        if not value:
            if _required(item, known):
                errors[item.key] = f"{item.label} is required."
            continue
        value, problem = _check(item, value, relaxed)
        if problem:
            errors[item.key] = f"{item.label} {problem}."
        elif item.usual and not re.fullmatch(item.usual, value):
            warnings[item.key] = item.unusual
        (secrets if item.secret else values)[item.key] = value
    return CheckedFields(values=values, secrets=secrets, errors=errors, warnings=warnings)


def _required(item: Field, known: Mapping[str, str]) -> bool:
    if item.required_when:
        return all(known.get(key) == value for key, value in item.required_when.items())
    return item.required


def _check(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    """The value in its normal form, and what is wrong with it ("" for nothing)."""
    return _CHECKS[item.kind](item, value, relaxed)


def _check_text(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        return value, "must not contain control characters"
    if item.secret and re.search(r"\s", value):
        return value, "must not contain white space"
    if item.min is not None and len(value) < item.min:
        return value, f"must have at least {item.min} characters"
    if item.max is not None and len(value) > item.max:
        return value, f"must have at most {item.max} characters"
    if item.pattern and not re.fullmatch(item.pattern, value):
        return value, item.pattern_help
    return value, ""


def _check_url(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return value, "is not a URL"
    if parts.scheme not in (("https", "http") if relaxed else ("https",)) or not parts.hostname:
        return value, "must be an absolute https URL"
    if parts.query or parts.fragment or "@" in parts.netloc:
        return value, "must not have a query, a fragment or user information"
    if item.pattern and not re.fullmatch(item.pattern, value):
        return value, item.pattern_help
    return value.rstrip("/"), ""


def _check_uuid(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    try:
        return str(UUID(value)), ""
    except ValueError:
        return value, "must be a UUID, such as cb5901fb-ab66-4377-a7bc-5f0b21896952"


def _check_select(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    return value, "" if value in item.options else f"must be one of {', '.join(item.options)}"


def _check_number(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    if not re.fullmatch(r"-?\d{1,18}", value):
        return value, "must be a whole number"
    number = int(value)
    low = item.min if item.min is not None else number
    high = item.max if item.max is not None else number
    if low <= number <= high or number in item.also:
        return str(number), ""
    also = "".join(f"{other} or " for other in item.also)
    return value, f"must be {also}between {item.min} and {item.max}"


def _check_bool(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    return value, "" if value in ("true", "false") else "must be true or false"


def _check_map(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    try:
        entries = json.loads(value)
    except ValueError:
        return value, 'must be a JSON object, such as {"name": "value"}'
    if not isinstance(entries, dict) or not all(isinstance(entry, str) for entry in entries.values()):
        return value, "must be a JSON object whose values are strings"
    if item.max is not None and len(entries) > item.max:
        return value, f"must have at most {item.max} entries"
    for key, entry in entries.items():
        if item.max_key_bytes is not None and not 0 < len(key.encode()) <= item.max_key_bytes:
            return value, f"has a name that is empty or longer than {item.max_key_bytes} bytes"
        if item.max_value_bytes is not None and len(entry.encode()) > item.max_value_bytes:
            return value, f"has a value longer than {item.max_value_bytes} bytes ({key})"
    return json.dumps(entries, ensure_ascii=False), ""


def _check_generated(item: Field, value: str, relaxed: bool) -> tuple[str, str]:
    if item.generate == "webhook_url" and not relaxed:
        return value, webhook_url_problem(value)
    return _check_text(item, value, relaxed)


_CHECKS: Mapping[str, Callable[[Field, str, bool], tuple[str, str]]] = {
    "text": _check_text,
    "secret": _check_text,
    "url": _check_url,
    "uuid": _check_uuid,
    "select": _check_select,
    "number": _check_number,
    "bool": _check_bool,
    "map": _check_map,
    "generated": _check_generated,
}

_NO_PUBLIC_NAME = {"local", "localhost", "internal", "test", "example", "invalid", "lan", "home", "corp", "onion"}


def webhook_url_problem(url: str) -> str:
    """Say why a contact centre could not call `url`, or "" (webex-byoc.md §3.9, §10)."""
    advice = "set WARMLINE_PUBLIC_URL to the address under which this server is reached from the internet"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"is not a URL: {advice}"
    host = parts.hostname or ""
    if parts.scheme != "https" or port not in (None, 443):
        return f"must be https on port 443: {advice}"
    if parts.query or parts.fragment or "@" in parts.netloc or not parts.path.startswith("/"):
        return f"must have a path and neither query, fragment nor user information: {advice}"
    top = host.rpartition(".")[2]
    if _is_ip(host) or "." not in host or not top.isalpha() or top in _NO_PUBLIC_NAME:
        return f"must have a public domain name, not {host}: {advice}"
    return ""


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
