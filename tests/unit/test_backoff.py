import asyncio

import pytest

from warmline.delivery.backoff import Backoff, until_stored
from warmline.domain.errors import StoreUnavailable
from warmline.testing import ManualClock


@pytest.mark.parametrize(("failures", "seconds"), [(0, 1.0), (1, 1.0), (2, 3.0), (3, 8.0), (4, 8.0), (100, 8.0)])
def test_steps_grow_and_the_last_one_repeats(failures: int, seconds: float) -> None:
    assert Backoff((1.0, 3.0, 8.0)).delay(failures, 0.5) == pytest.approx(seconds)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 8.0), (0.25, 9.0), (0.5, 10.0), (0.999999, 12.0)])
def test_jitter_spreads_to_both_sides(chance: float, seconds: float) -> None:
    assert Backoff((10.0,), jitter=0.2).delay(1, chance) == pytest.approx(seconds, abs=0.001)


async def test_a_write_is_repeated_until_the_store_is_back(clock: ManualClock) -> None:
    tries = 0

    async def write() -> str:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise StoreUnavailable("switched off")
        return "written"

    task = asyncio.create_task(until_stored(clock, write))
    await clock.advance(0.05)
    assert not task.done()
    await clock.advance(5.0)
    assert await task == "written"
    assert tries == 4


async def test_other_errors_are_not_repeated(clock: ManualClock) -> None:
    async def write() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await until_stored(clock, write)
