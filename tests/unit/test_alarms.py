from functools import partial

from warmline.delivery.alarms import Alarms
from warmline.testing import ManualClock


async def test_rings_in_the_order_of_time_and_not_before(clock: ManualClock) -> None:
    alarms, rung = Alarms(clock), list[str]()
    alarms.after(3.0, partial(rung.append, "late"))
    alarms.after(1.0, partial(rung.append, "early"))
    alarms.after(2.0, partial(rung.append, "middle"))
    await clock.advance(0.9)
    assert rung == []
    await clock.advance(0.2)
    assert rung == ["early"]
    await clock.advance(5.0)
    assert rung == ["early", "middle", "late"]
    alarms.stop()


async def test_an_alarm_may_set_another_one(clock: ManualClock) -> None:
    alarms, rung = Alarms(clock), list[float]()

    def ring() -> None:
        rung.append(clock.monotonic())
        if len(rung) < 4:
            alarms.after(1.0, ring)

    alarms.after(0.0, ring)
    await clock.advance(10.0)
    assert rung == [0.0, 1.0, 2.0, 3.0]


async def test_one_sleeper_for_many_alarms(clock: ManualClock) -> None:
    alarms, rung = Alarms(clock), list[int]()
    for number in range(1000):
        alarms.after(5.0 - number / 1000, partial(rung.append, number))
    await clock.advance(0.001)
    assert clock.sleepers == 1
    await clock.advance(10.0)
    assert rung == list(range(999, -1, -1))
    assert clock.sleepers == 0


async def test_one_that_fails_does_not_silence_the_others(clock: ManualClock) -> None:
    alarms, rung = Alarms(clock), list[str]()

    def fail() -> None:
        raise KeyError("a bug")

    alarms.after(1.0, fail)
    alarms.after(1.0, partial(rung.append, "next"))
    await clock.advance(1.0)
    assert rung == ["next"]


async def test_after_stop_nothing_rings(clock: ManualClock) -> None:
    alarms, rung = Alarms(clock), list[str]()
    alarms.after(1.0, partial(rung.append, "before"))
    alarms.stop()
    alarms.after(1.0, partial(rung.append, "after"))
    await clock.advance(5.0)
    assert rung == []
