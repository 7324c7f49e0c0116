"""What a turn is told of the conversation so far."""

from warmline.conversation.transcript import history
from warmline.domain import events as e


def _log(*events: e.Event) -> list[e.Recorded]:
    return [e.Recorded(sequence=n, id=str(n), at=0, event=event) for n, event in enumerate(events, 1)]


def _user(text: str) -> e.UserMessage:
    return e.UserMessage(message_id=text, text=text)


def _chunk(text: str, index: int, *, complete: bool = False) -> e.VirtualAgentChunk:
    return e.VirtualAgentChunk(message_id="m", text=text, index=index, complete=complete)


def _lines(log: list[e.Recorded], through: int | None = None) -> list[str]:
    return [f"{item.role}: {item.text}" for item in history(log, through=through)]


def test_the_message_that_a_turn_answers_comes_last_and_later_ones_are_left_out() -> None:
    answer = e.VirtualAgentMessage(message_id="a", text="first answer")
    log = _log(_user("first"), _user("second"), _user("third"), answer)
    assert _lines(log, 2) == ["user: first", "agent: first answer", "user: second"]
    assert _lines(log) == ["user: first", "user: second", "user: third", "agent: first answer"]


def test_pieces_of_an_answer_are_one_line_whatever_came_between_and_also_when_it_was_cut_off() -> None:
    log = _log(_user("first"), _chunk("One. ", 1), _user("second"), _chunk("Two.", 2, complete=True))
    assert _lines(log, 3) == ["user: first", "agent: One. Two.", "user: second"]
    cut = _log(_user("first"), _chunk("One. ", 1), e.SessionEnded(reason=e.EndReason.USER_END))
    assert _lines(cut) == ["user: first", "agent: One. "]
