import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.delivery.holding import Held, Hold, HoldSettings
from warmline.ports import InboxRow


def item(row_id: int, event_at: int, *, rank: int = 0, terminal: bool = False) -> Held:
    row = InboxRow(
        id=row_id,
        connection_id="c",
        endpoint="e",
        key=str(row_id),
        remote_id="r",
        received_at=0,
        event_at=event_at,
        body=b"",
    )
    return Held(row, rank, terminal)


def taken(hold: Hold) -> list[int]:
    return [held.row.id for held in hold.take()]


def test_a_fresh_one_alone_waits_shortly() -> None:
    hold = Hold(HoldSettings(fresh_window_ms=5))
    hold.add(item(1, 100), 10.0, fresh=True)
    assert hold.due == pytest.approx(10.005)


def test_a_second_one_makes_both_wait_for_quiet() -> None:
    hold = Hold(HoldSettings())
    hold.add(item(1, 100), 10.0, fresh=True)
    hold.add(item(2, 90), 10.002, fresh=True)
    assert hold.due == pytest.approx(10.302)
    assert taken(hold) == [2, 1]
    assert hold.items == []


def test_what_is_not_fresh_waits_for_quiet_each_arrival_anew_but_not_for_ever() -> None:
    hold = Hold(HoldSettings(quiet_window_ms=300, longest_ms=900))
    dues = []
    for number in range(5):
        hold.add(item(number, number), 10.0 + 0.25 * number, fresh=False)
        dues.append(round(hold.due, 3))
    assert dues == [10.3, 10.55, 10.8, 10.9, 10.9]


def test_the_end_always_waits_for_quiet() -> None:
    hold = Hold(HoldSettings())
    hold.add(item(1, 100, terminal=True), 10.0, fresh=True)
    assert hold.due == pytest.approx(10.3)


def test_the_end_waits_for_quiet_even_if_others_have_waited_long_before_it() -> None:
    hold = Hold(HoldSettings(quiet_window_ms=300, longest_ms=900))
    for number, at in enumerate((10.0, 10.25, 10.5, 10.75)):
        hold.add(item(number, number), at, fresh=False)
    hold.add(item(9, 9, terminal=True), 10.85, fresh=False)
    assert hold.due == pytest.approx(11.15)
    for number in range(10, 20):
        hold.add(item(number, number), 10.85 + 0.1 * (number - 9), fresh=False)
    assert hold.due == pytest.approx(11.75)


def test_repeated_ends_do_not_hold_for_ever() -> None:
    hold = Hold(HoldSettings(quiet_window_ms=300, longest_ms=900))
    for number in range(10):
        hold.add(item(number, 5, terminal=True), 10.0 + 0.2 * number, fresh=False)
    assert hold.due == pytest.approx(10.9)


def test_the_end_comes_after_messages_that_carry_a_later_time() -> None:
    hold = Hold(HoldSettings())
    hold.add(item(1, 100, terminal=True), 10.0, fresh=False)
    hold.add(item(2, 105), 10.0, fresh=False)
    assert taken(hold) == [2, 1]


@given(st.permutations([item(n, at, rank=rank) for n, (at, rank) in enumerate([(5, 0), (5, 1), (1, 2), (9, 0)])]))
def test_the_order_does_not_depend_on_the_order_of_arrival(items: list[Held]) -> None:
    hold = Hold(HoldSettings())
    for held in items:
        hold.add(held, 0.0, fresh=False)
    assert taken(hold) == [2, 0, 1, 3]
