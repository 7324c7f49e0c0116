"""The router of the `topics` brain."""

import itertools
import time

import numpy as np
import pytest

from support.agent_projects import LUMEN
from support.lumen_sentences import IN_SCOPE, OUT_OF_SCOPE
from warmline.agent.brains.topics.brain import TopicsBrain
from warmline.agent.brains.topics.classifier import collapse, fit, similarities, softmax
from warmline.agent.brains.topics.features import Vectorizer, ngrams, words
from warmline.agent.brains.topics.router import Router
from warmline.agent.project.loader import load_project

SHOP = [
    ("delivery", ["where is my parcel", "track my order", "when does my delivery come"]),
    ("returns", ["I want to send this back", "how do I return shoes", "can I get a refund"]),
    ("hours", ["when are you open", "opening hours", "are you open on sunday"]),
]


@pytest.fixture(scope="module")
def lumen() -> Router:
    return TopicsBrain(load_project(LUMEN)).router


def test_words_of_every_script_count() -> None:
    assert words("Größe? ¿Qué? 'тест' I'd 日本") == ["größe", "qué", "тест", "i'd", "日本"]


def test_ngrams_stay_inside_words() -> None:
    grams = list(ngrams("pay bill"))
    assert "w pay" in grams
    assert "p pay bill" in grams
    assert " pay" in grams
    assert not any("y b" in gram for gram in grams if not gram.startswith("p "))


def test_similarities_are_cosines() -> None:
    vectorizer = Vectorizer(["pay my bill", "my bill", "open on sunday"])
    kernel = similarities(vectorizer.rows, vectorizer.size)
    assert np.allclose(np.diag(kernel), 1, atol=1e-5)
    assert np.allclose(kernel, kernel.T, atol=1e-6)
    assert kernel[0, 1] > 0.4 > kernel[0, 2]


def test_the_collapsed_weights_score_like_the_kernel() -> None:
    sentences = [sentence for _, group in SHOP for sentence in group]
    vectorizer = Vectorizer(sentences)
    kernel = similarities(vectorizer.rows, vectorizer.size)
    weights = fit(kernel, np.repeat(np.arange(3, dtype=np.int32), 3), 3, 20.0)
    columns = collapse(vectorizer.rows, weights, vectorizer.size)
    for index, sentence in enumerate(sentences):
        grams, values = vectorizer.vector(sentence)
        assert np.allclose(values @ columns[grams], kernel[index] @ weights, atol=1e-4)
    assert np.argmax(softmax(kernel @ weights), axis=1).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_of_two_likely_topics_the_one_with_the_nearest_sentences_comes_first() -> None:
    shared = ["the red lamp", "the red lamp now", "a red lamp there"]
    common = [f"the red lamp number {number}" for number in range(12)]
    router = Router([("many", common), ("few", [*shared, "something of its own"])])
    found = router.nearest("the red lamp there")
    assert [candidate.topic for candidate in found] == ["few", "many"]
    assert found[0].probability >= found[1].probability


def test_a_known_sentence_is_exact_whatever_its_case_and_punctuation() -> None:
    routing = Router(SHOP).route("WHEN are you open???")
    assert routing.best is not None
    assert (routing.best.topic, routing.best.exact, routing.best.probability) == ("hours", True, 1.0)


def test_the_nearest_example_explains_the_choice() -> None:
    best = Router(SHOP).route("could I return these red shoes").best
    assert best is not None
    assert (best.topic, best.example) == ("returns", "how do I return shoes")


def test_nothing_close_is_out_of_scope() -> None:
    router = Router(SHOP)
    for text in ("xyzzy", "", "???", "tell me about quantum physics"):
        assert router.route(text).best is None, text


def test_excluded_topics_are_never_found() -> None:
    router = Router(SHOP)
    routing = router.route("when are you open", frozenset({"hours"}))
    assert "hours" not in [candidate.topic for candidate in routing.candidates]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_topics_work_too(count: int) -> None:
    router = Router(SHOP[:count])
    assert router.route("quantum physics").best is None
    if count:
        best = router.route("please track my order today").best
        assert best is not None
        assert best.topic == "delivery"


def test_routing_is_deterministic() -> None:
    first, second = Router(SHOP), Router(SHOP)
    assert np.array_equal(first.probabilities("where is my refund"), second.probabilities("where is my refund"))
    assert first.threshold == second.threshold


def test_a_small_project_routes_well(lumen: Router) -> None:
    right = sum(lumen.route(text).candidates[0].topic == topic for text, topic in IN_SCOPE)
    assert right / len(IN_SCOPE) >= 0.9


def test_a_small_project_answers_what_it_knows_and_refuses_what_it_does_not(lumen: Router) -> None:
    kept = sum(lumen.route(text).in_scope for text, _ in IN_SCOPE) / len(IN_SCOPE)
    refused = sum(not lumen.route(text).in_scope for text in OUT_OF_SCOPE) / len(OUT_OF_SCOPE)
    assert kept >= 0.93
    assert refused >= 0.85


def test_a_query_takes_less_than_two_milliseconds(lumen: Router) -> None:
    texts = [text for text, _ in IN_SCOPE] + OUT_OF_SCOPE
    taken = []
    for text in itertools.islice(itertools.cycle(texts), 300):
        started = time.thread_time()
        lumen.route(text)
        taken.append(time.thread_time() - started)
    # Of this thread's own time: what else the machine does says nothing about the router.
    assert sorted(taken)[150] < 0.002
