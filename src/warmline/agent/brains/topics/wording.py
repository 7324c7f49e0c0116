"""Tells apart, by their words, things that a customer's answer may mean."""

from collections.abc import Sequence

from warmline.agent.brains.topics.features import words

_STEM = 5
"""Letters that two words must share at their start to count as the same: "cancel" and "cancelling"."""
_EMPTY = frozenset(
    words(
        "the a an to of in on at for with and or is are be they them their customer user caller wants want would like"
        " wishes asks says say said it this that he she has have had if when you your i my me we us please can do"
    )
)


def closest(meanings: Sequence[str], text: str) -> int | None:
    """Give the index of the meaning that shares the most telling words with `text`; None when no single one does.

    A word is telling when only one of the meanings has it.
    """
    said = _stems(text)
    stems = [_stems(meaning) for meaning in meanings]
    scores: list[int] = []
    for index, own in enumerate(stems):
        others: set[str] = set().union(*(other for place, other in enumerate(stems) if place != index))
        scores.append(len((own - others) & said))
    best = max(scores, default=0)
    return scores.index(best) if best and scores.count(best) == 1 else None


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in words(text) if word not in _EMPTY}
