"""How a text is cut for streaming (messaging-protocol.md §7, checks A2 to A4)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.domain.chunks import chunk_text

WORDS = st.text(alphabet="abc .!?…\n", min_size=1, max_size=80)
PROSE = ("Hello.", "Yes!", "What?", "e.g. this", "www.example.com/a.b.")
MARKUP = (
    "It is **very. bold**.",
    "See [our page. Now](https://x.example/a.b?c=d).",
    "<p>A. B.</p>",
    "1. First. Then",
    "- Point. More",
    "`code. here`",
)
RICH = st.lists(st.sampled_from((*PROSE, *MARKUP)), min_size=1, max_size=5).map(" ".join)


def test_A2_one_sentence_is_one_chunk() -> None:
    assert chunk_text("Hello there") == ("Hello there",)


def test_A3_cut_at_sentence_ends_keeping_the_space() -> None:
    assert chunk_text("One. Two! Three? Four… five") == ("One. ", "Two! ", "Three? ", "Four… ", "five")


@given(st.one_of(WORDS, RICH, st.text()))
def test_A3_plain_concatenation_gives_the_text_back(text: str) -> None:
    assert "".join(chunk_text(text)) == text


@given(st.one_of(WORDS, RICH))
def test_A3_joining_trimmed_chunks_with_one_space_gives_the_text_back(text: str) -> None:
    joined = " ".join(piece.strip() for piece in chunk_text(text))
    assert re.sub(r"\s+", " ", joined).strip() == re.sub(r"\s+", " ", text).strip()


@given(st.one_of(WORDS, RICH))
def test_A4_boundaries_only_after_white_space(text: str) -> None:
    pieces = chunk_text(text)
    assert all(piece[-1].isspace() and piece.strip() for piece in pieces[:-1])
    assert all(not piece[0].isspace() for piece in pieces[1:])


@pytest.mark.parametrize(
    "text",
    [
        "See **our. tariffs** now. Bye.",
        "Use `a. b` here. Bye.",
        "Read [the page. Now](/x). Bye.",
        "<p>One. Two.</p> Three.",
        "Go to https://x.example/a. Then b.",
        "Steps:\n1. Open it. Wait.\n2. Close it.",
        "1. Open it. Wait.",
        "- One. Two.\n- Three.",
        "# Title. More\nText. End.",
        "| a. b | c |",
        "~~Old. Price.~~ New.",
        r"Not \. a sentence. End.",
    ],
)
def test_A4_texts_with_markup_stay_whole(text: str) -> None:
    assert chunk_text(text) == (text,)


def test_a_number_at_the_start_is_not_a_list() -> None:
    assert chunk_text("3.5 kWh a day. That is little.") == ("3.5 kWh a day. ", "That is little.")
