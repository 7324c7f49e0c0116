"""An answer that is shown while it comes (messaging-protocol.md §7): pieces first, then the outcome of the turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.session_log import SessionLog, joined, says
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.chunks import complete_sentences
from warmline.domain.messages import CallAction, Say
from warmline.domain.turn import TurnKind, TurnOutcome

FAILED = TurnOutcome(failed=True)


def _streaming() -> SessionLog:
    log = joined(streaming=True)
    log.post()
    return log


def _piece(log: SessionLog, text: str, *, message_id: str = "streamed", answers: int = 0) -> None:
    answers = answers or log.session.unanswered[0].sequence
    log.apply(c.StreamAnswer(at=log.now, kind=TurnKind.MESSAGE, answers=answers, message_id=message_id, text=text))


def _chunks(log: SessionLog) -> list[tuple[str, int, str, bool]]:
    asked = next(recorded.sequence for recorded in log.log if isinstance(recorded.event, e.UserMessage))
    later = (recorded.event for recorded in log.log if recorded.sequence > asked)
    found = [event for event in later if isinstance(event, e.VirtualAgentChunk)]
    return [(chunk.message_id, chunk.index, chunk.text, chunk.complete) for chunk in found]


def test_A2_the_outcome_completes_what_was_streamed_under_the_same_id() -> None:
    log = _streaming()
    _piece(log, "One. ")
    assert log.session.unanswered
    _piece(log, "Two. ")
    log.turn(TurnOutcome(says=(Say(text="One. Two. Three. Four.", suggestions=("Yes",)),)))
    assert _chunks(log) == [
        ("streamed", 1, "One. ", False),
        ("streamed", 2, "Two. ", False),
        ("streamed", 3, "Three. ", False),
        ("streamed", 4, "Four.", True),
    ]
    last = log.step.events[-1]
    assert isinstance(last, e.VirtualAgentChunk)
    assert last.suggestions == ("Yes",)
    assert (log.session.unanswered, log.session.stream) == ((), None)


def test_further_texts_of_the_turn_are_messages_of_their_own() -> None:
    log = _streaming()
    _piece(log, "I look. ")
    log.turn(says("I look. One moment.", "It is 7."))
    assert [(text, complete) for _, _, text, complete in _chunks(log)] == [
        ("I look. ", False),
        ("One moment.", True),
        ("It is 7.", True),
    ]
    assert len({message_id for message_id, *_ in _chunks(log)}) == 2


def test_a_text_that_does_not_continue_the_stream_follows_it() -> None:
    log = _streaming()
    _piece(log, "You may ")
    log.turn(says("I can't answer that."))
    assert [(text, complete) for _, _, text, complete in _chunks(log)] == [
        ("You may ", False),
        ("", True),
        ("I can't answer that.", True),
    ]


def test_a_text_that_ends_where_the_stream_does_completes_it() -> None:
    log = _streaming()
    _piece(log, "It is good. ")
    log.turn(says("It is good."))
    assert [(text, complete) for _, _, text, complete in _chunks(log)] == [("It is good. ", False), ("", True)]


def test_A12_a_turn_that_fails_in_the_middle_completes_the_stream_and_apologises() -> None:
    log = _streaming()
    _piece(log, "One. ")
    log.turn(FAILED)
    chunk, notice = log.step.events
    assert isinstance(chunk, e.VirtualAgentChunk)
    assert (chunk.text, chunk.index, chunk.complete) == ("", 2, True)
    assert isinstance(notice, e.SystemNotice)
    assert notice.text == texts.TURN_FAILED
    assert (log.session.unanswered, log.session.stream) == ((), None)


def test_A6_call_actions_follow_a_streamed_text_in_a_message() -> None:
    log = _streaming()
    _piece(log, "Call us. ")
    log.turn(TurnOutcome(says=(Say(text="Call us. Any time.", call_actions=(CallAction(contact_number="+1555"),)),)))
    chunk, message = log.step.events
    assert isinstance(chunk, e.VirtualAgentChunk)
    assert (chunk.text, chunk.complete) == ("Any time.", True)
    assert isinstance(message, e.VirtualAgentMessage)
    assert (message.text, message.call_actions) == ("", (CallAction(contact_number="+1555"),))


def test_pieces_that_nobody_waits_for_change_nothing() -> None:
    whole = joined()
    whole.post()
    _piece(whole, "One. ")
    assert whole.step.events == ()
    log = _streaming()
    _piece(log, "One. ", answers=99)
    assert log.step.events == ()
    _piece(log, "One. ")
    _piece(log, "Two. ", message_id="another")
    assert log.step.events == ()
    log.answer("One. Done.")
    _piece(log, "Late. ", answers=3)
    assert log.step.events == ()


def test_the_end_of_the_session_leaves_no_stream() -> None:
    log = _streaming()
    _piece(log, "One. ")
    log.apply(c.EndByUser(at=log.now))
    assert log.session.stream is None
    _piece(log, "Two. ", answers=3)
    assert log.step.events == ()


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("One. Two", "One. "),
        ("One.", ""),
        ("One. ", ""),
        ("One! Two? Three", "One! Two? "),
        ("One. See **Two. Three.** Four. F", "One. "),
        ("One. https://a.example/x. y", "One. "),
        ("One.\n- Two. Three", "One.\n"),
        ("[One. Two](x). Three", ""),
    ],
)
def test_A4_only_whole_sentences_before_any_token_are_shown(text: str, ready: str) -> None:
    assert complete_sentences(text) == ready


@given(st.lists(st.sampled_from(["One. ", "Two", " three! ", "*four* ", "five.\n", "http://six. ", "- seven\n"])))
def test_what_was_shown_of_a_growing_text_stays_its_beginning(pieces: list[str]) -> None:
    shown, text = "", ""
    for piece in pieces:
        text += piece
        ready = complete_sentences(text)
        assert text.startswith(ready)
        assert ready.startswith(shown) or shown.startswith(ready)
        shown = max(shown, ready, key=len)
