"""Sentences as weighted n-grams (measurements.md §D.2)."""

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_LONGEST_QUERY = 2_000
"""Characters of a query that are looked at; nobody asks a question in more."""


_MARK = "~"
_LONGEST_GRAM = 4
_LONGEST_OF_MANY = 5
_MANY = 2_000
"""Sentences beyond which longer pieces of words are known well enough to count."""
WORD_WEIGHT = 1.5
"""Weight of words and pairs of words; pieces of words have 1. Chosen on held-out training data of BANKING77."""
_FUNCTION_WEIGHT = 0.5
_FUNCTION_WORDS = frozenset(
    _WORD.findall(
        "a an the i i'm i've i'd you your we our it its is are was be am do does did can could would will to of in"
        " on at for with from and or my me what how when where which who why this that there have has had if not"
        " any get please"
    )
)


def words(text: str) -> list[str]:
    """Give the words of `text` in lower case; letters of every script count."""
    text = unicodedata.normalize("NFKC", text[:_LONGEST_QUERY]).lower().replace("’", "'")
    return _WORD.findall(text)


def is_function_word(word: str) -> bool:
    """Tell whether `word` is one that any two sentences may share."""
    return word in _FUNCTION_WORDS


def ngrams(text: str, longest: int = _LONGEST_GRAM) -> Iterator[str]:
    """Give words, pairs of words, and 2 to `longest` characters inside the borders of words.

    Those of function words, which any two sentences may share, start with a mark.
    """
    found = words(text)
    for word in found:
        mark = _MARK if word in _FUNCTION_WORDS else ""
        yield f"{mark}w {word}"
        bordered = f" {word} "
        for size in range(2, min(longest, len(bordered)) + 1):
            for start in range(len(bordered) - size + 1):
                yield mark + bordered[start : start + size]
    for first, second in itertools.pairwise(found):
        mark = _MARK if first in _FUNCTION_WORDS and second in _FUNCTION_WORDS else ""
        yield f"{mark}p {first} {second}"


@dataclass(frozen=True, slots=True)
class Sparse:
    """Rows of a sparse matrix: row i is `columns[starts[i]:starts[i+1]]` with `weights` alike."""

    starts: Ints
    columns: Ints
    weights: Floats

    def row(self, index: int) -> tuple[Ints, Floats]:
        """Give the columns and weights of one row."""
        span = slice(self.starts[index], self.starts[index + 1])
        return self.columns[span], self.weights[span]


class Vectorizer:
    """Turns sentences into unit vectors: sublinear frequency times the root of smoothed rarity."""

    def __init__(self, sentences: Sequence[str], word_weight: float = WORD_WEIGHT) -> None:
        """Learn the n-grams of `sentences`, in which words weigh `word_weight` times as much as pieces of words."""
        self._word_weight = word_weight
        self._longest = _LONGEST_OF_MANY if len(sentences) > _MANY else _LONGEST_GRAM
        counts = [Counter(ngrams(sentence, self._longest)) for sentence in sentences]
        documents = Counter(gram for count in counts for gram in count)
        self._columns = {gram: column for column, gram in enumerate(documents)}
        frequency = np.fromiter(documents.values(), dtype=np.float32, count=len(documents))
        factors = np.array([self._factor(gram) for gram in documents], dtype=np.float32)
        rarity = np.sqrt(np.log((1 + len(sentences)) / (1 + frequency)) + 1)
        self._factors = (factors * rarity).astype(np.float32)
        self._unknown_rarity = math.sqrt(math.log(1 + len(sentences)) + 1)
        self.size = len(documents)
        self.rows = self._stack([self._weigh(count) for count in counts])

    def vector(self, sentence: str) -> tuple[Ints, Floats]:
        """Give the known n-grams of `sentence` as columns and weights.

        The unit is the whole sentence with its unknown n-grams, so that one of mostly unknown words is close to
        nothing: this separates sentences out of scope better than the direction alone.
        """
        return self._weigh(Counter(ngrams(sentence, self._longest)))

    def _weigh(self, count: Counter[str]) -> tuple[Ints, Floats]:
        known = [(self._columns[gram], number) for gram, number in count.items() if gram in self._columns]
        columns = np.fromiter((column for column, _ in known), dtype=np.int32, count=len(known))
        numbers = np.fromiter((number for _, number in known), dtype=np.float32, count=len(known))
        weights = (1 + np.log(numbers)) * self._factors[columns]
        unknown = sum(
            (self._factor(gram) * (1 + math.log(number))) ** 2
            for gram, number in count.items()
            if gram not in self._columns
        )
        length = math.sqrt(float(np.sum(weights**2)) + unknown * self._unknown_rarity**2)
        return columns, (weights / length if length else weights).astype(np.float32)

    def _factor(self, gram: str) -> float:
        common = gram.startswith(_MARK)
        whole = gram.startswith(("w ", "p "), len(_MARK) if common else 0)
        return (_FUNCTION_WEIGHT if common else 1.0) * (self._word_weight if whole else 1.0)

    @staticmethod
    def _stack(rows: Sequence[tuple[Ints, Floats]]) -> Sparse:
        starts = np.zeros(len(rows) + 1, dtype=np.int32)
        starts[1:] = np.cumsum([len(columns) for columns, _ in rows])
        empty = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        return Sparse(
            starts,
            np.concatenate([columns for columns, _ in rows] or [empty[0]]),
            np.concatenate([weights for _, weights in rows] or [empty[1]]),
        )
