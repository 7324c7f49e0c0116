"""Phrase filters: what a model must not say, cut before the customer reads it (agent-project.md §2.22)."""

import re
from dataclasses import dataclass

from warmline.agent.project.model import PhraseFilter, Project


@dataclass(frozen=True, slots=True)
class Cut:
    """A filter that found its phrase: what is left of the text to say, and the function to run then ("" for none)."""

    name: str
    kept: str
    function: str


class PhraseFilters:
    """The filters of a project. Those whose expressions are wrong have been reported when it was loaded."""

    def __init__(self, project: Project) -> None:
        """Compile the expressions."""
        self._filters = [(entry, _compiled(entry)) for entry in project.phrase_filters]

    def first(self, text: str, language: str) -> Cut | None:
        """Give what the earliest match in `text` leaves of it; None when no filter matches."""
        best: tuple[int, PhraseFilter, int] | None = None
        for entry, patterns in self._filters:
            if entry.language and language and entry.language.lower() != language.lower():
                continue
            for match in (pattern.search(text) for pattern in patterns):
                if match is not None and (best is None or match.start() < best[0]):
                    best = (match.start(), entry, match.end() if entry.say_phrase else match.start())
        if best is None:
            return None
        _, entry, end = best
        return Cut(name=entry.name, kept=text[:end].strip(), function=entry.function)


def _compiled(entry: PhraseFilter) -> list[re.Pattern[str]]:
    patterns = []
    for expression in entry.expressions:
        try:
            patterns.append(re.compile(expression, re.IGNORECASE))
        except re.error:
            continue
    return patterns
