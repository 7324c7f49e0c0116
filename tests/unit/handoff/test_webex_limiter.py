"""The shared budget of calls (webex-byoc.md §6)."""

import asyncio
import gc

import aiohttp
import pytest

from warmline.handoff.contract import ProviderThrottled
from warmline.handoff.providers.webex.limiter import Limiter, Priority, limiter_for
from warmline.testing.clock import ManualClock


async def drained(clock: ManualClock, per_minute: int = 240) -> Limiter:
    """A limiter whose burst is used up."""
    limiter = Limiter(clock, per_minute)
    for _ in range(per_minute // 4):
        await limiter.acquire(Priority.APPEND)
    return limiter


async def test_a_burst_passes_at_once_and_no_minute_sees_more_than_300() -> None:
    clock = ManualClock()
    limiter = await drained(clock)
    passed = 0

    async def caller() -> None:
        nonlocal passed
        while True:
            try:
                await limiter.acquire(Priority.APPEND)
            except ProviderThrottled:
                await clock.sleep(1)
                continue
            passed += 1

    callers = [asyncio.create_task(caller()) for _ in range(8)]
    for _ in range(60):
        await clock.advance(1)
    for task in callers:
        task.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    assert 238 <= passed <= 240


async def test_who_matters_more_goes_first_and_equals_in_order() -> None:
    clock = ManualClock()
    limiter = await drained(clock)
    served: list[str] = []

    async def caller(name: str, priority: Priority) -> None:
        await limiter.acquire(priority)
        served.append(name)

    order = [("look-up", Priority.OTHER), ("end", Priority.END), ("create", Priority.CREATE)]
    order += [(f"append {n}", Priority.APPEND) for n in range(3)]
    callers = [asyncio.create_task(caller(name, priority)) for name, priority in order]
    await clock.advance(3)
    await asyncio.gather(*callers)
    assert served == ["append 0", "append 1", "append 2", "create", "end", "look-up"]


async def test_who_would_wait_long_is_sent_back_to_the_outbox() -> None:
    clock = ManualClock()
    limiter = await drained(clock)
    callers = [asyncio.create_task(limiter.acquire(Priority.APPEND)) for _ in range(60)]
    await asyncio.sleep(0)
    with pytest.raises(ProviderThrottled) as caught:
        await limiter.acquire(Priority.APPEND)
    assert 15 < caught.value.retry_after < 16
    await clock.advance(15.1)
    await asyncio.gather(*callers)


async def test_a_pause_sends_back_those_who_wait_too() -> None:
    clock = ManualClock()
    limiter = await drained(clock)
    waiting = asyncio.create_task(limiter.acquire(Priority.APPEND))
    await asyncio.sleep(0)
    limiter.pause(9)
    with pytest.raises(ProviderThrottled) as caught:
        await waiting
    assert caught.value.retry_after == 9
    await clock.advance(8)
    with pytest.raises(ProviderThrottled):
        await limiter.acquire(Priority.APPEND)
    await clock.advance(1.1)
    await limiter.acquire(Priority.APPEND)


async def test_one_who_gives_up_waiting_takes_nobodys_place() -> None:
    clock = ManualClock()
    limiter = await drained(clock)
    gone = asyncio.create_task(limiter.acquire(Priority.APPEND))
    stays = asyncio.create_task(limiter.acquire(Priority.APPEND))
    await asyncio.sleep(0)
    gone.cancel()
    await clock.advance(0.26)
    assert stays.done()
    await asyncio.gather(gone, stays, return_exceptions=True)


async def test_a_pause_minds_those_who_gave_up_waiting() -> None:
    clock = ManualClock()
    limiter = await drained(clock)
    gone = asyncio.create_task(limiter.acquire(Priority.APPEND))
    stays = asyncio.create_task(limiter.acquire(Priority.APPEND))
    await asyncio.sleep(0)
    gone.cancel()
    limiter.pause(3)
    assert [type(end) for end in await asyncio.gather(gone, stays, return_exceptions=True)] == [
        asyncio.CancelledError,
        ProviderThrottled,
    ]


async def test_one_budget_per_service_app_and_process() -> None:
    clock = ManualClock()
    async with aiohttp.ClientSession() as one, aiohttp.ClientSession() as other:
        shared = limiter_for(one, "app", clock, 240)
        assert limiter_for(one, "app", clock, 240) is shared
        assert limiter_for(one, "another app", clock, 240) is not shared
        assert limiter_for(other, "app", clock, 240) is not shared
    gc.collect()
