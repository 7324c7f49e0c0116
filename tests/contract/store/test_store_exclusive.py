"""`Store.exclusive`: what is done outside of the store by one holder at a time."""

import asyncio

import pytest

from support.stores import opened
from warmline.domain.errors import StoreUnavailable
from warmline.ports import Store
from warmline.testing.messaging_client import PATIENCE_S


async def _entered(store: Store, name: str, within_s: float = PATIENCE_S) -> None:
    async with store.exclusive(name, wait_s=within_s):
        pass


async def test_one_holder_at_a_time(store: Store) -> None:
    inside, most, done = 0, 0, 0

    async def work() -> None:
        nonlocal inside, most, done
        async with store.exclusive("tokens"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1
            done += 1

    await asyncio.gather(*(work() for _ in range(5)))
    assert (most, done) == (1, 5)


async def test_who_waits_too_long_is_told_and_the_holder_goes_on(store: Store) -> None:
    async with store.exclusive("tokens"):
        with pytest.raises(StoreUnavailable):
            await _entered(store, "tokens", within_s=0.2)
        await _entered(store, "of another connection")
    await _entered(store, "tokens")


async def test_it_is_free_after_an_error_and_after_a_waiter_was_cancelled(store: Store) -> None:
    async def fail() -> None:
        async with store.exclusive("tokens"):
            waiting = asyncio.create_task(_entered(store, "tokens"))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await _entered(store, "tokens")


async def test_it_holds_between_processes(postgres_url: str) -> None:
    async with opened(postgres_url) as a, opened(postgres_url) as b:
        async with a.exclusive("tokens"):
            with pytest.raises(StoreUnavailable):
                await _entered(b, "tokens", within_s=0.2)
        await _entered(b, "tokens")
