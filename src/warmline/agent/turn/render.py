"""Puts values into the project's texts (agent-project.md §3)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from warmline.agent.project.references import ALIASES, REFERENCE, VARIABLE

_BLOCK = re.compile(
    r"<(channel|language):([^<>]+)>((?:(?!<(?:channel|language):)[\s\S])*?)</\1>([ \t]*)", re.IGNORECASE
)
_TAG = re.compile(r"</?(?:channel|language)\b[^<>]*>", re.IGNORECASE)
_AUDIO_TAG = re.compile(r"\[[A-Za-z][\w ]*\]\s*")
# A state value may hold references, and what they bring in too; the rest is left as text.
_MOST_ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The values that texts may use. `state`: variables as text; `variant`: attributes of the active variant.

    `customer` is what the customer wrote. References and variables in it have no effect when they come back inside a
    value: whoever gives "{{fn:refund}}" as a name calls nothing, and "$balance" reveals nothing.
    """

    channel: str = "webchat.polyai"
    language: str = ""
    state: Mapping[str, str] = field(default_factory=dict)
    variant: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    customer: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text ready for use, and the functions and handoffs that it mentions, in their order."""

    text: str
    functions: tuple[str, ...] = ()
    handoffs: tuple[str, ...] = ()


def render(text: str, scope: Scope) -> Rendered:
    """Resolve conditional blocks, values and references. Unknown names stay as they are; nothing raises."""
    text = fill_in(text, scope)
    functions: dict[str, None] = {}
    handoffs: dict[str, None] = {}

    def name_only(match: re.Match[str]) -> str:
        kind, name = match[1], match[2].strip()
        if kind in ("fn", "ft"):
            functions[name] = None
            return name
        if kind == "ho":
            handoffs[name] = None
            return name
        return name if ALIASES.get(kind, kind) == "twilio_sms" else match[0]

    text = REFERENCE.sub(name_only, text)
    return Rendered(text, tuple(functions), tuple(handoffs))


def fill_in(text: str, scope: Scope) -> str:
    """Resolve blocks and values, but leave the references to functions and handoffs as they are."""
    for _ in range(_MOST_ROUNDS):
        filled = REFERENCE.sub(lambda match: _value(match, scope), _choose_blocks(text, scope))
        filled = VARIABLE.sub(lambda match: _variable(match, scope), filled)
        if filled == text:
            break
        text = filled
    return text


def without_audio_tags(text: str) -> str:
    """Remove tags such as `[Ring]`, which only mean something to a voice (agent-project.md §6)."""
    return _AUDIO_TAG.sub("", text).strip()


def _choose_blocks(text: str, scope: Scope) -> str:
    def keep_or_drop(match: re.Match[str]) -> str:
        wanted = match[2].strip().lower()
        if match[1].lower() == "channel":
            fits = _channel_name(scope.channel) == wanted
        else:
            current = scope.language.lower()
            fits = current == wanted or current.partition("-")[0] == wanted
        return match[3] + match[4] if fits else ""

    while (chosen := _BLOCK.sub(keep_or_drop, text)) != text:
        text = chosen
    return text


def _channel_name(channel: str) -> str:
    kind = channel.lower().partition(".")[0]
    return {"chat": "webchat", "sip": "voice"}.get(kind, kind)


def _value(match: re.Match[str], scope: Scope) -> str:
    kind, name = ALIASES.get(match[1], match[1]), match[2].strip()
    match kind:
        case "attr":
            return scope.variant.get(name, match[0])
        case "vrbl":
            return harmless(scope.state[name], scope) if name in scope.state else match[0]
        case "entity":
            return harmless(scope.entities.get(name, name), scope)
        case "tn":
            texts = scope.translations.get(name)
            if texts is None:
                return match[0]
            return texts.get(scope.language, next(iter(texts.values()), ""))
    return match[0]


def _variable(match: re.Match[str], scope: Scope) -> str:
    name = match[1] or match[2]
    if name in scope.state:
        return harmless(scope.state[name], scope)
    if match[1] and name.startswith("variant_"):
        return scope.variant.get(name.removeprefix("variant_"), match[0])
    return match[0]


def harmless(value: str, scope: Scope) -> str:
    """Break what the customer wrote in the manner of a reference, a variable or a block; the project's own stay.

    For values, and for what functions return: both may repeat the customer's words.
    """
    if not scope.customer:
        return value
    said = scope.customer.casefold()
    for pattern in (REFERENCE, VARIABLE, _TAG):
        value = pattern.sub(
            lambda match: f"{match[0][0]} {match[0][1:]}" if match[0].casefold() in said else match[0], value
        )
    return value
