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
        rank=rank,
        terminal=terminal,
    )
    return Held(row)


def taken(hold: Hold, now: float = 1000.0) -> list[int]:
    return [held.row.id for held in hold.take(now)]


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


def test_after_an_outage_of_the_store_the_news_of_other_nodes_are_waited_for_as_long_as_those_try() -> None:
    hold = Hold(HoldSettings(quiet_window_ms=300, longest_ms=900, outage_window_ms=1300))
    hold.add(item(2, 100), 10.0, fresh=True, shared=True, outage=True)
    assert hold.due == pytest.approx(11.3)
    hold.add(item(1, 90), 10.2, fresh=True, shared=True)
    assert hold.due == pytest.approx(11.1)
    assert taken(hold, 11.2) == [1]
    assert taken(hold, 11.3) == [2]


def test_one_node_alone_waits_no_longer_after_an_outage() -> None:
    hold = Hold(HoldSettings(fresh_window_ms=5))
    hold.add(item(1, 100), 10.0, fresh=True, outage=True)
    assert hold.due == pytest.approx(10.005)


def test_the_end_always_waits_for_quiet() -> None:
    hold = Hold(HoldSettings())
    hold.add(item(1, 100, terminal=True), 10.0, fresh=True)
    assert hold.due == pytest.approx(10.3)


def test_one_that_has_waited_longest_goes_with_what_belongs_before_it_and_the_rest_stays() -> None:
    hold = Hold(HoldSettings(quiet_window_ms=300, longest_ms=900))
    for number, (at, event_at) in enumerate([(10.0, 5), (10.25, 7), (10.5, 3), (10.75, 6)]):
        hold.add(item(number, event_at), at, fresh=False)
    assert hold.due == pytest.approx(10.9)
    assert taken(hold, 10.9) == [2, 0]
    assert hold.due == pytest.approx(11.05)
    # Quarter of a second after one that belongs behind it: in time.
    hold.add(item(9, 6, rank=-1), 11.0, fresh=False)
    assert taken(hold, 11.3) == [9, 3, 1]


def test_the_end_waits_for_quiet_even_if_others_have_waited_long_before_it() -> None:
    hold = Hold(HoldSettings(quiet_window_ms=300, longest_ms=900))
    for number, at in enumerate((10.0, 10.25, 10.5, 10.75)):
        hold.add(item(number, number), at, fresh=False)
    hold.add(item(9, 9, terminal=True), 10.85, fresh=False)
    assert taken(hold, 10.9) == [0]
    assert hold.due == pytest.approx(11.15)
    for number in range(10, 20):
        hold.add(item(number, number), 10.85 + 0.1 * (number - 9), fresh=False)
    taken(hold, 11.74)
    assert 9 in [held.row.id for held in hold.items]
    assert hold.due == pytest.approx(11.75)
    assert taken(hold, 11.75)[-1] == 9


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


@given(st.lists(st.tuples(st.integers(0, 250), st.integers(0, 2000)), min_size=2, max_size=25))
def test_two_that_arrive_within_the_window_are_in_order_unless_an_earlier_third_forced_one(
    arrivals: list[tuple[int, int]],
) -> None:
    hold = Hold(HoldSettings(quiet_window_ms=300, longest_ms=900))
    now, shown, times, places = 0, list[int](), dict[int, int](), dict[int, int]()
    for number, (pause, event_at) in enumerate(arrivals):
        now += pause
        while hold.items and hold.due * 1000 <= now - 1e-6:
            shown += taken(hold, hold.due)
        hold.add(item(number, event_at), now / 1000, fresh=False)
        times[number], places[number] = now, event_at
    shown += taken(hold)
    assert sorted(shown) == list(range(len(arrivals)))
    for place, late in enumerate(shown):
        overtakers = [other for other in shown[:place] if places[other] > places[late]]
        forced = max((places[other] for other in overtakers if times[late] - times[other] > 300), default=-1)
        assert all(places[other] <= forced for other in overtakers)
