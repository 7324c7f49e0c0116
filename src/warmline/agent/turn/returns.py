"""What a function's return value asks for (agent-project.md §7)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from warmline.domain.turn import HandoffRequest

INTEGRATIONS = frozenset(
    f"{stem}_integration" for stem in ("webex", "salesforce", "zendesk", "nice", "amazon_connect", "genesys", "five9")
)
"""The keys that `handoff.text_chat` may hold (design.md §4, provider folder names)."""

_KNOWN_KEYS = frozenset(
    {
        *("content", "utterance", "utterance_channel", "hangup", "transition", "handoff", "listen"),
        *("variant", "end_turn"),
    }
)
_NO_TEXT = re.compile(r"<.* at 0x[0-9a-f]+>", re.DOTALL)
"""What Python writes for an object that has no text of its own."""
_SIP_FORMS = ("refer", "invite", "cxone", "bye")


class HandoffMalformed(Exception):
    """A handoff that cannot be carried out; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a return value asks for. `utterance` is None when there was none; "" asks for silence.

    `oddities` are things that were not understood and had no effect, as (rule, text).
    """

    content: str = ""
    utterance: str | None = None
    hangup: bool = False
    handoff: HandoffRequest | None = None
    handoff_error: str = ""
    goto_flow: str | None = None
    goto_step: str | None = None
    exit_flow: bool = False
    variant: str | None = None
    end_turn: bool = True
    short_listen: bool = False
    oddities: tuple[tuple[str, str], ...] = field(default=())


def read_return(value: object, odd_type: str = "") -> Wishes:
    """Read the plain data that a function returned.

    Args:
        value: None, a text, a dict, or anything else.
        odd_type: the name of the type that was returned when it is none of those that a function may return;
            then the value counts as content, as a text would, unless it tells only where an object is in memory.
    """
    if value is None:
        return Wishes()
    if odd_type or not isinstance(value, str | Mapping):
        name = odd_type or type(value).__name__
        content = "" if _NO_TEXT.fullmatch(str(value)) else str(value)
        taken = "Taken as text" if content else "Taken as nothing, since it has no text of its own"
        text = f"It returned {name}; a function may return a text, a dict or nothing. {taken}."
        return Wishes(content=content, oddities=(("return-type", text),))
    if isinstance(value, str):
        return Wishes(content=value)
    return _read_dict(value)


def _read_dict(value: Mapping[str, object]) -> Wishes:
    oddities = [
        ("return-key", f"The returned key `{key}` is unknown and has no effect.")
        for key in value
        if key not in _KNOWN_KEYS
    ]
    handoff, handoff_error, ends = None, "", False
    if value.get("handoff"):
        try:
            handoff, ends = read_handoff(value["handoff"])
        except HandoffMalformed as error:
            handoff_error = str(error)
    transition = value.get("transition")
    if transition is not None and not isinstance(transition, Mapping):
        oddities.append(("return-value", "The returned `transition` must be a dict; it has no effect."))
        transition = None
    moves = transition or {}
    utterance = value.get("utterance")
    if utterance and value.get("utterance_channel") == "DTMF":
        # Tones for a telephone: nobody may read their digits (agent-project.md §7.2).
        utterance = ""
    return Wishes(
        content=_text(value.get("content")),
        utterance=None if utterance is None else _text(utterance),
        hangup=ends or value.get("hangup") is True,
        handoff=handoff,
        handoff_error=handoff_error,
        goto_flow=_text(moves.get("goto_flow")) or None,
        goto_step=_text(moves.get("goto_step")) or None,
        exit_flow=moves.get("exit_flow") is True,
        variant=_text(value.get("variant")) or None,
        end_turn=value.get("end_turn") is not False,
        short_listen=_listens_shortly(value.get("listen")),
        oddities=tuple(oddities),
    )


def read_handoff(value: object) -> tuple[HandoffRequest | None, bool]:
    """Read the object under `handoff` (agent-project.md §7.3).

    Returns:
        The request, and whether the conversation ends instead (a `bye` without a type).

    Raises:
        HandoffMalformed: it names no known integration, or has none of the known forms.
    """
    if value is True:
        return HandoffRequest(integration=None), False
    if isinstance(value, str):
        return HandoffRequest(integration=None, destination=value, reason=value), False
    if not isinstance(value, Mapping):
        raise HandoffMalformed(f"`handoff` must be a dict, a text or True, not {type(value).__name__}")
    destination, reason = _text(value.get("type")), _text(value.get("reason"))
    if "text_chat" in value:
        integration, options = _read_text_chat(value["text_chat"])
        request = HandoffRequest(integration=integration, destination=destination, reason=reason, options=options)
        return request, False
    form = next((form for form in _SIP_FORMS if form in value), None)
    if form is None:
        known = ", ".join(f"`{name}`" for name in ("text_chat", *_SIP_FORMS))
        found = ", ".join(f"`{key}`" for key in value) or "nothing"
        raise HandoffMalformed(f"`handoff` must hold one of {known}; it holds {found}")
    if form == "bye" and not destination:
        return None, True
    options = {form: value[form]} if value[form] else {}
    return HandoffRequest(
        integration=None, destination=destination, reason=reason or destination, options=options
    ), False


def _read_text_chat(value: object) -> tuple[str, Mapping[str, object]]:
    known = ", ".join(sorted(INTEGRATIONS))
    if not isinstance(value, Mapping) or len(value) != 1:
        raise HandoffMalformed(f"`text_chat` must hold exactly one of {known}")
    key, options = next(iter(value.items()))
    if key not in INTEGRATIONS:
        raise HandoffMalformed(f"`{key}` is no integration; known are {known}")
    if options is None:
        return key, {}
    if not isinstance(options, Mapping):
        raise HandoffMalformed(f"`{key}` must be a dict, not {type(options).__name__}")
    return key, options


def _listens_shortly(listen: object) -> bool:
    """Tell the trick by which a project asks for a silent turn (agent-project.md §6)."""
    asr = listen.get("asr") if isinstance(listen, Mapping) else None
    timeout = asr.get("timeout") if isinstance(asr, Mapping) else None
    return isinstance(timeout, int | float) and timeout < 1


def _text(value: object) -> str:
    return "" if value is None else str(value)
