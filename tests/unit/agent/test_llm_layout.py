"""Parts of the request to a language model that no conversation is needed for."""

import pytest

from warmline.agent.brains.llm.layout import intro
from warmline.agent.brains.llm.notes import Called, Notes, Said, read_notes, write_notes
from warmline.agent.brains.llm.phrases import PhraseFilters
from warmline.agent.brains.llm.prompts import language_name
from warmline.agent.models.wire import Answer, AnswerBroken, AnswerTooLong, EventLines
from warmline.agent.project.model import PhraseFilter, Project


@pytest.mark.parametrize(
    ("personality", "role", "opening"),
    [
        ("polite", "CustomerServiceRepresentative", "You are a polite CustomerServiceRepresentative. "),
        ("polite, calm", "Receptionist", "You are a polite, calm Receptionist. "),
        ("", "Receptionist", "You are a Receptionist. "),
        ("kind", "", "You are a kind."),
        ("You are casual.", "Receptionist", "You are casual. You are a Receptionist."),
        ("kind", "You are the voice of Poly Services.", "You are a kind. You are the voice of Poly Services."),
    ],
)
def test_personality_and_role_become_an_opening(personality: str, role: str, opening: str) -> None:
    assert intro(personality, role) == opening


def test_notes_of_another_turn_or_brain_are_forgotten_but_for_what_was_retrieved() -> None:
    notes = Notes(
        turn_id="t1", retrieved=[["prices"]], exchange=[Said(text="", calls=[Called("c", "f", "{}")])], asked=1
    )
    kept = write_notes(notes)
    assert read_notes(kept, "t1").waiting is not None
    assert read_notes(kept, "t2") == Notes(turn_id="t2", retrieved=[["prices"]])
    assert read_notes(write_notes(notes, final=True), "t1") == Notes(turn_id="t1", retrieved=[["prices"]])
    assert read_notes({"retrieved": "no list"}, "t1") == Notes(turn_id="t1")


def test_the_earliest_phrase_cuts_and_languages_count(tmp_path: object) -> None:
    filters = PhraseFilters(
        Project(
            root=tmp_path,  # type: ignore[arg-type]
            phrase_filters=(
                PhraseFilter(name="late", line=1, expressions=("refund",), say_phrase=True, function="stop"),
                PhraseFilter(name="early", line=2, expressions=("sorry", "sure"), language="en-US"),
            ),
        )
    )
    cut = filters.first("I am SURE of a refund.", "en-US")
    assert cut is not None
    assert (cut.name, cut.kept, cut.function) == ("early", "I am", "")
    other = filters.first("I am sure of a refund.", "de-DE")
    assert other is not None
    assert (other.name, other.kept, other.function) == ("late", "I am sure of a refund", "stop")
    assert filters.first("All is well.", "en-US") is None


def test_languages_have_names() -> None:
    assert [language_name(code) for code in ("de-AT", "en", "xx-YY")] == ["German", "English", "xx-YY"]


def test_events_are_found_however_the_bytes_are_cut() -> None:
    stream = b': hello\n\ndata: {"a": 1}\r\n\r\nevent: x\ndata:{}\n\ndata: [DONE]\n\n'
    for size in (1, 2, 3, 7, 1000):
        lines = EventLines()
        found = [event for i in range(0, len(stream), size) for event in lines.feed(stream[i : i + size])]
        assert found == [b'{"a": 1}', b"{}", b"[DONE]"]


def test_a_line_without_end_is_refused() -> None:
    lines = EventLines()
    assert list(lines.feed(b"data: " + b"x" * 150_000)) == []
    with pytest.raises(AnswerTooLong):
        list(lines.feed(b"x" * 60_000))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"choices": [{"message": {"content": 5}}]}', b'{"error": {}}']
)
def test_what_is_no_completion_is_told_apart(body: bytes) -> None:
    with pytest.raises(AnswerBroken):
        Answer().read(body)


def test_a_completion_without_a_choice_is_no_answer() -> None:
    answer = Answer()
    answer.read(b'{"choices": []}')
    with pytest.raises(AnswerBroken):
        answer.done()


def test_tool_calls_without_index_or_id_are_put_together() -> None:
    answer = Answer()
    answer.read(b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":"find","arguments":"{\\"n\\":"}}]}}]}')
    answer.read(
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}'
    )
    (call,) = answer.done().calls
    assert (call.id, call.name, call.arguments) == ("call_0", "find", '{"n":1}')
