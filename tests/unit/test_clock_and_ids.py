"""The manual clock, the counting ids, and the real ones."""

import asyncio
import re
import uuid
from itertools import pairwise

from warmline.system import SystemClock, SystemIds
from warmline.testing import ManualClock, SequentialIds


async def test_sleepers_wake_in_order_each_at_its_time(clock: ManualClock) -> None:
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *times: float) -> None:
        for seconds in times:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleep("a", 3, 3)), asyncio.create_task(sleep("b", 2, 2, 2))]
    await clock.advance(1.9)
    assert woken == []
    await clock.advance(4.1)
    assert woken == [("b", 2), ("a", 3), ("b", 4), ("a", 6), ("b", 6)]
    await asyncio.gather(*tasks)
    assert clock.sleepers == 0


async def test_a_cancelled_sleeper_is_passed_over(clock: ManualClock) -> None:
    task = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    assert clock.sleepers == 1
    task.cancel()
    await clock.advance(10)
    assert task.cancelled()
    assert clock.sleepers == 0


async def test_time_moves_only_when_told(clock: ManualClock) -> None:
    start = clock.now()
    await clock.sleep(0)
    assert clock.now() == start
    await clock.advance(1.5)
    assert clock.now() == start + 1500
    assert clock.monotonic() == 1.5


def test_counting_ids_repeat_and_keep_their_form() -> None:
    one, same, other = SequentialIds(), SequentialIds(), SequentialIds(seed=7)
    first = [one.uuid(), one.uuid(), one.secret(), one.secret(8)]
    assert first == [same.uuid(), same.uuid(), same.secret(), same.secret(8)]
    assert len(set(first)) == 4
    assert other.uuid() != first[0]
    assert uuid.UUID(first[0]).version == 4
    assert re.fullmatch(r"[\w-]{43}", first[2])


def test_real_ids_do_not_repeat() -> None:
    ids = SystemIds()
    assert len({ids.uuid() for _ in range(100)} | {ids.secret() for _ in range(100)}) == 200
    assert uuid.UUID(ids.uuid()).version == 4


async def test_the_real_clock_goes_on() -> None:
    clock = SystemClock()
    times = []
    for _ in range(3):
        times.append(clock.monotonic())
        await clock.sleep(0.002)
    assert all(later - earlier >= 0.002 for earlier, later in pairwise(times))
    assert abs(clock.now() - SystemClock().now()) < 1000
    assert clock.now() > 1_700_000_000_000
