"""Finds the topic that a customer's message is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from warmline.agent.brains.topics.classifier import collapse, fit, similarities, softmax
from warmline.agent.brains.topics.features import WORD_WEIGHT, Floats, Ints, Vectorizer, words
from warmline.agent.brains.topics.meaning import LEXICAL_SHARE, LEXICAL_WORD_WEIGHT, Encoder, Meanings

_FOLDS = 10
_MEDIUM, _LARGE = 300, 1_500
"""Sentences beyond which half of the folds, and one of them, must do: each costs a fit."""
_FREEDOM, _FREEDOM_OF_MUCH = 20.0, 60.0
"""How far the classifier may go to suit its examples: further where their meaning is known, or more than _MANY."""
_MANY = 2_000
_CONTENDERS = 5
"""Topics whose order the sentences nearest to a query may change, and _NEARNESS the weight of these sentences."""
_NEARNESS = 4.0
_MOST_LOST = 0.08
"""Share of the topics' own sentences, judged unseen, that the threshold would reject. Customers' sentences are
judged by a classifier that knows a few more examples, so that about one in twenty of them is rejected."""
_FEWEST = 8
"""With fewer topics the missing ones count as unlikely others: of two topics, one is always likelier than not."""
_LOWEST, _HIGHEST = 0.2, 0.5
"""Bounds of the threshold. With many topics the lowest is _TIMES_CHANCE of what pure chance gives."""
_TIMES_CHANCE = 2.5
_CLOSE = 0.75
"""A second topic this close to the first, as a share of its probability, makes the answer doubtful."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A topic that may be meant. `example` is its sentence nearest to the message."""

    topic: str
    probability: float
    example: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Routing:
    """What a message may be about, the likeliest first; `in_scope` is False when nothing is close enough."""

    candidates: tuple[Candidate, ...]
    in_scope: bool

    @property
    def best(self) -> Candidate | None:
        """The topic to answer from, None when out of scope."""
        return self.candidates[0] if self.in_scope and self.candidates else None

    @property
    def doubtful(self) -> bool:
        """True when two topics are about equally likely."""
        if not self.in_scope or len(self.candidates) < 2 or self.candidates[0].exact:
            return False
        first, second = self.candidates[:2]
        return second.probability >= _CLOSE * first.probability


class _Query(NamedTuple):
    """A sentence's n-grams, also as a row with all columns."""

    columns: Ints
    weights: Floats
    by_column: Floats


class Router:
    """A fitted classifier over the example sentences of topics. Building one computes; asking it is quick."""

    def __init__(self, topics: Sequence[tuple[str, Sequence[str]]], encoder: Encoder | None = None) -> None:
        """Fit.

        Args:
            topics: (name, sentences that are about it); topics without sentences are never found.
            encoder: tells what sentences mean; without one only their words and letters count.
        """
        known = [(name, [s for s in sentences if words(s)]) for name, sentences in topics]
        known = [(name, sentences) for name, sentences in known if sentences]
        self._names = [name for name, _ in known]
        self._sentences = [sentence for _, sentences in known for sentence in sentences]
        self._labels: Ints = np.repeat(
            np.arange(len(known), dtype=np.int32), [len(sentences) for _, sentences in known]
        )
        self._exact = {_key(sentence): index for index, sentence in reversed(list(enumerate(self._sentences)))}
        self._vectorizer = Vectorizer(self._sentences, WORD_WEIGHT if encoder is None else LEXICAL_WORD_WEIGHT)
        self._meanings = Meanings(encoder, self._sentences, self._labels) if encoder is not None else None
        self._share = np.float32(1.0 if self._meanings is None else LEXICAL_SHARE)
        much = self._meanings is not None or len(self._sentences) > _MANY
        self._freedom = _FREEDOM_OF_MUCH if much else _FREEDOM
        lexical = similarities(self._vectorizer.rows, self._vectorizer.size)
        self._example_weights = self._fit(self._kernel(lexical), self._labels)
        weights = self._share * self._example_weights
        self._weights = collapse(self._vectorizer.rows, weights, self._vectorizer.size)
        self.threshold = self._calibrate(lexical)
        if self._meanings is not None:
            self._meanings.settle()

    def route(self, text: str, excluded: frozenset[str] = frozenset()) -> Routing:
        """Find the topics that `text` may be about, without those in `excluded`."""
        candidates = self.nearest(text, excluded)
        if candidates and candidates[0].exact:
            return Routing(candidates[:1], True)
        return Routing(candidates, bool(candidates) and candidates[0].probability >= self.threshold)

    def nearest(self, text: str, excluded: frozenset[str] = frozenset(), most: int = 2) -> tuple[Candidate, ...]:
        """Give the `most` likeliest topics that are not in `excluded`, however unlikely, the likeliest first.

        A topic to which the sentence belongs word by word comes before all others.
        """
        exact: list[Candidate] = []
        index = self._exact.get(_key(text))
        if index is not None and (name := self._names[self._labels[index]]) not in excluded:
            exact = [Candidate(name, 1.0, self._sentences[index], exact=True)]
            excluded = excluded | {name}
        query = self._query(text)
        probabilities = self._probabilities(text, query)
        order = [int(i) for i in np.argsort(-probabilities)[: most + len(excluded)]]
        order = [i for i in order if self._names[i] not in excluded]
        likely = [Candidate(self._names[i], float(probabilities[i]), self._nearest(query, i)) for i in order[:most]]
        return tuple([*exact, *likely][:most])

    def probabilities(self, text: str) -> Floats:
        """Give the probability of each topic, in the order in which they were given."""
        return self._probabilities(text, self._query(text))

    def _probabilities(self, text: str, query: _Query) -> Floats:
        if not self._names:
            return np.zeros(0, dtype=np.float32)
        scores = query.weights @ self._weights[query.columns]
        meant = None
        if self._meanings is not None:
            meant = self._meanings.similarities(text)
            scores = scores + meant @ self._example_weights
        return self._reordered(scores, _confidences(scores), query, meant)

    def _reordered(self, scores: Floats, probabilities: Floats, query: _Query, meant: Floats | None) -> Floats:
        """Let the best few topics change places where the sentences nearest to the query speak for it.

        How sure the best one is stays what the classifier says: sentences about something else have near ones too.
        """
        best = np.argsort(-scores, kind="stable")[:_CONTENDERS]
        near = [self._nearness(query, int(label), meant) for label in best]
        order = best[np.argsort(-(scores[best] + np.float32(_NEARNESS) * np.array(near)), kind="stable")]
        reordered = probabilities.copy()
        reordered[order] = probabilities[best]
        return reordered

    def _nearness(self, query: _Query, label: int, meant: Floats | None) -> float:
        """Give the mean similarity of the query to the topic's two nearest sentences."""
        own, found = self._similar(query, label)
        found = self._share * found
        if meant is not None:
            found = found + meant[own]
        return float(np.sort(found)[-2:].mean())

    def _nearest(self, query: _Query, label: int) -> str:
        own, found = self._similar(query, label)
        return self._sentences[int(own[int(np.argmax(found))])]

    def _similar(self, query: _Query, label: int) -> tuple[NDArray[np.intp], Floats]:
        """Give the topic's sentences, and what each has in common with the query by words and letters."""
        rows = self._vectorizer.rows
        own = np.flatnonzero(self._labels == label)
        first, last = rows.starts[own[0]], rows.starts[own[-1] + 1]
        products = rows.weights[first:last] * query.by_column[rows.columns[first:last]]
        return own, np.add.reduceat(products, rows.starts[own] - first)

    def _query(self, text: str) -> _Query:
        columns, weights = self._vectorizer.vector(text)
        by_column = np.zeros(self._vectorizer.size, dtype=np.float32)
        by_column[columns] = weights
        return _Query(columns, weights, by_column)

    def _kernel(self, lexical: Floats, seen: Ints | None = None) -> Floats:
        """Give the sentences' similarities; with `seen`, as if only these sentences' topics were known."""
        if self._meanings is None:
            return lexical
        return self._share * lexical + self._meanings.kernel(seen)

    def _fit(self, kernel: Floats, labels: Ints) -> Floats:
        """Give the weights of sentences for each topic; `kernel` holds their similarities."""
        if not len(labels):
            return np.zeros((0, len(self._names)), dtype=np.float32)
        # A single topic needs something to be told apart from.
        return fit(kernel, labels, max(2, len(self._names)), self._freedom)[:, : len(self._names)]

    def _calibrate(self, lexical: Floats) -> float:
        """Set the threshold at which few of the topics' own sentences would be rejected.

        Each sentence is judged by a classifier that has not seen it.
        """
        count = len(self._sentences)
        parts = _FOLDS if count <= _MEDIUM else _FOLDS // 2
        folds = np.arange(count) % parts
        confidences: list[float] = []
        for fold in range(1 if count > _LARGE else parts):
            seen = np.flatnonzero(folds != fold).astype(np.int32)
            unseen = np.flatnonzero(folds == fold)
            if len(seen) and len(unseen):
                kernel = self._kernel(lexical, seen)
                weights = self._fit(kernel[np.ix_(seen, seen)], self._labels[seen])
                scores = kernel[np.ix_(unseen, seen)] @ weights
                confidences += [float(_confidences(row).max()) for row in scores]
        lowest = min(_LOWEST, _TIMES_CHANCE / max(len(self._names), 1))
        if not confidences:
            return lowest
        return float(np.clip(np.quantile(confidences, _MOST_LOST), lowest, _HIGHEST))


def _confidences(scores: Floats) -> Floats:
    """Turn class scores into probabilities, as if there were at least _FEWEST classes."""
    others = np.zeros(max(0, _FEWEST - len(scores)), dtype=np.float32)
    return softmax(np.concatenate([scores, others]))[: len(scores)]


def _key(text: str) -> str:
    return " ".join(words(text))
