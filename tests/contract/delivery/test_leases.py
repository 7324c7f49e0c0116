"""Who may send: one node at a time, also when another one freezes, dies or loses the store."""

import asyncio
import socket
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from prometheus_client import CollectorRegistry

from support.delivery import CONNECTION, Node, site
from support.faulty import FaultyStore
from support.scripted_http import ScriptedServer
from support.stores import opened
from warmline.delivery.alarms import Alarms
from warmline.delivery.calls import ProviderCalls
from warmline.delivery.health import Health
from warmline.delivery.leases import Leases
from warmline.delivery.metrics import DeliveryMetrics
from warmline.domain.errors import LeaseLost, WarmlineError
from warmline.handoff.contract import send_guard
from warmline.handoff.http import GuardedConnector, call
from warmline.ports import Settlement
from warmline.testing import ManualClock, SequentialIds
from warmline.testing.provider import Platform, ScriptedProviders


async def test_certainty_ends_before_the_lease_does(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(f"sqlite:///{tmp_path / 'db'}", SequentialIds()) as store:
        leases = Leases(store, clock, "a", ttl_s=5.0, margin_s=1.0)
        gained, lost = await leases.renew()
        assert (len(gained), lost) == (64, set())
        settlement = Settlement(row_id=1, partition=7, epoch=leases.epoch(7))
        leases.check(settlement)
        await clock.advance(3.9)
        leases.check(settlement)
        await clock.advance(0.2)
        with pytest.raises(LeaseLost):
            leases.check(settlement)
        assert await leases.renew() == (set(), set())
        leases.check(settlement)
        with pytest.raises(LeaseLost):
            leases.check(Settlement(row_id=1, partition=7, epoch=leases.epoch(7) - 1))
        await leases.release()
        with pytest.raises(LeaseLost):
            leases.epoch(7)


async def test_a_frozen_node_knows_that_it_may_not_send(tmp_path: Path, clock: ManualClock) -> None:
    """It waits inside a call for a token or a connection, is frozen, and wakes up after its lease ran out."""
    async with opened(f"sqlite:///{tmp_path / 'db'}", SequentialIds()) as store:
        metrics, alarms = DeliveryMetrics(CollectorRegistry()), Alarms(clock)
        leases = Leases(store, clock, "a", ttl_s=5.0)
        await leases.renew()
        calls = ProviderCalls(ScriptedProviders({}), Health(clock, alarms, metrics), leases, metrics)
        settlement = Settlement(row_id=1, partition=7, epoch=leases.epoch(7))
        sent = False

        async def send() -> None:
            nonlocal sent
            await clock.sleep(10.0)
            send_guard.get()()
            sent = True

        task = asyncio.create_task(calls.call(CONNECTION, settlement, send))
        await clock.advance(10.0)
        with pytest.raises(LeaseLost):
            await task
        assert not sent


class SlowResolver(AbstractResolver):
    """Finds every host on this machine, once it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Wait, then answer."""
        self.asked.set()
        await self.gate.wait()
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is held."""


async def test_a_lease_that_runs_out_while_the_connection_is_made_sends_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    resolver = SlowResolver()
    async with (
        opened(f"sqlite:///{tmp_path / 'db'}", SequentialIds()) as store,
        ScriptedServer() as centre,
        aiohttp.ClientSession(connector=GuardedConnector(resolver=resolver)) as session,
    ):
        metrics, alarms = DeliveryMetrics(CollectorRegistry()), Alarms(clock)
        leases = Leases(store, clock, "a", ttl_s=5.0)
        await leases.renew()
        calls = ProviderCalls(ScriptedProviders({}), Health(clock, alarms, metrics), leases, metrics)
        settlement = Settlement(row_id=1, partition=7, epoch=leases.epoch(7))
        url = centre.url.replace("127.0.0.1", "contact-centre.example")
        send = partial(call, session, "POST", url, headers={}, body=b"said once", timeout=aiohttp.ClientTimeout())
        task = asyncio.create_task(calls.call(CONNECTION, settlement, send))
        await resolver.asked.wait()
        await clock.advance(10.0)
        resolver.gate.set()
        with pytest.raises(LeaseLost):
            await task
        assert centre.asked == []
        await leases.renew()
        assert (await calls.call(CONNECTION, settlement, send)).ok
        assert [asked.body for asked in centre.asked] == [b"said once"]


async def test_nothing_is_sent_while_leases_cannot_be_renewed(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await s.node.hand_off()
        await s.live(session_id)
        await s.node.delivery.check()
        s.store.down.add("claim")
        await s.pass_time(6)
        with pytest.raises(WarmlineError):
            await s.node.delivery.check()
        calls = len(s.platform.calls)
        await s.node.post(session_id, "waits")
        await s.pass_time(10)
        assert len(s.platform.calls) == calls
        s.store.down.clear()
        await s.until(lambda: s.platform.of(session_id).texts == ["waits"])
        await s.node.delivery.check()


async def test_a_restarted_node_takes_over_at_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        await s.node.hand_off()
        await s.until(lambda: bool(s.platform.conversations))
        began = clock.monotonic()
        await s.restart()
        session_id = await s.node.hand_off()
        await s.until(lambda: len(s.platform.conversations) == 2)
        assert s.platform.of(session_id)
        assert clock.monotonic() - began < 1.0


async def test_a_released_node_leaves_its_streams_to_the_other_one(postgres_url: str, clock: ManualClock) -> None:
    async with site(postgres_url, clock=clock) as s:
        sessions = [await s.node.hand_off() for _ in range(8)]
        for session_id in sessions:
            await s.live(session_id)
        async with opened(postgres_url) as store:
            other = Node(store, s.providers, s.clock, s.ids, s.settings, "other")
            await other.start()
            await s.pass_time(10)
            for session_id in sessions:
                await s.node.post(session_id, "both work")
            await s.until(lambda: all(s.platform.of(x).texts == ["both work"] for x in sessions))
            await s.node.delivery.stop()
            for session_id in sessions:
                await s.node.post(session_id, "one works")
            await s.until(lambda: all(s.platform.of(x).texts == ["both work", "one works"] for x in sessions))
            await other.stop()
        assert all(set(s.platform.of(x).sends.values()) == {1} for x in sessions)


async def test_another_node_takes_over_within_15_seconds_of_a_crash(postgres_url: str, clock: ManualClock) -> None:
    async with site(postgres_url, clock=clock, platform=Platform(clock)) as s:
        sessions = [await s.node.hand_off() for _ in range(8)]
        for session_id in sessions:
            await s.live(session_id)
        async with opened(postgres_url) as store:
            other = Node(store, s.providers, s.clock, s.ids, s.settings, "other")
            await other.start()
            await s.pass_time(8)
            await s.node.crash()
            died = clock.monotonic()
            for session_id in sessions:
                await other.post(session_id, "after the crash")
            s.node = other
            await s.until(lambda: all(s.platform.of(x).texts == ["after the crash"] for x in sessions))
            assert clock.monotonic() - died < 15.0
            s.node = Node(s.store, s.providers, s.clock, s.ids, s.settings, "third")
            await other.stop()


async def test_a_message_that_came_by_another_node_is_not_overtaken(postgres_url: str, clock: ManualClock) -> None:
    async with site(postgres_url, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        async with opened(postgres_url) as store:
            # It owns nothing: it only takes the customer's socket for a moment.
            other = Node(store, s.providers, s.clock, s.ids, s.settings, "other")
            for n in range(6):
                await (other if n % 2 == 0 else s.node).post(session_id, f"message {n}")
            await s.until(lambda: len(s.platform.of(session_id).messages) == 6)
        assert s.platform.of(session_id).texts == [f"message {n}" for n in range(6)]
