"""Where a form names something that the project does not have, so that the place can be marked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from warmline.agent.project.model import Problem
from warmline.agent.project.references import REFERENCE, VARIABLE

_RULES = ("dangling-reference", "unknown-variable")
_QUOTED = re.compile(r"`([^`]+)`")


def unknown_words(problem: Problem) -> list[str]:
    """The words of a problem that name something which is not there; the first that stands in its line is meant."""
    named = problem.rule == "dangling-reference" or problem.rule.startswith("unknown-")
    return _QUOTED.findall(problem.text) if named else []


@dataclass(frozen=True, slots=True)
class Marked:
    """A problem, and the place that it is about: a text in a field of the form; both "" when that is not known."""

    problem: Problem
    field: str = ""
    text: str = ""


def marked(problems: Sequence[Problem], fields: Mapping[str, str]) -> list[Marked]:
    """Find the places of unknown names in the form's `fields`."""
    return [next(_places(problem, fields), Marked(problem)) for problem in problems]


def _places(problem: Problem, fields: Mapping[str, str]) -> Iterator[Marked]:
    if problem.rule not in _RULES:
        return
    quoted = set(_QUOTED.findall(problem.text))
    for field, text in fields.items():
        for match in REFERENCE.finditer(text):
            if problem.rule == "dangling-reference" and match[2].strip() in quoted:
                yield Marked(problem, field, match[0])
        for match in VARIABLE.finditer(text):
            if problem.rule == "unknown-variable" and match[0] in quoted:
                yield Marked(problem, field, match[0])
