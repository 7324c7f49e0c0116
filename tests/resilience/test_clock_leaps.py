"""Clocks that are set forward and back by minutes, and nodes whose clocks are apart.

Nobody is taken for silent, nothing waits for the clock, and who may send does not depend on it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from support.delivery import site
from support.desk import Desk
from support.installation import DISPUTE, LUMEN, RETRIES_MS, TOKEN, connect_order, emulator, set_asset_webhook
from support.jump_clock import JumpClock
from support.nodes import Balancer
from warmline.app import Server
from warmline.emulators.webex import RunningSim
from warmline.handoff.contract import ProviderThrottled, ProviderUnavailable
from warmline.health import SystemHealth
from warmline.ports import Level, Store
from warmline.store.postgres import PostgresStore
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.testing.server import ConnectOrder, Order, free_port, start

IDLE_S = 120
APART_S = 80
"""Less than the time in which a contact centre must have taken a handoff: deadlines go by the clock of their node."""
LEAP_S = 240
"""Longer than clients may be silent, and not so long that the contact centre's webhooks count as stale (300 s)."""


@pytest.mark.parametrize("leap_s", [-LEAP_S, LEAP_S])
@pytest.mark.parametrize("error", [ProviderUnavailable("unavailable"), ProviderThrottled("throttled", 100.0)])
async def test_a_message_that_waits_for_its_next_attempt_does_not_wait_for_the_clock(
    tmp_path: Path, clock: ManualClock, error: ProviderUnavailable | ProviderThrottled, leap_s: float
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.script("send", error)
        await s.node.post(session_id, "one")
        await s.node.post(session_id, "two")
        await s.pass_time(0.5)
        assert s.platform.of(session_id).texts == []
        clock.leap(leap_s)
        await s.until(lambda: s.platform.of(session_id).texts == ["one", "two"], within_s=130)
        # Also where the next attempt is known from the store only.
        s.platform.script("send", error)
        await s.node.post(session_id, "three")
        await s.pass_time(0.5)
        clock.leap(-2 * leap_s)
        await s.restart()
        await s.until(lambda: s.platform.of(session_id).texts == ["one", "two", "three"], within_s=130)


def on_machine(clock: JumpClock, store: Store) -> Store:
    """A store on a machine with this clock."""
    if isinstance(store, PostgresStore):
        store.machine_ns = clock.wall_ns
    return store


@contextlib.asynccontextmanager
async def server(
    database_url: str, sim: RunningSim, clock: JumpClock, public_url: str = "", *, idle_s: int = 600
) -> AsyncIterator[tuple[Server, dict[str, str]]]:
    """A whole server on this clock."""
    given = connect_order(sim)
    order = Order(
        database_url=database_url,
        project=str(LUMEN),
        connector_token=TOKEN,
        connect=ConnectOrder(provider="webex", values=given["values"], secrets=given["secrets"]),
        port=free_port(),
        public_url=public_url,
        idle_s=idle_s,
        lease_ttl_s=2.0,
    )
    made, answer = await start(order, clock=clock, wrap_store=partial(on_machine, clock))
    try:
        yield made, answer
    finally:
        await made.stop()


async def handed_over(visitor: MessagingClient, desk: Desk) -> str:
    """The customer talks to a live agent; returns the task."""
    await visitor.start()
    await visitor.expect("POLY_AGENT_MESSAGE")
    await visitor.say_and_wait(DISPUTE)
    task_id = await desk.take()
    await visitor.expect("LIVE_AGENT_JOINED")
    return task_id


async def both_write(visitor: MessagingClient, desk: Desk, task_id: str, texts: list[str]) -> None:
    """One more message each way; all of them are there, once and in order."""
    texts.append(f"message {len(texts)}")
    await visitor.say_and_wait(texts[-1])
    await desk.until_heard(task_id, texts)
    await desk.say(task_id, f"re: {texts[-1]}")
    await visitor.expect("LIVE_AGENT_MESSAGE", len(texts))
    assert [event.payload["text"] for event in visitor.all("LIVE_AGENT_MESSAGE")] == [f"re: {text}" for text in texts]
    journal = [event.sequence for event in visitor.journal()]
    assert journal == list(range(1, len(journal) + 1))
    assert visitor.violations == []


async def test_a_conversation_outlives_a_clock_that_is_set_forward_and_back(tmp_path: Path) -> None:
    clock = JumpClock()
    async with emulator() as sim, server(f"sqlite:///{tmp_path}/w.db", sim, clock, idle_s=IDLE_S) as (made, answer):
        await set_asset_webhook(sim, answer["asset_webhook_url"], answer["asset_webhook_secret"])
        async with Desk(sim.url) as desk, MessagingClient(made.url, token=TOKEN) as visitor:
            await desk.ready()
            task_id = await handed_over(visitor, desk)
            texts: list[str] = []
            for leap_s in (LEAP_S, -LEAP_S, -LEAP_S, LEAP_S):
                clock.leap(leap_s)
                # Timers look by themselves within five seconds; before anything is heard of the customer.
                clock.jump(6)
                await asyncio.sleep(0.3)
                await both_write(visitor, desk, task_id, texts)
                await visitor.reconnect()
            # Who is silent from now on is silent, whatever the clock did.
            clock.leap(LEAP_S)
            clock.jump(6)
            await visitor.settle()
            await visitor.drop()
            async with asyncio.timeout(PATIENCE_S):
                while (await made.store.session(visitor.session_id)).session.ended is None:  # type: ignore[union-attr]
                    clock.jump(IDLE_S / 4)
                    await asyncio.sleep(0.05)


async def test_nodes_whose_clocks_are_apart_share_the_work_and_hand_it_over(postgres_url: str) -> None:
    ahead, behind = JumpClock(), JumpClock()
    ahead.leap(APART_S / 2)
    behind.leap(-APART_S / 2)
    async with emulator(webhook_retries_ms=RETRIES_MS) as sim, Balancer() as balancer, Desk(sim.url) as desk:
        async with server(postgres_url, sim, behind, balancer.url) as (one, answer):
            async with server(postgres_url, sim, ahead, balancer.url) as (two, _):
                balancer.urls += [one.url, two.url]
                hook = f"{balancer.url}/hooks/webex/{answer['connection_id']}/asset"
                await set_asset_webhook(sim, hook, answer["asset_webhook_secret"])
                await reached(lambda: len(one.delivery.leases.held) == len(two.delivery.leases.held) == 32)
                for node in (one, two):
                    health = SystemHealth(node.store, node.registry, node.delivery, node.clock, {}, None)
                    found = {item.subject: item for item in await health.look()}
                    assert found["clock"].level is Level.WARN
                    assert found["nodes"].text.startswith("2: ")
                await desk.ready()
                async with MessagingClient(one.url, token=TOKEN) as visitor:
                    task_id = await handed_over(visitor, desk)
                    texts: list[str] = []
                    for _ in range(5):
                        await both_write(visitor, desk, task_id, texts)
                    ahead.leap(-APART_S)
                    behind.leap(APART_S)
                    for _ in range(5):
                        await both_write(visitor, desk, task_id, texts)
                    assert len(one.delivery.leases.held) == len(two.delivery.leases.held) == 32
                    balancer.urls.remove(two.url)
                    await two.delivery.stop()
                    await reached(lambda: len(one.delivery.leases.held) == 64)
                    await both_write(visitor, desk, task_id, texts)


async def reached(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  (leases tell nobody)
            await asyncio.sleep(0.05)
