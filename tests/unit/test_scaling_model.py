"""The model behind docs/scaling.md: its simulation gives what was measured."""

import pytest

import scaling


@pytest.mark.parametrize("conversations", scaling.MEASURED)
def test_the_simulated_node_does_what_the_measured_one_did(conversations: int) -> None:
    per_s, p50_ms = scaling.MEASURED[conversations]
    found = scaling.closed(conversations, seconds=8)
    assert found.per_s == pytest.approx(per_s, rel=0.15)
    assert found.p50_ms == pytest.approx(p50_ms, rel=0.15)


def test_more_load_takes_longer_and_too_much_has_no_end() -> None:
    times = [scaling.open_load(per_s, seconds=10).p95_ms for per_s in (50, 300, 450, 700)]
    assert times == sorted(times)
    assert times[0] < 20
    assert times[-1] > 300


def test_the_bus_that_everybody_hears_is_what_ends_first() -> None:
    ten, hundred = scaling.size(10, 260.0), scaling.size(100, 260.0)
    assert ten.nodes <= 12
    assert hundred.nodes > 300
    assert hundred.databases > 5 * ten.databases
