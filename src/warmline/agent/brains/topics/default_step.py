"""Carries out a default step by rules: finds its entities, asks for them, takes its conditions (§8.5)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from warmline.agent.brains.topics.acting import MOST_ASKED, joined, phrase, speak
from warmline.agent.brains.topics.actions import read_actions
from warmline.agent.brains.topics.asking import own_question
from warmline.agent.brains.topics.language import read_consent
from warmline.agent.brains.topics.notes import Notes, Turn
from warmline.agent.brains.topics.wording import closest
from warmline.agent.project.model import Condition, Entity, Step
from warmline.agent.turn.brain import EntityValue, Move, SaveEntities, Speak, TakeCondition
from warmline.agent.turn.entities import Setting, find_value
from warmline.agent.turn.tools import ENTITIES_TOOL

_REFUSAL = re.compile(
    r"\b(?:refus|declin|unwilling|unable|reluctan)\w*|\b(?:cannot|can't|won't|does ?n[o']t|doesn't|do not|don't|not|no"
    r"|without|never|fail\w*|skip\w*|prefers? not)\b",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"\b(?:don't|do not|can't|cannot|won't|will not|didn't) (?:\w+ )?(?:have|know|remember|recall|want|give|share|tell"
    r"|say|provide|wish|find)\b|\b(?:rather|prefer) not\b|\bno idea\b|\bnot (?:sure|telling|comfortable|giving|now)\b"
    r"|\bnone of your\b|\bforgot(?:ten)?\b|\bskip\b|\bnever mind\b|\brefuse\b",
    re.IGNORECASE,
)
_WISH = re.compile(r"\b(?:want|wish|ask|like|prefer|request|cancel|stop|leave|quit)\w*", re.IGNORECASE)
_SHORT = 3
"""Words of a message that begins with no and is no more than that."""
_WORD = re.compile(r"[^\W\d_]{4,}")
_OF_NUMBERS = frozenset({"amount", "count", "how", "many", "much", "number", "size", "total", "want", "will", "with"})
_BY_FORM = frozenset({"date", "time", "phone_number", "enum"})


def entered(turn: Turn, told: str = "", *, outright: bool = False) -> Move:
    """Begin the step: take what the message already says, else ask.

    Args:
        turn: with notes of this place.
        told: what is said before, such as what a function returned.
        outright: the message was written outside flows, so that it is no answer to another step.
    """
    situation, step = turn.situation, _step(turn)
    returned = _returned(turn)
    if not returned and (outright or not situation.results) and situation.text and not situation.silent:
        # The message may be the answer to what a function asked just before it entered the step.
        just_asked = any(item.role == "agent" and item.text.rstrip().endswith("?") for item in situation.history[-2:-1])
        asked = _missing(turn)[:1] if just_asked and not situation.results else []
        if found := _found(turn, asked=asked):
            return replace(_save(turn, found), before=told)
    if not returned and (condition := _choose(turn, step)):
        return replace(_take(turn, condition), before=told)
    return _ask(turn, told)


def answered(turn: Turn) -> Move | None:
    """Take the message as an answer; None when it is none."""
    text, step = turn.situation.text, _step(turn)
    refusing = [c for c in step.conditions if not c.required_entities and _refuses(c)]
    others = [c for c in step.conditions if not c.required_entities and c not in refusing]
    found = _found(turn, asked=[turn.notes.entity] if turn.notes.entity else _missing(turn)[:1])
    entities = _entities(turn)
    certain = any(v.valid and (_sure(entities[n]) or entities[n].type == "numeric") for n, v in found.items())
    # Whatever is written could be a free text or an address, also a refusal.
    short = not found or len(text.split()) <= _SHORT
    refused = bool(_REFUSED.search(text)) or (short and read_consent(text) is False)
    if refused and refusing and not certain:
        return _take(turn, _closest(refusing, text) or refusing[0])
    if found:
        return _save(turn, found)
    if not step.entities:
        consent = read_consent(text)
        meant = _closest(others, text)
        if meant is None and consent is not None and len(others) == 1 and refusing:
            meant = others[0] if consent else refusing[0]
        return _take(turn, meant) if meant else None
    return None


def after(turn: Turn) -> Move:
    """Go on after values were saved."""
    step = _step(turn)
    if condition := _choose(turn, step):
        return _take(turn, condition)
    refused = [value for name, value in turn.situation.entities.items() if name in step.entities and not value.valid]
    told = phrase(turn, "not_right", reason=refused[0].error) if refused else ""
    return _ask(turn, told)


def again(turn: Turn) -> Move:
    """Take the condition that the message wishes for, else ask again.

    Whoever cannot be understood goes the way of those who refuse, where there is one.
    """
    free = [c for c in _step(turn).conditions if not c.required_entities]
    refusing = [c for c in free if _refuses(c)]
    wishes = [c for c in free if c not in refusing and _WISH.search(f"{c.name} {c.description}")]
    if wish := _closest(wishes, turn.situation.text):
        return _take(turn, wish)
    if turn.notes.asked > MOST_ASKED and refusing:
        return _take(turn, refusing[0])
    return _ask(turn)


def _step(turn: Turn) -> Step:
    position = turn.situation.position
    assert position is not None
    assert isinstance(position.step, Step)
    return position.step


def _entities(turn: Turn) -> dict[str, Entity]:
    known = turn.situation.project.entities
    return {name: known[name] for name in _step(turn).entities if name in known}


def _returned(turn: Turn) -> bool:
    """Tell whether the step was left before, in this stay in the flow, and nothing was given anew since."""
    saved = any(result.name == ENTITIES_TOOL for result in turn.situation.results[-1:])
    return turn.notes.place in turn.notes.left and not saved


def _missing(turn: Turn) -> list[str]:
    """Give the entities that are still needed; those of an earlier visit to the step count as not given."""
    held, anew = turn.situation.entities, _returned(turn)
    return [name for name in _entities(turn) if anew or name not in held or not held[name].valid]


def _found(turn: Turn, asked: Iterable[str]) -> dict[str, EntityValue]:
    """Give the values in the message: any for the entities that were asked for, else those of a sure form."""
    situation, entities, missing = turn.situation, _entities(turn), _missing(turn)
    setting, wanted = Setting(situation.language, situation.now.date()), set(asked)
    found: dict[str, EntityValue] = {}
    # The same words are one entity's value: of that asked for, else of the first that is missing.
    taken: set[tuple[str, ...]] = set()
    for name in sorted(entities, key=lambda name: (name not in wanted, name not in missing)):
        entity, answered = entities[name], any(found[other].valid for other in wanted & found.keys())
        if name not in wanted and answered and (name not in missing or len(situation.text.split()) == 1):
            # An answer corrects nothing that is known, and a single word answers only what was asked.
            continue
        value = find_value(entity, situation.text, setting, asked=name in wanted)
        if value is None or (name not in wanted and not (value.valid and _sure(entity) and _form(entity) not in taken)):
            continue
        found[name] = value
        taken.add(_form(entity))
    if any(value.valid for value in found.values()):
        # Beside another answer, so that a question that holds a number stays a question.
        counted = {name: _counted(name, entities, situation.text, setting) for name in missing if name not in found}
        found |= {name: value for name, value in counted.items() if value is not None}
    return found


def _counted(name: str, entities: Mapping[str, Entity], text: str, setting: Setting) -> EntityValue | None:
    """Read the number before a word that the entity alone goes by, such as "12 people"; it may not pass."""
    if entities[name].type != "numeric":
        return None
    own = _words(entities[name]).difference(*(_words(other) for other in entities.values() if other.name != name))
    said = text.lower().split()
    for place, word in enumerate(said):
        if _singular(word) in own:
            before = said[max(0, place - 2) : place]
            number = before[-1] if before and any(c.isdigit() for c in before[-1]) else " ".join(before)
            if value := find_value(entities[name], number, setting, asked=False):
                return value
    return None


def _words(entity: Entity) -> frozenset[str]:
    """Give the words that tell what an entity is about, without the s of a plural."""
    words = _WORD.findall(f"{entity.name} {entity.description}".lower())
    return frozenset(map(_singular, words)) - _OF_NUMBERS


def _singular(word: str) -> str:
    return word.strip(" .,;:!?").removesuffix("s")


def _form(entity: Entity) -> tuple[str, ...]:
    """Give what is equal for entities whose values cannot be told apart by their form."""
    own = ("validation_type", "regular_expression", "options")
    return (entity.type, *(str(entity.config.get(key) or "") for key in own))


def _sure(entity: Entity) -> bool:
    """Tell whether a value of the entity can be told by its form, whatever was asked."""
    return entity.type in _BY_FORM or bool(
        entity.type == "alphanumeric"
        and (entity.config.get("regular_expression") or entity.config.get("validation_type") in ("zip", "postal"))
    )


def _save(turn: Turn, found: Mapping[str, EntityValue]) -> SaveEntities:
    memory = msgspec.to_builtins(turn.notes)
    return SaveEntities(values={name: value.value for name, value in found.items()}, memory=memory)


def _choose(turn: Turn, step: Step) -> Condition | None:
    """Give the condition that what is known fulfils, the one that needs most; None when there is none yet."""
    held = turn.situation.entities
    valid = {name for name, value in held.items() if value.valid}
    fulfilled = [c for c in step.conditions if c.required_entities and valid.issuperset(c.required_entities)]
    if not fulfilled and step.entities and valid.issuperset(step.entities):
        fulfilled = [c for c in step.conditions if not c.required_entities and not _refuses(c)]
    most = max((len(c.required_entities) for c in fulfilled), default=0)
    likely = [c for c in fulfilled if len(c.required_entities) == most]
    if len(likely) < 2:
        return likely[0] if likely else None
    known = " ".join(held[name].value for name in step.entities if name in valid)
    return _closest(likely, f"{turn.situation.text} {known}") or likely[0]


def _take(turn: Turn, condition: Condition) -> TakeCondition:
    notes = turn.notes
    left = [*notes.left, *([notes.place] if notes.place not in notes.left else [])]
    # Only the flow stays: wherever the condition leads, also back to here, is a step that is entered.
    memory = msgspec.to_builtins(Notes(place=notes.place.partition("\n")[0], left=left))
    return TakeCondition(name=condition.name, memory=memory)


def _closest(conditions: Sequence[Condition], text: str) -> Condition | None:
    index = closest([f"{condition.name} {condition.description}" for condition in conditions], text)
    return None if index is None else conditions[index]


def _refuses(condition: Condition) -> bool:
    return _REFUSAL.search(f"{condition.name} {condition.description}") is not None


def _ask(turn: Turn, told: str = "") -> Speak:
    """Ask for the next thing that is missing, in the words of the prompt where it has some."""
    step, missing, notes = _step(turn), _missing(turn), turn.notes
    name = missing[0] if missing else ""
    own = _own_question(turn, step)
    first = not name or name == next(iter(_entities(turn)))
    asked = notes.asked + 1 if notes.entity == name and notes.waiting else 1
    suggestions: tuple[str, ...] = ()
    if name:
        question = own if own and first else phrase(turn, "ask_for", name=name.replace("_", " "))
        options = turn.situation.project.entities[name].config.get("options")
        # The project's own question needs no help, unless it was not understood.
        if isinstance(options, list) and (question != own or asked > 1):
            suggestions = tuple(str(option) for option in options)
    elif own and first:
        question = own
    else:
        names = [condition.name for condition in step.conditions if not _refuses(condition)]
        question, suggestions = phrase(turn, "which_of", options=", ".join(names)), tuple(names)
    text = told if told.endswith("?") else joined(told, question)
    return speak(turn, text, notes.settled(waiting="value", question=question, entity=name, asked=asked), suggestions)


def _own_question(turn: Turn, step: Step) -> str:
    """Give the question that the step's prompt wants asked; "" when it has none that can be told."""
    prompt = turn.situation.render(step.prompt.value)
    plan = read_actions(prompt)
    return plan.ask or plan.wants or own_question(prompt)
