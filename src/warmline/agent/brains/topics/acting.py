"""What topics and steps have in common: saying something, running what a plan names, asking for what that needs."""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from warmline.agent.brains.topics.actions import Run
from warmline.agent.brains.topics.language import PHRASES
from warmline.agent.brains.topics.notes import Notes, Turn
from warmline.agent.brains.topics.slots import find_value, named_number, question_for
from warmline.agent.project.model import Parameter
from warmline.agent.turn.brain import CallFunction, CallHandoff, Move, Speak
from warmline.agent.turn.tools import find_function
from warmline.domain.turn import Finding

_WITH_BUTTONS = ("webchat", "chat")
"""The beginnings of the types of channels that show suggestions as buttons."""
_NUMBERS = ("integer", "number")
MOST_ASKED = 2
"""Times that something is asked for before the brain lets go."""
_TELL = re.compile(r"^(?:please )?(?:tell|inform) the (?:customer|user|caller)(?: that)?[:,]?\s*", re.IGNORECASE)
_SAY_QUOTED = re.compile(
    r"\b(?:say|tell|reply|answer|respond|ask|inform)\b[^\"“]{0,40}[\"“](?P<text>[^\"”]+)[\"”]", re.IGNORECASE
)
_INSTRUCTION = re.compile(
    r"^(?:please )?(?:ask|say|call|do not|don't|never|always|you must|apologi[sz]e|proceed|continue|offer|use|let"
    r"|confirm|collect|go to|return|explain|if|then|now|the (?:customer|user|caller))\b",
    re.IGNORECASE,
)


def phrase(turn: Turn, key: str, **values: str) -> str:
    """Give one of the brain's own sentences, in the project's words where it has them."""
    own = turn.situation.project.phrases.get(key)
    text = turn.situation.render(own.value) if own else PHRASES[key]
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def joined(*texts: str) -> str:
    """Give the texts as one, without the empty ones."""
    return " ".join(text.strip() for text in texts if text.strip())


def named(runs: Iterable[Run]) -> list[str]:
    """Give runs as notes keep them."""
    return [f"{run.kind}:{run.name}" for run in runs]


def speak(
    turn: Turn,
    text: str,
    notes: Notes,
    suggestions: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
) -> Speak:
    """Say `text` and keep `notes`. `suggestions` are read in the text where the channel has no buttons for them."""
    if not turn.situation.channel.startswith(_WITH_BUTTONS):
        text = "\n".join([text, *(one for one in suggestions if one.lower() not in text.lower())])
    return Speak(
        text=text,
        suggestions=suggestions,
        topic=notes.topic,
        why=notes.why,
        distance=notes.distance,
        memory=msgspec.to_builtins(notes),
        findings=findings,
    )


def run(turn: Turn, runs: Sequence[str], *, before: str = "", utterance: str = "", question: str = "") -> Move:
    """Start the first of `runs`, after asking for what it needs.

    Args:
        turn: the situation and the notes, whose `arguments` are those that are known already.
        runs: what is to be done, one after the other.
        before: said before.
        utterance: said before a handoff.
        question: how to ask for the first thing that is missing, where the project has said it.
    """
    situation, notes = turn.situation, turn.notes
    kind, _, name = runs[0].partition(":")
    if kind == "ho":
        memory = msgspec.to_builtins(Notes(topic=notes.topic))
        said = joined(before, utterance)
        return CallHandoff(destination=name, utterance=said, topic=notes.topic, why=notes.why, memory=memory)
    arguments = dict(notes.arguments)
    function = find_function(situation.project, situation.position, name)
    missing = [parameter for parameter in function.parameters if parameter.name not in arguments] if function else []
    # A number says nothing about which of several parameters it is for, or was the answer to another one.
    several = bool(notes.arguments) or sum(parameter.type in _NUMBERS for parameter in missing) > 1
    for parameter in missing:
        named_only = several and parameter.type in _NUMBERS
        text = named_number(parameter, situation.text) if named_only else situation.text
        value = find_value(parameter, text, asked=False)
        if value is None:
            return ask_for(turn, parameter, runs, arguments, before=before, question=question)
        arguments[parameter.name] = value
    after = notes.settled(runs=list(runs[1:]))
    return CallFunction(
        name=name,
        arguments=arguments,
        topic=notes.topic,
        why=notes.why,
        distance=notes.distance,
        memory=msgspec.to_builtins(after),
        before=before,
    )


def ask_for(
    turn: Turn,
    parameter: Parameter,
    runs: Sequence[str],
    arguments: Mapping[str, object],
    *,
    before: str = "",
    question: str = "",
) -> Speak:
    """Ask for a function's parameter."""
    same = turn.notes.waiting == "value" and turn.notes.parameter == parameter.name
    text = question or question_for(parameter, phrase(turn, "ask_for"))
    notes = turn.notes.settled(
        waiting="value",
        question=text,
        runs=list(runs),
        arguments=dict(arguments),
        parameter=parameter.name,
        asked=turn.notes.asked + 1 if same else 1,
    )
    return speak(turn, joined(before, text), notes)


def value_given(turn: Turn) -> Move | None:
    """Take the message as the value that was asked for, and go on; None when it is none."""
    notes = turn.notes
    parameter = asked_parameter(turn)
    value = find_value(parameter, turn.situation.text, asked=True) if parameter else None
    if parameter is None or value is None:
        return None
    arguments = {**notes.arguments, parameter.name: value}
    return run(turn.noting(notes.settled(arguments=arguments)), notes.runs)


def asked_parameter(turn: Turn) -> Parameter | None:
    """Give the parameter that the customer was asked for."""
    situation, notes = turn.situation, turn.notes
    name = notes.runs[0].partition(":")[2] if notes.runs else ""
    function = find_function(situation.project, situation.position, name)
    return next((p for p in function.parameters if p.name == notes.parameter), None) if function else None


def for_the_customer(content: str) -> str:
    """Give what a function's content tells the customer; "" when it only instructs a model."""
    if quoted := _SAY_QUOTED.search(content):
        return quoted["text"].strip()
    told = _TELL.sub("", content.strip())
    if told == content.strip() and _INSTRUCTION.match(told):
        return ""
    return told[:1].upper() + told[1:]
