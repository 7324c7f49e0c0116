"""What happens when nobody does anything: idle customers, queues in which nobody answers, platforms that stay silent.

The whole server on a clock of which time can be skipped; the emulator's clock goes with it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.desk import Desk
from support.installation import DISPUTE, LUMEN, TOKEN, connect_order, emulator, set_asset_webhook
from support.jump_clock import JumpClock
from warmline.app import Server
from warmline.emulators.webex import RunningSim
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient, Refused
from warmline.testing.server import ConnectOrder, Order, start

QUESTION = "What are your opening hours?"
QUEUE_TIMEOUT_S = 900


@dataclass
class Site:
    clock: JumpClock
    sim: RunningSim
    server: Server
    desk: Desk

    def customer(self) -> MessagingClient:
        return MessagingClient(self.server.url, token=TOKEN)

    async def jump(self, seconds: float) -> None:
        """Skip time everywhere."""
        await self.desk.call("POST", "/clock/advance", {"ms": seconds * 1000})
        self.clock.jump(seconds)


@contextlib.asynccontextmanager
async def site(tmp_path: Path, **values: str) -> AsyncIterator[Site]:
    clock = JumpClock()
    async with emulator() as sim:
        given = connect_order(sim)
        connect = ConnectOrder(provider="webex", values={**given["values"], **values}, secrets=given["secrets"])
        order = Order(
            database_url=f"sqlite:///{tmp_path}/w.db", project=str(LUMEN), connector_token=TOKEN, connect=connect
        )
        server, answer = await start(order, clock=clock)
        try:
            await set_asset_webhook(sim, answer["asset_webhook_url"], answer["asset_webhook_secret"])
            async with Desk(sim.url) as desk:
                yield Site(clock, sim, server, desk)
        finally:
            await server.stop()


async def is_answered(visitor: MessagingClient) -> None:
    before = len(visitor.all("POLY_AGENT_MESSAGE"))
    await visitor.say_and_wait(QUESTION)
    await visitor.expect("POLY_AGENT_MESSAGE", before + 1)


async def queued(here: Site, visitor: MessagingClient) -> str:
    """Ask for a human while nobody is logged in; returns the task's id."""
    await visitor.start()
    await visitor.expect("POLY_AGENT_MESSAGE")
    await visitor.say_and_wait(DISPUTE)
    await visitor.expect("HANDOFF_QUEUE_STATUS")
    task = await here.desk.until(lambda t: t["status"] == "parked", "the queue")
    return str(task["id"])


async def test_W23_ten_silent_minutes_abandon_the_session_and_heartbeats_keep_it(tmp_path: Path) -> None:
    async with site(tmp_path) as here, here.customer() as silent, here.customer() as present:
        for visitor in (silent, present):
            await visitor.start()
            await visitor.expect("POLY_AGENT_MESSAGE")
        for _ in range(3):
            await here.jump(299)
            await present.settle()
        # Timers are looked for every five seconds, and the clock of the wait may have been read before the jump.
        over = await silent.expect("SESSION_END")
        assert over.payload["reason"] == "REASON_USER_ABANDONED"
        assert await silent.expect_close() == 1000
        await is_answered(present)
        await here.jump(601)
        await present.expect("SESSION_END")
        for visitor in (silent, present):
            assert visitor.violations == []


async def test_W23_an_abandoned_handoff_closes_the_task(tmp_path: Path) -> None:
    async with site(tmp_path) as here, here.customer() as visitor:
        task_id = await queued(here, visitor)
        await visitor.drop()
        await here.jump(601)
        over = await here.desk.until(lambda t: t["id"] == task_id and t["status"] == "ended", "the end")
        assert over["terminatingParty"] == "Customer"
        with contextlib.suppress(Refused):
            await visitor.connect()
        stored = await here.server.store.session(visitor.session_id)
        assert stored is not None
        assert stored.session.ended is not None


async def test_H11_A70_nobody_logged_in_times_out_and_the_virtual_agent_is_back(tmp_path: Path) -> None:
    async with site(tmp_path) as here, here.customer() as visitor:
        task_id = await queued(here, visitor)
        for number in (1, 2):
            await visitor.say_and_wait(f"Is anybody there? {number}")
        await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE", 2)
        for _ in range(2):
            await here.jump(QUEUE_TIMEOUT_S / 2 - 60)
            await visitor.settle()
        assert "HANDOFF_TIMEOUT" not in visitor.types()
        await here.jump(135)
        await visitor.expect("HANDOFF_TIMEOUT")
        told = await visitor.expect("SYSTEM_MESSAGE")
        assert "none of our agents is free" in told.payload["message"]
        await visitor.expect("POLY_AGENT_JOINED", 2)
        over = await here.desk.until(lambda t: t["id"] == task_id and t["status"] == "ended", "the task's end")
        assert over["terminatingParty"] == "Customer"
        await is_answered(visitor)

        # A live agent who comes now finds nothing; the next handoff gets a task of its own.
        await here.desk.ready()
        await visitor.say_and_wait(DISPUTE)
        second = await here.desk.take()
        assert second != task_id
        await visitor.expect("LIVE_AGENT_JOINED")
        await here.desk.say(second, "Here I am.")
        await visitor.expect("LIVE_AGENT_MESSAGE")
        await here.desk.end(second)
        await visitor.expect("SESSION_END")
        assert visitor.violations == []


async def test_H11_a_queue_timeout_may_end_the_session_instead(tmp_path: Path) -> None:
    async with site(tmp_path, queue_timeout_s="60", on_failure="end") as here, here.customer() as visitor:
        task_id = await queued(here, visitor)
        await here.jump(61)
        await visitor.expect("SESSION_END")
        assert visitor.types(transient=False)[-3:] == ["HANDOFF_TIMEOUT", "SYSTEM_MESSAGE", "SESSION_END"]
        await here.desk.until(lambda t: t["id"] == task_id and t["status"] == "ended", "the task's end")
        assert visitor.violations == []


async def test_an_outage_for_as_long_as_attempts_are_made_fails_the_handoff(tmp_path: Path) -> None:
    async with site(tmp_path) as here, here.customer() as visitor:
        await here.desk.call("POST", "/faults", {"match": {"endpoint": "create"}, "effect": {"status": 503}})
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait(DISPUTE)
        await visitor.expect("POLY_AGENT_LEFT")
        await visitor.say(QUESTION)
        for _ in range(8):
            await asyncio.sleep(0.3)
            await here.jump(4)
        await visitor.expect("HANDOFF_FAILED")
        await visitor.expect("POLY_AGENT_MESSAGE", 3)
        await is_answered(visitor)
        assert await here.desk.tasks() == []
        assert visitor.violations == []


async def test_a_task_of_which_no_news_come_is_given_up_and_closed(tmp_path: Path) -> None:
    async with site(tmp_path) as here, here.customer() as visitor:
        await here.desk.call("POST", "/faults", {"match": {"endpoint": "webhook"}, "effect": {"drop": True}})
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait(DISPUTE)
        task = await here.desk.until(lambda t: t["status"] == "parked", "the queue")
        assert "HANDOFF_ACCEPTED" not in visitor.types()
        await here.jump(200)
        await visitor.expect("HANDOFF_FAILED")
        await here.desk.until(lambda t: t["id"] == task["id"] and t["status"] == "ended", "the task's end")
        await is_answered(visitor)
        assert visitor.violations == []


async def test_a_connection_refused_in_a_live_handoff_is_mended_and_what_waited_arrives(tmp_path: Path) -> None:
    """403 to an append: the operator is told; what the customer wrote until it is mended arrives once, in order."""
    async with site(tmp_path) as here, here.customer() as visitor:
        await here.desk.ready()
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait(DISPUTE)
        task_id = await here.desk.take()
        await visitor.expect("LIVE_AGENT_JOINED")
        stopped = asyncio.Event()
        here.server.registry.watch(lambda connection: stopped.set() if connection.state == "auth_failed" else None)
        rule: dict[str, Any] = {"match": {"endpoint": "append"}, "effect": {"status": 403}}
        fault = await here.desk.call("POST", "/faults", rule)
        for text in ("one", "two"):
            await visitor.say_and_wait(text)
        await asyncio.wait_for(stopped.wait(), PATIENCE_S)
        await here.desk.say(task_id, "Are you there?")
        await visitor.expect("LIVE_AGENT_MESSAGE")
        await here.desk.call("DELETE", f"/faults/{fault['id']}")
        await visitor.say_and_wait("three")
        for connection in here.server.registry.connections():
            await here.server.registry.reload(connection.id)
        await here.desk.until_heard(task_id, ["one", "two", "three"])
        await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE", 3)
        assert visitor.all("SYSTEM_MESSAGE") == []
        assert visitor.violations == []
        assert [c.state for c in here.server.registry.connections()] == ["connected"]
