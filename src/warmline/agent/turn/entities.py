"""Finds and validates the values of a project's entities (agent-project.md §2.10 and §8.5)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, time

import phonenumbers

from warmline.agent.project.model import Entity
from warmline.agent.turn.brain import EntityValue
from warmline.agent.turn.dates import NUMBER_WORDS, Unclear, find_date, find_times, read_count

_LONGEST = 300
"""Characters of a text that are looked at; a value is never longer."""
_MONTH_FIRST = ("en-us", "es-us", "en-ph")
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:[,'  ]\d{3})+|\d+)(?:\.\d+)?(?!\w*\d|(?:st|nd|rd|th)\b)")
_NUMBER_WORDS = re.compile(rf"\b(?:{'|'.join(NUMBER_WORDS)})(?:[ -](?:{'|'.join(NUMBER_WORDS)}))?\b", re.IGNORECASE)
_ZIP = r"\d{5}(?:-\d{4})?"
_POSTAL = (
    r"GIR ?0AA|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}"  # United Kingdom
    r"|[A-Z]\d[A-Z] ?\d[A-Z]\d"  # Canada
    r"|\d{4} ?[A-Z]{2}|\d{4,6}(?:-\d{3,4})?"  # Netherlands; plain digits elsewhere
)
_NAME_START = re.compile(
    r"^(?:(?:hi|hello|sure|yes|yeah|ok|okay|of course)[,.! ]+)*"
    r"(?:(?:and )?(?:my|the|her|his|their) (?:full |first |last |sur)?name(?:'s| is| would be)?|(?:it's|it is|this is"
    r"|i am|i'm|i'm called|i am called|call me|that's|that would be|name is|name's))?[:, ]*",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[.'’`-])*(?: +[^\W\d_](?:[^\W\d_]|[.'’`-])*){0,5}")
_NOT_A_NAME = frozenset(
    {
        *("i", "what", "why", "who", "how", "when", "where", "which", "can", "could", "do", "does", "don't", "please"),
        *("not", "no", "yes", "need", "want", "would", "is", "are", "there", "help", "you", "your", "mine", "tell"),
    }
)
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/-]*")


@dataclass(frozen=True, slots=True)
class Setting:
    """What reading a value depends on: the conversation's language (such as en-GB) and today's date."""

    language: str
    today: date


def validate(entity: Entity, value: object, setting: Setting) -> EntityValue:
    """Bring `value`, which is meant for `entity`, to its usual form, or say why it does not pass."""
    text = str(value).strip()[:_LONGEST]
    if not text:
        return EntityValue("", False, "it is empty")
    found = find_value(entity, text, setting, asked=True)
    return found or EntityValue(text, False, f"it is no {entity.type.replace('_config', '').replace('_', ' ')}")


def find_value(entity: Entity, text: str, setting: Setting, *, asked: bool) -> EntityValue | None:
    """Find a value for `entity` in what somebody wrote.

    Args:
        entity: what is looked for. An unknown type takes any text.
        text: the message.
        setting: language and date.
        asked: the message answers the question for just this value; so it may be the value without having a form
            by which it could be told, such as a name.

    Returns:
        The value in its usual form (dates as YYYY-MM-DD, times as HH:MM, phone numbers in E.164), or a value that
        does not pass, with the reason; None when there is nothing of the kind in `text`.
    """
    text = text.strip()[:_LONGEST]
    find = _FINDERS.get(entity.type, _free_text)
    return find(entity, text, setting, asked) if text else None


def state_value(entity: Entity, value: str) -> str | int | float:
    """Give what `conv.state` holds of a valid value: a number for a number (agent-project.md §5.2)."""
    if entity.type != "numeric":
        return value
    try:
        return float(value) if entity.config.get("has_decimal") is True else int(value)
    except ValueError:
        return value


def _numeric(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    config = entity.config
    match = _NUMBER.search(text)
    words = None if match else _NUMBER_WORDS.search(text)
    if match is None and words is None:
        return None
    number = float(re.sub(r"[,'  ]", "", match[0])) if match else float(read_count(words[0]) or 0) if words else 0.0
    value = f"{number:g}" if abs(number) < 1e6 else f"{number:.10f}".rstrip("0").rstrip(".")
    if config.get("has_decimal") is not True and not number.is_integer():
        return EntityValue(value, False, "a whole number is needed")
    limits = {key: _as_number(config.get(key)) for key in ("min", "max")}
    if config.get("has_range") is not False:
        if (least := limits["min"]) is not None and number < least:
            return EntityValue(value, False, f"the least is {least:g}")
        if (most := limits["max"]) is not None and number > most:
            return EntityValue(value, False, f"the most is {most:g}")
    return EntityValue(value)


def _as_number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _alphanumeric(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    config = entity.config
    kind = str(config.get("validation_type", "")).lower()
    own = str(config.get("regular_expression") or "")
    if config.get("enabled") is False or not (kind in ("zip", "postal") or own):
        return _code(text, asked)
    pattern = {"zip": _ZIP, "postal": _POSTAL}.get(kind, own)
    # Anchors of the project's own expression are for the whole value, which may be a part of the message.
    within = rf"(?<![\w-])(?:{pattern.removeprefix('^').removesuffix('$')})(?![\w-])"
    try:
        whole, part = re.compile(pattern), re.search(within, text, re.IGNORECASE)
    except re.error:
        return EntityValue(text, False, "its regular expression is wrong")
    for candidate in _spellings(text, *([part[0]] if part else [])):
        if whole.fullmatch(candidate):
            return EntityValue(candidate)
    code = _code(text, asked)
    return EntityValue(code.value, False, "it does not have the right form") if code else None


def _spellings(*texts: str) -> Iterator[str]:
    """Give a spelled or spaced value as it may have been meant: "a b 1 2" is also "AB12"."""
    for text in texts:
        text = text.strip(" .,!")
        closed = re.sub(r"[\s.-]+", "", text)
        yield from (text, text.upper(), closed, closed.upper())


def _code(text: str, asked: bool) -> EntityValue | None:
    codes = [code for code in _CODE.findall(text) if any(c.isdigit() for c in code)]
    if codes:
        return EntityValue(max(codes, key=len))
    if asked and len(text.split()) == 1:
        return EntityValue(text.strip(" .,!"))
    return None


def _enum(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    options = entity.config.get("options")
    names = [str(option) for option in options] if isinstance(options, list) else []
    said = f" {_plain(text)} "
    found = [name for name in names if _plain(name) and f" {_plain(name)} " in said]
    longest = [name for name in found if not any(_plain(name) in _plain(o) and name != o for o in found)]
    if len(longest) == 1:
        return EntityValue(longest[0])
    if len(longest) > 1:
        return EntityValue(text, False, f"only one of {', '.join(longest)} can be chosen")
    if asked and names:
        started = [name for name in names if _plain(text) and f"{_plain(name)} ".startswith(f"{_plain(text)} ")]
        return EntityValue(started[0]) if len(started) == 1 else None
    return None


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _date(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    day_first = not setting.language.lower().startswith(_MONTH_FIRST)
    relative = entity.config.get("relative_date") is True
    try:
        found = find_date(text, today=setting.today, relative=relative, day_first=day_first)
    except Unclear as unclear:
        return EntityValue(text, False, str(unclear))
    return EntityValue(found.isoformat()) if found else None


def _time(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    readings = list(find_times(text))
    if not readings:
        return None
    config = entity.config
    start, end = (_limit(config.get(key)) for key in ("start_time", "end_time"))
    if config.get("enabled") is False or (start is None and end is None):
        return EntityValue(f"{readings[0]:%H:%M}")
    fitting = [
        reading for reading in readings if (start is None or start <= reading) and (end is None or reading <= end)
    ]
    if fitting:
        return EntityValue(f"{fitting[0]:%H:%M}")
    between = f"{start or time(0):%H:%M} and {end or time(23, 59):%H:%M}"
    return EntityValue(f"{readings[0]:%H:%M}", False, f"the time must be between {between}")


def _limit(value: object) -> time | None:
    return next(find_times(str(value)), None) if value else None


def _phone_number(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    codes = entity.config.get("country_codes")
    regions = [str(code).upper() for code in codes] if isinstance(codes, list) else []
    candidate = ""
    for region in regions or [_region(setting.language)]:
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE):
            number = match.number
            candidate = candidate or phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            known = not regions or phonenumbers.region_code_for_number(number) in regions
            if entity.config.get("enabled") is False or (known and phonenumbers.is_valid_number(number)):
                return EntityValue(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    digits = re.sub(r"\D", "", text)
    if candidate or (asked and len(digits) >= 3):
        where = f" of {' or '.join(regions)}" if regions else ""
        return EntityValue(candidate or text, False, f"it is no phone number{where}")
    return None


def _region(language: str) -> str:
    region = language.replace("_", "-").rpartition("-")[2].upper()
    return region if region in phonenumbers.SUPPORTED_REGIONS else "US"


def _address(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    if not asked or text.endswith("?"):
        return None
    value = re.sub(r"^(?:(?:my|the) address is|it's|it is|i live (?:at|in|on))[:, ]*", "", text, flags=re.IGNORECASE)
    if len(value.split()) < 2:
        return EntityValue(value, False, "street, number and town are needed")
    return EntityValue(value.strip(" ."))


def _free_text(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    return EntityValue(text) if asked else None


def _name(entity: Entity, text: str, setting: Setting, asked: bool) -> EntityValue | None:
    introduced = _NAME_START.match(text)
    said = text[introduced.end() :].strip(" .,!") if introduced else text
    if not asked and not re.search(
        r"\b(?:my|the) (?:full |first |last |sur)?name\b|\bi(?:'m| am) called\b", text, re.I
    ):
        return None
    if not _NAME.fullmatch(said) or set(said.lower().split()) & _NOT_A_NAME:
        return EntityValue(said, False, "it does not look like a name") if asked and "?" not in text else None
    return EntityValue(said.title() if said.islower() else said)


_FINDERS: dict[str, Callable[[Entity, str, Setting, bool], EntityValue | None]] = {
    "numeric": _numeric,
    "alphanumeric": _alphanumeric,
    "enum": _enum,
    "date": _date,
    "phone_number": _phone_number,
    "time": _time,
    "address": _address,
    "free_text": _free_text,
    "name_config": _name,
}
