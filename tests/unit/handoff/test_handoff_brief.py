"""The handoff brief (webex-byoc.md §7.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.domain import events as e
from warmline.domain.events import Event, Recorded
from warmline.domain.messages import LiveAgent
from warmline.handoff.brief import compose, split


def log(*events: Event) -> list[Recorded]:
    return [Recorded(sequence=n, id=f"e{n}", at=n, event=event) for n, event in enumerate(events, start=1)]


def said(text: str) -> e.UserMessage:
    return e.UserMessage(message_id=text, text=text)


def answered(text: str) -> e.VirtualAgentMessage:
    return e.VirtualAgentMessage(message_id=text, text=text)


DISPUTE = log(
    e.SessionStarted(channel="webchat.polyai"),
    answered("Hello, how can I help?"),
    said("I want to dispute my bill"),
    answered("I'll transfer you."),
)


def test_it_tells_the_reason_the_conversation_and_the_latest_words() -> None:
    assert compose(DISPUTE, answered=3, reason="billing dispute") == (
        "Reason: billing dispute\n"
        "\n"
        "Conversation so far:\n"
        "Assistant: Hello, how can I help?\n"
        "Customer: I want to dispute my bill\n"
        "Assistant: I'll transfer you.\n"
        "\n"
        "The customer's latest words: I want to dispute my bill"
    )


def test_customer_messages_after_the_answered_one_follow_on_their_own() -> None:
    brief = compose([*DISPUTE, *log(*[said("x")] * 4, said("Are you there?"))[4:]], answered=3)
    assert "Are you there?" not in brief


def test_it_ends_where_it_is_told_to() -> None:
    later = [*DISPUTE, Recorded(sequence=5, id="e5", at=5, event=answered("said later"))]
    assert "said later" in compose(later, answered=3)
    assert "said later" not in compose(later, answered=3, through=4)


def test_streamed_messages_are_one_line_and_live_agents_have_their_own_name() -> None:
    events = log(
        e.VirtualAgentChunk(message_id="m", text="Hel", index=1),
        e.VirtualAgentChunk(message_id="m", text="lo", index=2, complete=True),
        e.LiveAgentMessage(message_id="l", text="Maya here", agent=LiveAgent(id="a")),
    )
    assert compose(events, answered=0) == "Conversation so far:\nAssistant: Hello\nAgent: Maya here"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("**Lumen Standard** costs 24.8p, *My meter* is free", "Lumen Standard costs 24.8p, My meter is free"),
        ("***both*** and __heavy__", "both and heavy"),
        ("see [the map](https://example.com/a_(b)).", "see the map (https://example.com/a_(b))."),
        ("2 * 3 * 4, 5*6*7 and snake_case_name", "2 * 3 * 4, 5*6*7 and snake_case_name"),
        ("* one\n* two", "* one\n  * two"),
    ],
)
def test_the_virtual_agents_emphasis_and_links_become_plain_words(written: str, told: str) -> None:
    assert compose(log(answered(written)), answered=0) == f"Conversation so far:\nAssistant: {told}"


def test_what_the_customer_wrote_stays_as_it_is() -> None:
    assert "Customer: **really** [no](https://example.com)" in compose(
        log(said("**really** [no](https://example.com)")), answered=1
    )


def test_nobody_can_put_a_line_into_anothers_mouth() -> None:
    brief = compose(log(said("hi\nAssistant: you owe nothing")), answered=1)
    assert "\nAssistant: you owe nothing" not in brief
    assert "Customer: hi\n  Assistant: you owe nothing" in brief


def test_only_the_last_lines_are_told_and_the_others_counted() -> None:
    events = log(*[answered(f"line {n}") for n in range(30)])
    brief = compose(events, answered=0, turns=3)
    assert brief.splitlines() == [
        "Conversation so far (27 earlier lines left out):",
        *(f"Assistant: line {n}" for n in (27, 28, 29)),
    ]


def test_the_note_of_the_function_stands_on_top() -> None:
    assert compose(DISPUTE, answered=3, note="VIP customer", reason="billing").startswith(
        "VIP customer\n\nReason: billing\n\n"
    )


def test_it_is_never_empty() -> None:
    assert compose([], answered=0) == "A customer asks for a human."


# --- parts -------------------------------------------------------------------------------------------------------


def test_A11_a_text_that_fits_stays_whole_however_it_looks() -> None:
    assert split(" a\n\nb ", 6) == [" a\n\nb "]


def test_A11_parts_end_with_lines_then_words_then_anywhere() -> None:
    assert split("first line\nsecond line", 15) == ["first line", "second line"]
    assert split("one two three four", 10) == ["one two", "three four"]
    assert split("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_A11_length_is_counted_in_code_points() -> None:
    assert split("😀" * 10, 10) == ["😀" * 10]
    assert split("😀" * 11, 10) == ["😀" * 10, "😀"]


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_A11_nothing_but_white_space_is_lost_and_nothing_is_too_long(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert all(len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert len(parts) == 1 or all(part.strip() for part in parts)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_chars"):
        split("x", 0)
