"""`kill -9` between any two steps of a text's way in and out: each arrives once, in order (docs/guarantees.md)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.desk import Desk
from support.installation import DISPUTE, TRANSFER, ServerProcess, emulator, installation
from support.phones import Phones, carrier, sms_fields

APOLOGY = "Sorry, I'm having trouble responding right now. Please try again."

# (crash point, for the how-manieth time it is reached)
ROWS = [
    ("webhook.before-accept", 1),
    ("webhook.after-accept", 1),
    ("text.after-request", 3),
    ("text.after-note", 2),
]


@contextlib.asynccontextmanager
async def restarted_after_death(server: ServerProcess) -> AsyncIterator[asyncio.Event]:
    """Start the server again when it dies; the event tells that it did."""
    died = asyncio.Event()

    async def watch() -> None:
        if await server.died(60):
            died.set()
            await server.start()

    task = asyncio.create_task(watch())
    try:
        yield died
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(("point", "nth"), ROWS)
async def test_a_killed_process_loses_doubles_and_reorders_no_text(tmp_path: Path, point: str, nth: int) -> None:
    async with emulator() as sim, carrier() as sms, Phones(sms) as phones:
        url = f"sqlite:///{tmp_path}/w.db"
        order = {"sms": sms_fields(sms), "sms_look_after_s": 0.5, "crash": point, "nth": nth}
        async with installation(url, sim, **order) as server, Desk(sim.url) as desk:
            await desk.ready()
            async with restarted_after_death(server) as died:
                hook = f"{server.url}/sms/twilio/{server.answer['sms_connection_id']}"
                phones.announce_to(hook)
                first = await phones.text(DISPUTE)
                await heard(phones, first, again=point.startswith("webhook.before"))
                task_id = await taken(desk, phones)
                await phones.until(lambda got: any("chatting with" in text for text in got), timeout=60)
                assert died.is_set(), "the process was to die at this point"
                await desk.say(task_id, "Hello")
                await phones.until_got("Hello", timeout=60)
                await phones.text("I am here")
                await desk.until_heard(task_id, ["I am here"])
                got = await phones.got()
                assert len(got) == len(set(got)), "something came twice"
                assert got[-4:-2] == [TRANSFER, "You're in the queue."]
                assert got[-2].startswith("You're now chatting with")
                assert got[0].startswith("Hi, I'm the virtual agent")


async def taken(desk: Desk, phones: Phones) -> str:
    """The task that the live agent accepts. A customer who reads an apology (design.md §8) asks again."""

    async def ask_again() -> None:
        await phones.until(lambda got: APOLOGY in got, timeout=120)
        await phones.text(f"{DISPUTE}!")

    asking = asyncio.create_task(ask_again())
    try:
        return await desk.take(timeout=60)
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


async def heard(phones: Phones, sid: str, *, again: bool) -> None:
    """The carrier does not come again after a broken answer; a customer whose text got lost there writes again.

    Here the same webhook is sent again, as the carrier does where its retries are switched on.
    """
    if not again:
        return
    message = phones.sim.carrier.world.messages[sid]
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.3)
            sent = phones.sim.carrier.announce(message)
            if sent is not None:
                await sent
            if phones.sim.carrier.webhooks.deliveries[-1].status == 200:
                return
