from prometheus_client import CollectorRegistry

from warmline.delivery.alarms import Alarms
from warmline.delivery.health import DestinationState, Health, HealthSettings
from warmline.delivery.metrics import DeliveryMetrics
from warmline.domain.effects import ForwardMessage
from warmline.handoff.contract import (
    ProviderAuthFailed,
    ProviderRejected,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnavailable,
)
from warmline.ports import OutboxRow
from warmline.testing import ManualClock


def row(row_id: int) -> OutboxRow:
    effect = ForwardMessage(handoff_id="h", connection_id="c", message_id=str(row_id), text="", at=0)
    return OutboxRow(
        id=row_id, partition=0, stream_key=f"c/{row_id}", session_id=str(row_id), effect=effect, created_at=0
    )


class Watched:
    """A health that notes whom it wakes."""

    def __init__(self, clock: ManualClock) -> None:
        self.metrics = CollectorRegistry()
        self.woken: list[str] = []
        settings = HealthSettings(failures=3, within_s=30, probe_s=5)
        self.health = Health(clock, Alarms(clock), DeliveryMetrics(self.metrics), settings)
        self.health.on_ready(self.woken.append)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.health.failed("c", ProviderUnavailable("unavailable"))

    @property
    def gauge(self) -> float | None:
        return self.metrics.get_sample_value("warmline_destination_state", {"connection": "c"})


async def test_failures_in_a_row_bring_it_down_and_one_probe_brings_it_back(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(2)
    w.health.failed("c", ProviderTimeout("no_answer"))
    assert w.health.state("c") is DestinationState.DOWN
    assert w.gauge == 0
    assert [w.health.admit("c", row(n)) for n in (7, 3, 5)] == [False, False, False]
    await clock.advance(5.0)
    assert w.woken == ["c/3"], "the oldest row probes"
    assert not w.health.admit("c", row(7))
    assert w.health.admit("c", row(3))
    assert not w.health.admit("c", row(5)), "one probe at a time"
    w.health.succeeded("c")
    assert w.health.state("c") is DestinationState.UP
    assert w.woken == ["c/3", "c/5", "c/7"], "then all, oldest first"
    assert w.health.admit("c", row(5))
    assert w.gauge == 1


async def test_a_failed_probe_is_followed_by_another_after_the_interval(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    w.health.admit("c", row(1))
    for count in (1, 2, 3):
        await clock.advance(5.0)
        assert w.woken == ["c/1"] * count
        assert w.health.admit("c", row(1))
        w.fail()
        assert not w.health.admit("c", row(1))


async def test_without_anything_waiting_the_next_one_probes(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    await clock.advance(6.0)
    assert w.health.admit("c", row(9))
    assert not w.health.admit("c", row(10))


async def test_a_probe_that_has_nothing_to_send_any_more_gives_way(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    w.health.admit("c", row(1))
    w.health.admit("c", row(2))
    await clock.advance(5.0)
    await clock.advance(5.0)
    assert w.woken == ["c/1", "c/2"]


async def test_an_aborted_probe_leaves_room_for_another(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    w.health.admit("c", row(1))
    await clock.advance(5.0)
    assert w.health.admit("c", row(1))
    w.health.aborted("c")
    await clock.advance(5.0)
    assert w.health.admit("c", row(1))


async def test_failures_far_apart_or_with_a_success_between_do_not_count(clock: ManualClock) -> None:
    w = Watched(clock)
    for _ in range(6):
        w.fail()
        await clock.advance(20.0)
    assert w.health.state("c") is DestinationState.UP
    w.fail(2)
    w.health.succeeded("c")
    w.fail(2)
    assert w.health.state("c") is DestinationState.UP


async def test_a_refusal_of_one_message_says_nothing_about_the_destination(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    w.health.failed("c", ProviderRejected("rejected"))
    assert w.health.state("c") is DestinationState.UP


async def test_refused_credentials_stop_it_until_somebody_mends_them(clock: ManualClock) -> None:
    w = Watched(clock)
    w.health.failed("c", ProviderAuthFailed("not_authorized"))
    assert w.gauge == -1
    assert not w.health.admit("c", row(2))
    assert not w.health.admit("c", row(1))
    await clock.advance(3600.0)
    assert w.woken == []
    assert w.health.states() == {"c": (DestinationState.AUTH_FAILED, "not_authorized")}
    w.health.resume("c")
    assert w.woken == ["c/1", "c/2"]
    assert w.health.admit("c", row(1))


async def test_throttling_holds_everything_of_the_connection_as_long_as_they_asked(clock: ManualClock) -> None:
    w = Watched(clock)
    w.health.failed("c", ProviderThrottled("throttled", retry_after=7.0))
    assert w.health.state("c") is DestinationState.UP
    assert not w.health.admit("c", row(2))
    assert w.health.admit("other", row(3))
    await clock.advance(6.9)
    assert w.woken == []
    await clock.advance(0.2)
    assert w.woken == ["c/2"]
    assert w.health.admit("c", row(2))


async def test_what_another_node_reaches_is_probed_at_once(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    w.health.admit("c", row(2))
    w.health.admit("c", row(1))
    w.health.reached("c")
    assert w.woken == ["c/1"]
    assert not w.health.admit("c", row(2)), "one probe at a time"
    w.health.reached("c")
    assert w.woken == ["c/1"], "it was told before"
    assert w.health.admit("c", row(1))
    w.health.succeeded("c")
    assert w.health.state("c") is DestinationState.UP


async def test_what_another_node_reaches_is_tried_by_whoever_comes_first(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    w.health.reached("c")
    assert w.health.admit("c", row(1))
    w.fail()
    assert not w.health.admit("c", row(2)), "this node does not get through to it"
    await clock.advance(5.0)
    assert w.woken == ["c/2"]


async def test_what_another_node_reaches_changes_nothing_where_it_is_not_down(clock: ManualClock) -> None:
    w = Watched(clock)
    w.health.reached("c")
    assert w.health.states() == {}
    w.health.failed("c", ProviderAuthFailed("not_authorized"))
    w.health.reached("c")
    assert not w.health.admit("c", row(1))


async def test_who_answers_and_who_is_told_of_an_end(clock: ManualClock) -> None:
    w = Watched(clock)
    told: list[str] = []
    w.health.on_down(lambda connection_id: told.append(f"down {connection_id}"))
    w.health.on_up(lambda connection_id: told.append(f"up {connection_id}"))
    assert not w.health.answers("c"), "nobody asked it"
    w.health.succeeded("c")
    assert w.health.answers("c")
    w.fail()
    assert not w.health.answers("c")
    w.fail(4)
    w.health.succeeded("c")
    assert told == ["down c", "up c"]


async def test_one_that_goes_down_again_and_again_is_probed_once_in_each_interval(clock: ManualClock) -> None:
    w = Watched(clock)
    for _ in range(3):
        w.fail(3)
        await clock.advance(1.0)
        w.health.reached("c")
        assert w.health.admit("c", row(1))
        w.health.succeeded("c")
    w.fail(3)
    for _ in range(3):
        w.health.admit("c", row(1))
        await clock.advance(5.0)
        assert w.health.admit("c", row(1))
        w.fail()
    assert w.woken == ["c/1"] * 3


async def test_a_probe_of_which_nothing_is_heard_again_does_not_keep_it_down(clock: ManualClock) -> None:
    w = Watched(clock)
    w.fail(3)
    w.health.admit("c", row(1))
    w.health.admit("c", row(2))
    await clock.advance(5.0)
    assert w.health.admit("c", row(1))
    # The store was away when its attempt was to be noted: it was not made.
    await clock.advance(25.0)
    assert w.woken == ["c/1"], "it may still be under way"
    await clock.advance(10.0)
    assert w.woken == ["c/1", "c/2"]
    assert w.health.admit("c", row(2))
