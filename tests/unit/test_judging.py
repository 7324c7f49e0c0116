"""The judge of the soak finds what it looks for."""

import pytest

from judging import Count, judge
from receipts import repeats

SAID = ["a", "b", "c", "d"]


def test_all_in_order_is_clean() -> None:
    count = judge(SAID, SAID)
    assert count == Count(said=4, arrived=4)
    assert count.clean


@pytest.mark.parametrize(
    ("arrived", "found"),
    [
        (["a", "b", "d"], Count(said=4, arrived=3, lost=1)),
        (["a", "b", "b", "c", "d", "a"], Count(said=4, arrived=4, doubled=2)),
        (["a", "c", "b", "d"], Count(said=4, arrived=4, reordered=1)),
        (["d", "a", "b", "c"], Count(said=4, arrived=4, reordered=3)),
        (["a", "b", "c", "d", "of another"], Count(said=4, arrived=4, stray=1)),
    ],
)
def test_what_is_wrong_is_counted(arrived: list[str], found: Count) -> None:
    count = judge(SAID, arrived)
    assert count == found
    assert not count.clean


def test_late_is_what_was_received_after_the_window_of_what_overtook_it() -> None:
    shown = ["a", "c", "d", "b"]
    assert judge(SAID, shown, {"a": 0, "c": 10, "d": 20, "b": 400}).late == 1
    assert judge(SAID, shown, {"a": 0, "c": 10, "d": 350, "b": 400}) == Count(said=4, arrived=4, reordered=1)


def test_late_is_also_what_stands_before_something_that_had_to_be_shown_already() -> None:
    shown = ["a", "d", "c", "b"]
    assert judge(SAID, shown, {"a": 0, "d": 10, "c": 320, "b": 350}) == Count(said=4, arrived=4, late=2)
    assert judge(SAID, shown, {"a": 0, "d": 10, "c": 300, "b": 350}) == Count(said=4, arrived=4, reordered=1, late=1)


def test_what_was_rightly_sent_again_is_told_apart() -> None:
    count = judge(SAID, ["a", "a", "a", "b", "c", "d", "d"], unconfirmed={"a": 1, "b": 1})
    assert count == Count(said=4, arrived=4, doubled=2, unconfirmed=1)
    assert not count.clean
    assert judge(SAID, ["a", "a", *SAID[1:]], unconfirmed={"a": 1}).clean


@pytest.mark.parametrize(
    ("times", "confirmed", "rightly"),
    [
        ([(0, 5)], None, 0),
        ([(0, 5), (2006, 2010)], None, 1),
        ([(0, 5), (2006, 2010)], 2007, 1),
        # It was on its way already.
        ([(0, 5), (2006, 2010)], 1950, 1),
        ([(0, 5), (2006, 2010)], 1500, 0),
        ([(0, 5), (1500, 1510)], None, 0),
        # Given up after ten seconds, whenever it was answered.
        ([(0, 11_000), (12_000, 12_010)], None, 1),
        ([(0, 5), (2006, 2010), (5020, 5030)], 3000, 1),
    ],
)
def test_it_is_right_to_send_again_what_nothing_confirmed_within_two_seconds(
    times: list[tuple[float, float]], confirmed: float | None, rightly: int
) -> None:
    assert repeats(times, confirmed) == rightly
