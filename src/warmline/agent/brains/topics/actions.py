"""Plain interpretation of what a topic's actions ask for, as far as it needs no language model."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from warmline.agent.project.references import REFERENCE

_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”']))\s+(?=[A-Z\"“{-])|\n+")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")
_LEADING_CONDITION = re.compile(
    r"^(?:only )?(?:if|when|once|as soon as|after|in case|unless|should)\b(?P<condition>[^,:]*?)"
    r"(?:[,:]| then\b)\s*(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_TRAILING_CONDITION = re.compile(
    r"^(?P<rest>.*\}\}.*?)\s(?:only )?(?:if|when|once|as soon as|after)\b(?P<condition>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_OTHERWISE = re.compile(r"^(?:otherwise|if not|else)\b[,:]?\s*(?P<rest>.*)$", re.IGNORECASE | re.DOTALL)
_NO = re.compile(
    r"\b(?:no|declines?|refuses?|disagrees?|rejects?|negative|(?:does|do|did) ?n[o']t|doesn't|not)\b", re.IGNORECASE
)
_YES = re.compile(
    r"\b(?:yes|agrees?|agreed|accepts?|accepted|confirms?|confirmed|consents?|affirmative|says? ok(?:ay)?"
    r"|would like (?:to|that|this|it|you to)|is (?:happy|interested|fine|ok)|says? so|so wishes|go ahead"
    r"|wants? (?:that|this|it|you to|to (?:proceed|continue|go ahead|do (?:so|that|this|it))))\b",
    re.IGNORECASE,
)
_HAS_VALUE = re.compile(
    r"\b(?:gives?|gave|given|provides?|provided|tells?|told|you have|you know|collected|received|got)\b",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(r"\b(?:do not|don't|never|avoid|without)\b[^.{]*$", re.IGNORECASE)
_ASK_WHETHER = re.compile(
    r"\b(?:ask|check) (?:the (?:customer|user|caller)|them)?\s*(?:if|whether) (?:they|the (?:customer|user|caller))"
    r"(?: would|'d)? (?:like|wants?|wish(?:es)?) (?P<what>(?:you |us )?to [^.?!]+)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"\b(?:say|ask|tell|reply|answer|respond)[^\"“]{0,40}[\"“](?P<text>[^\"”]+)[\"”]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Run:
    """Something to run: a function (`fn`) or a handoff (`ho`)."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a topic's actions ask for.

    `at_once` runs as soon as the topic is chosen; `if_yes` and `if_no` wait for the customer's answer to the
    offer. `ask` is said after the content, `decline` after a no. `needs_model` are sentences with a function
    that cannot be followed without a language model.
    """

    at_once: tuple[Run, ...] = ()
    if_yes: tuple[Run, ...] = ()
    if_no: tuple[Run, ...] = ()
    ask: str = ""
    decline: str = ""
    needs_model: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    at_once: list[Run] = field(default_factory=list)
    if_yes: list[Run] = field(default_factory=list)
    if_no: list[Run] = field(default_factory=list)
    ask: str = ""
    decline: str = ""
    needs_model: list[str] = field(default_factory=list)


@lru_cache(maxsize=2048)
def read_actions(text: str) -> Plan:
    """Read the actions of a topic; values are already filled in, references are not."""
    draft = _Draft()
    consent_seen = False
    for part in _SENTENCE_END.split(text):
        sentence = _BULLET.sub("", part or "").strip()
        if not sentence:
            continue
        condition, rest = _split(sentence)
        runs = _runs(rest)
        if (otherwise := _OTHERWISE.match(sentence)) and consent_seen:
            draft.if_no += _runs(otherwise["rest"])
            draft.decline = draft.decline or _quoted(otherwise["rest"])
        elif condition is None:
            draft.at_once += runs
            draft.ask = draft.ask or _question(rest)
        elif _NO.search(condition):
            draft.if_no += runs
            draft.decline = draft.decline or _quoted(rest)
            consent_seen = True
        elif _YES.search(condition):
            draft.if_yes += runs
            consent_seen = True
        elif _HAS_VALUE.search(condition):
            # The parameters of the function are asked for anyway.
            (draft.if_yes if consent_seen else draft.at_once).extend(runs)
        elif runs:
            draft.needs_model.append(sentence)
    return Plan(
        at_once=tuple(dict.fromkeys(draft.at_once)),
        if_yes=tuple(dict.fromkeys(draft.if_yes)),
        if_no=tuple(dict.fromkeys(draft.if_no)),
        ask=draft.ask,
        decline=draft.decline,
        needs_model=tuple(draft.needs_model),
    )


def _split(sentence: str) -> tuple[str | None, str]:
    """Give the condition of a sentence, None without one, and what is to be done."""
    if match := _LEADING_CONDITION.match(sentence) or _TRAILING_CONDITION.match(sentence):
        return match["condition"], match["rest"]
    return None, sentence


def _runs(text: str) -> list[Run]:
    return [
        Run(match[1], match[2].strip())
        for match in REFERENCE.finditer(text)
        if match[1] in ("fn", "ho") and not _FORBIDDEN.search(text[: match.start()])
    ]


def _quoted(text: str) -> str:
    match = _QUOTED.search(text)
    return match["text"].strip() if match else ""


def _question(text: str) -> str:
    if match := _ASK_WHETHER.search(text):
        what = match["what"].strip()
        return f"Would you like {what.replace('us to', 'me to', 1).replace('you to', 'me to', 1)}?"
    return _quoted(text)
