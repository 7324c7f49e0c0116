from warmline.delivery.continuity import Continuity
from warmline.domain.effects import ForwardMessage, RunTurn, SendText
from warmline.domain.events import Recorded, VirtualAgentLeft
from warmline.domain.session import Session
from warmline.domain.turn import TurnKind
from warmline.ports import Committed, OutboxRow


def committed(last: int, events: int = 1, session_id: str = "s") -> Committed:
    recorded = tuple(
        Recorded(sequence=n, id=str(n), at=0, event=VirtualAgentLeft()) for n in range(last - events + 1, last + 1)
    )
    return Committed(session=Session(id=session_id, last_sequence=last), events=recorded)


def row(stream: str, session_id: str = "s") -> OutboxRow:
    if stream.startswith("turn/"):
        effect = RunTurn(turn_id="t", kind=TurnKind.END)
        return OutboxRow(id=1, partition=0, stream_key=stream, session_id=session_id, effect=effect, created_at=0)
    if stream.startswith("sms/"):
        text = SendText(connection_id="c", number="+1", customer="+2", text="")
        return OutboxRow(id=1, partition=0, stream_key=stream, session_id=session_id, effect=text, created_at=0)
    forward = ForwardMessage(handoff_id="h", connection_id="c", message_id="m", text="", at=0)
    return OutboxRow(id=1, partition=0, stream_key=stream, session_id=session_id, effect=forward, created_at=0)


def test_a_session_seen_from_its_beginning_needs_no_reading() -> None:
    c = Continuity()
    for last, events in ((1, 1), (3, 2), (3, 0), (4, 1)):
        c.observe(committed(last, events))
        assert c.next_in_line(row("c/s"))


def test_after_a_gap_each_stream_is_read_once() -> None:
    c = Continuity()
    c.observe(committed(1))
    c.observe(committed(3))
    assert not c.next_in_line(row("c/s"))
    assert c.next_in_line(row("c/s"))
    c.observe(committed(4))
    assert c.next_in_line(row("c/s"))
    assert not c.next_in_line(row("turn/s"))
    assert c.next_in_line(row("turn/s"))


def test_a_gap_is_remembered_until_a_row_comes() -> None:
    c = Continuity()
    c.observe(committed(1))
    c.observe(committed(5))
    c.observe(committed(6))
    c.observe(committed(7))
    assert not c.next_in_line(row("c/s"))


def test_a_session_begun_elsewhere_is_a_gap() -> None:
    c = Continuity()
    c.observe(committed(9))
    assert not c.next_in_line(row("c/s"))
    c.observe(committed(10))
    assert c.next_in_line(row("c/s"))
    c.observe(committed(12))
    assert not c.next_in_line(row("c/s"))


def test_commits_told_in_the_wrong_order_are_a_gap() -> None:
    c = Continuity()
    c.observe(committed(1))
    c.observe(committed(3))
    assert not c.next_in_line(row("c/s"))
    c.observe(committed(2))
    assert not c.next_in_line(row("c/s"))


def test_texts_of_a_customers_next_session_wait_for_what_another_node_wrote_in_the_last_one() -> None:
    c = Continuity()
    c.observe(committed(1, session_id="first"))
    assert not c.next_in_line(row("sms/line", "first"))
    assert c.next_in_line(row("sms/line", "first"))
    c.observe(committed(1, session_id="next"))
    assert not c.next_in_line(row("sms/line", "next"))
    assert c.next_in_line(row("sms/line", "next"))
    c.observe(committed(2, session_id="next"))
    assert c.next_in_line(row("sms/line", "next"))
