"""`kill -9` between any two steps of a message's way, then a restart: nothing lost, doubled or reordered.

The matrix's rows are the crash points of `warmline.testing.crash`; docs/guarantees.md lists them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from support.desk import Desk
from support.installation import DISPUTE, TRANSFER, ServerProcess, customer, emulator, installation
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient, Refused

AGENT_SAYS = ["one", "three", "six"]
CUSTOMER_SAYS = ["two", "four", "five"]
APOLOGY = "Sorry, I'm having trouble responding right now. Please try again."

# (crash point, for the how-manieth time it is reached)
ROWS = [
    ("user-message.before-commit", 1),
    ("user-message.after-commit", 1),
    ("user-message.after-commit", 3),
    ("turn.before-run", 2),
    ("turn.before-commit", 1),
    ("turn.before-commit", 2),
    ("turn.after-commit", 2),
    ("open.before-request", 1),
    ("open.after-request", 1),
    ("link.after-save", 1),
    ("webhook.before-accept", 1),
    ("webhook.after-accept", 1),
    ("webhook.after-accept", 5),
    ("news.before-commit", 1),
    ("news.after-commit", 1),
    ("news.before-commit", 4),
    ("news.after-commit", 5),
    ("forward.before-request", 1),
    ("forward.after-request", 1),
    ("forward.after-request", 2),
    ("forward.after-settle", 1),
    ("close.before-request", 1),
    ("close.after-request", 1),
    ("close.after-settle", 1),
]


@contextlib.asynccontextmanager
async def restarted_after_death(server: ServerProcess) -> AsyncIterator[asyncio.Event]:
    """Start the server again when it dies; the event tells that it did."""
    died = asyncio.Event()

    async def watch() -> None:
        if await server.died(90):
            died.set()
            await server.start()

    task = asyncio.create_task(watch())
    try:
        yield died
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def coming_back(visitor: MessagingClient) -> AsyncIterator[None]:
    """Reconnect whenever the connection is lost, as SDKs do, until the session is over."""

    async def keep() -> None:
        while visitor.ended is None:
            await visitor.connections[-1].closed.wait()
            while visitor.ended is None:
                try:
                    await visitor.reconnect()
                    break
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0.1)
                except Refused as refused:
                    if refused.status != 404:
                        raise
                    return

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ask_for_a_human(visitor: MessagingClient) -> None:
    """Ask, and ask again after an apology: a turn whose function had begun is not run twice."""
    for attempt in range(3):
        await visitor.say_and_wait(DISPUTE)
        await visitor.wait(
            lambda attempt=attempt: "POLY_AGENT_TRIGGERED_HANDOFF" in visitor.types() or apologies(visitor) > attempt,
            "the handoff or an apology",
        )
        if "POLY_AGENT_TRIGGERED_HANDOFF" in visitor.types():
            return
    raise AssertionError("no handoff after three tries")


def apologies(visitor: MessagingClient) -> int:
    return sum(event.payload.get("message") == APOLOGY for event in visitor.all("SYSTEM_MESSAGE"))


def texts(events: list[Any]) -> list[str]:
    return [str(event.payload["text"]) for event in events]


@pytest.mark.parametrize(("point", "nth"), ROWS)
async def test_killed_at(store_url: str, point: str, nth: int) -> None:
    async with emulator(webhook_retries_ms=(300, 700, 1500, 3000, *(6000,) * 9)) as sim:
        async with installation(store_url, sim, crash=point, nth=nth) as server:
            async with Desk(sim.url) as desk, customer(server, resend_s=2.0) as visitor:
                await desk.ready()
                async with restarted_after_death(server) as died:
                    await talk(desk, visitor, customer_ends=point.startswith("close."))
                    await asyncio.wait_for(died.wait(), PATIENCE_S)


async def talk(desk: Desk, visitor: MessagingClient, *, customer_ends: bool) -> None:
    await visitor.start()
    async with coming_back(visitor):
        await visitor.expect("POLY_AGENT_MESSAGE")
        await ask_for_a_human(visitor)
        task_id = await desk.take()
        await visitor.expect("LIVE_AGENT_JOINED")

        await desk.say(task_id, "one")
        await visitor.expect("LIVE_AGENT_MESSAGE", 1)
        await visitor.say("two")
        await desk.until_heard(task_id, ["two"])
        await desk.say(task_id, "three")
        await visitor.expect("LIVE_AGENT_MESSAGE", 2)
        await visitor.say_and_wait("four")
        await visitor.say_and_wait("five")
        await desk.until_heard(task_id, CUSTOMER_SAYS)
        await desk.say(task_id, "six")
        await visitor.expect("LIVE_AGENT_MESSAGE", 3)

        if customer_ends:
            await visitor.end()
        else:
            await desk.end(task_id)
        await visitor.expect("SESSION_END")
        await desk.until(lambda task: task["id"] == task_id and task["status"] == "ended", "the task's end")

    assert [task["id"] for task in await desk.tasks() if task["status"] != "failed"] == [task_id]
    assert await desk.heard(task_id) == CUSTOMER_SAYS
    assert texts(visitor.all("LIVE_AGENT_MESSAGE")) == AGENT_SAYS
    assert texts(visitor.all("USER_MESSAGE")) == [DISPUTE] * (1 + apologies(visitor)) + CUSTOMER_SAYS
    said = texts(visitor.all("POLY_AGENT_MESSAGE"))
    assert said.count(TRANSFER) == 1
    assert len(said) == 2
    for once in ("HANDOFF_ACCEPTED", "LIVE_AGENT_JOINED", "SESSION_END", "POLY_AGENT_TRIGGERED_HANDOFF"):
        assert len(visitor.all(once)) == 1, once
    journal = [event.sequence for event in visitor.journal()]
    assert journal == list(range(1, len(journal) + 1))
    assert visitor.violations == []
