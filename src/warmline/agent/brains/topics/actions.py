"""Plain interpretation of what a topic's actions ask for, as far as it needs no language model."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from warmline.agent.brains.topics.asking import asked_clause, asked_for
from warmline.agent.project.references import REFERENCE

_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”']))\s+(?=[A-Z\"“{-])|\n+")
_QUOTED_TEXT = re.compile(r"[\"“][^\"“”\n]+[\"”]")
_HELD = "\0"
"""Stands for a blank inside quotation marks, where no sentence of the actions ends."""
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")
_LEADING_CONDITION = re.compile(
    r"^(?:only )?(?:if|when|once|as soon as|after|in case|unless|should)\b(?P<condition>[^,:]*?)"
    r"(?:[,:]| then\b)\s*(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_TRAILING_CONDITION = re.compile(
    r"^(?P<rest>.*\}\}.*?)\s(?:only )?(?:if|when|(?<!at )once|as soon as|after)\b(?P<condition>.*)$",
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
_ASKS = re.compile(r"^(?:please |then |first,? |now )?ask\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Run:
    """Something to run: a function (`fn`), a transition function of the flow (`ft`) or a handoff (`ho`)."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Branch:
    """What to do, or to say, when the customer's answer means `condition`."""

    condition: str
    runs: tuple[Run, ...] = ()
    say: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a topic's actions, or the prompt of a flow's step, ask for.

    `say` is said first. `at_once` runs as soon as the topic is chosen or the step is entered; `if_yes` and `if_no` wait
    for the customer's answer to the offer. `ask` is said after the content, `accept` and `decline` after a yes and a
    no; `wants` is how a step asks for the values that are to be collected. `branches` are conditions of another kind,
    which a flow's step tells apart by their words; `needs_model` are their sentences, as far as they name a function: a
    topic cannot follow them without a language model.
    """

    at_once: tuple[Run, ...] = ()
    if_yes: tuple[Run, ...] = ()
    if_no: tuple[Run, ...] = ()
    say: str = ""
    ask: str = ""
    wants: str = ""
    accept: str = ""
    decline: str = ""
    branches: tuple[Branch, ...] = ()
    needs_model: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """True when it depends on the customer's answer how it goes on."""
        return bool(self.if_yes or self.if_no or self.accept or self.decline or self.branches)

    @property
    def empty(self) -> bool:
        """True when there is nothing in it that can be followed."""
        return not (self.at_once or self.say or self.ask or self.waits)


@dataclass(slots=True)
class _Draft:
    at_once: list[Run] = field(default_factory=list)
    if_yes: list[Run] = field(default_factory=list)
    if_no: list[Run] = field(default_factory=list)
    say: list[str] = field(default_factory=list)
    ask: str = ""
    wants: str = ""
    accept: str = ""
    decline: str = ""
    branches: list[Branch] = field(default_factory=list)
    needs_model: list[str] = field(default_factory=list)


@lru_cache(maxsize=2048)
def read_actions(text: str) -> Plan:
    """Read the actions of a topic or the prompt of a step; values are already filled in, references are not."""
    draft = _Draft()
    consent_seen = False
    for part in _sentences(text):
        sentence = _BULLET.sub("", part).strip()
        if not sentence:
            continue
        condition, rest = _split(sentence)
        runs = _runs(rest)
        if (otherwise := _OTHERWISE.match(sentence)) and consent_seen:
            draft.if_no += _runs(otherwise["rest"])
            draft.decline = draft.decline or _quoted(otherwise["rest"])
        elif condition is None:
            draft.at_once += runs
            question = _question(rest)
            draft.ask = draft.ask or question
            draft.wants = draft.wants or asked_for(rest)
            if not question and (said := _quoted(rest)):
                draft.say.append(said)
        elif _NO.search(condition):
            draft.if_no += runs
            draft.decline = draft.decline or _quoted(rest)
            consent_seen = True
        elif _YES.search(condition):
            draft.if_yes += runs
            draft.accept = draft.accept or _quoted(rest)
            consent_seen = True
        elif _HAS_VALUE.search(condition):
            # The parameters of the function are asked for anyway.
            (draft.if_yes if consent_seen else draft.at_once).extend(runs)
        elif runs or _quoted(rest):
            draft.branches.append(Branch(condition.strip(), tuple(runs), _quoted(rest)))
            draft.needs_model += [sentence] if runs else []
    return Plan(
        at_once=tuple(dict.fromkeys(draft.at_once)),
        if_yes=tuple(dict.fromkeys(draft.if_yes)),
        if_no=tuple(dict.fromkeys(draft.if_no)),
        say=" ".join(draft.say),
        ask=draft.ask,
        wants=draft.wants,
        accept=draft.accept,
        decline=draft.decline,
        branches=tuple(draft.branches),
        needs_model=tuple(draft.needs_model),
    )


def _sentences(text: str) -> list[str]:
    """Give the sentences of `text`; what is between quotation marks stays together."""
    held = _QUOTED_TEXT.sub(lambda match: match[0].replace(" ", _HELD), text)
    return [(part or "").replace(_HELD, " ") for part in _SENTENCE_END.split(held)]


def _split(sentence: str) -> tuple[str | None, str]:
    """Give the condition of a sentence, None without one, and what is to be done."""
    if match := _LEADING_CONDITION.match(sentence) or _TRAILING_CONDITION.match(sentence):
        return match["condition"], match["rest"]
    return None, sentence


def _runs(text: str) -> list[Run]:
    return [
        Run(match[1], match[2].strip())
        for match in REFERENCE.finditer(text)
        if match[1] in ("fn", "ft", "ho") and not _FORBIDDEN.search(text[: match.start()])
    ]


def _quoted(text: str) -> str:
    match = _QUOTED.search(text)
    return match["text"].strip() if match else ""


def _question(text: str) -> str:
    """Give the question that a sentence wants asked; "" when it is none."""
    if match := _ASK_WHETHER.search(text):
        what = match["what"].strip()
        return f"Would you like {what.replace('us to', 'me to', 1).replace('you to', 'me to', 1)}?"
    quoted = _quoted(text)
    if quoted.endswith("?") or (quoted and _ASKS.match(text)):
        return quoted
    return "" if quoted else asked_clause(text)
