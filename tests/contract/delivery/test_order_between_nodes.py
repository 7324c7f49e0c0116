"""Two nodes put the webhooks of a connection in order that is known to swap them, whichever of them knows it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from support.delivery import CONNECTION, Node, Site, site
from support.faulty import FaultyStore
from support.linked_bus import LinkedBus, linked
from support.stores import opened
from warmline.delivery import DeliverySettings
from warmline.delivery.holding import HoldSettings
from warmline.delivery.inbox import InboxSettings
from warmline.domain.events import LiveAgentMessage
from warmline.ports import inbox_partition
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S


async def opened_at(s: Site, node: Node) -> str:
    """A conversation whose news belong to this node."""
    while True:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        if node.delivery.leases.holds(inbox_partition(CONNECTION, s.platform.of(session_id).id)):
            return session_id


async def say(s: Site, session_id: str, text: str, at: int) -> None:
    """The live agent wrote it `at` that time; its webhook comes now."""
    await s.news(session_id, "agent_message", at=at, message_id=text, text=text, agent_id="agent-1")


async def shown(s: Site, session_id: str) -> list[str]:
    return [message.text for message in await s.of_type(session_id, LiveAgentMessage)]


async def join(s: Site, other: Node) -> None:
    """The other node has its half of the partitions."""
    await other.start()
    await s.until(lambda: len(other.delivery.leases.held) == len(s.node.delivery.leases.held) == 32)


@contextlib.asynccontextmanager
async def two_nodes(
    postgres_url: str, clock: ManualClock, others: Sequence[LinkedBus]
) -> AsyncIterator[tuple[Site, Node, str]]:
    """Two nodes that know of no disorder, and a conversation that belongs to the second one; both stores are faulty."""
    here, there = others
    settings = DeliverySettings(inbox=InboxSettings(hold=HoldSettings(distrust_s=5.0)))
    faulty = site(postgres_url, clock=clock, bus=here, settings=settings, wrap=FaultyStore)
    async with faulty as s, opened(postgres_url) as store:
        other = Node(FaultyStore(store), s.providers, s.clock, s.ids, s.settings, "other", bus=there)
        await join(s, other)
        theirs = await opened_at(s, other)
        # What is known of the connection from its start is forgotten by then.
        await s.pass_time(6)
        yield s, other, theirs
        await other.stop()


async def say_at(s: Site, node: Node, session_id: str, text: str, at: int) -> None:
    """Its webhook comes to this node."""
    first, s.node = s.node, node
    await say(s, session_id, text, at)
    s.node = first


async def swapped(s: Site, session_id: str, clock: ManualClock) -> None:
    """Two messages come in the wrong order, a tenth of a second apart."""
    now = clock.now()
    await say(s, session_id, "second", now)
    await s.pass_time(0.1)
    await say(s, session_id, "first", now - 10)
    await s.pass_time(1)


async def test_a_node_that_joins_puts_in_order_what_came_before_it_was_there(
    postgres_url: str, clock: ManualClock
) -> None:
    here, there = linked()
    async with site(postgres_url, clock=clock, bus=here) as s, opened(postgres_url) as store:
        await s.live(await s.node.hand_off())
        await s.pass_time(5)
        other = Node(store, s.providers, s.clock, s.ids, s.settings, "other", bus=there)
        await join(s, other)
        session_id = await opened_at(s, other)
        await swapped(s, session_id, clock)
        assert await shown(s, session_id) == ["first", "second"]
        await other.stop()


async def test_what_one_node_notices_is_known_to_the_other(postgres_url: str, clock: ManualClock) -> None:
    here, there = linked()
    settings = DeliverySettings(inbox=InboxSettings(hold=HoldSettings(distrust_s=5.0)))
    async with site(postgres_url, clock=clock, bus=here, settings=settings) as s, opened(postgres_url) as store:
        other = Node(store, s.providers, s.clock, s.ids, s.settings, "other", bus=there)
        await join(s, other)
        ours, theirs = await opened_at(s, s.node), await opened_at(s, other)
        # What is known of the connection from its start is forgotten by then.
        await s.pass_time(6)
        await swapped(s, theirs, clock)
        assert await shown(s, theirs) == ["second", "first"]
        await swapped(s, ours, clock)
        assert await shown(s, ours) == ["first", "second"]
        await other.stop()


async def test_what_another_node_stored_is_looked_for_before_what_belongs_behind_it_is_shown(
    postgres_url: str, clock: ManualClock
) -> None:
    here, there = linked()
    async with site(postgres_url, clock=clock, bus=here) as s, opened(postgres_url) as store:
        await s.live(await s.node.hand_off())
        await s.pass_time(5)
        other = Node(store, s.providers, s.clock, s.ids, s.settings, "other", bus=there)
        await join(s, other)
        session_id = await opened_at(s, other)
        now = clock.now()
        await say(s, session_id, "second", now)
        await s.pass_time(0.1)
        here.others.clear()
        await say(s, session_id, "first", now - 10)
        await s.pass_time(1)
        assert await shown(s, session_id) == ["first", "second"]
        await other.stop()


async def test_two_that_come_to_two_nodes_at_once_are_put_in_order_without_a_word_between_the_nodes(
    postgres_url: str, clock: ManualClock
) -> None:
    here, there = linked()
    async with two_nodes(postgres_url, clock, (here, there)) as (s, other, theirs):
        here.others.clear()
        now = clock.now()
        await say_at(s, other, theirs, "second", now)
        await say(s, theirs, "first", now - 10)
        await s.pass_time(1)
        assert await shown(s, theirs) == ["first", "second"]


async def test_while_the_store_cannot_be_read_for_what_belongs_first_nothing_is_shown(
    postgres_url: str, clock: ManualClock
) -> None:
    here, there = linked()
    async with two_nodes(postgres_url, clock, (here, there)) as (s, other, theirs):
        here.others.clear()
        now = clock.now()
        await say_at(s, other, theirs, "second", now)
        other.store.down.add("inbox_pending")
        await say(s, theirs, "first", now - 10)
        await s.pass_time(1)
        other.store.down.clear()
        await s.pass_time(1)
        assert await shown(s, theirs) == ["first", "second"]


@pytest.mark.parametrize("who", ["the owner", "the other one"])
async def test_after_an_outage_what_another_node_could_not_store_yet_is_waited_for(
    postgres_url: str, clock: ManualClock, who: str
) -> None:
    here, there = linked()
    async with two_nodes(postgres_url, clock, (here, there)) as (s, other, theirs):
        assert isinstance(s.store, FaultyStore)
        now = clock.now()
        if who == "the owner":
            here.others.clear()
            other.store.down.add("claim")
            await s.pass_time(2)
            other.store.down.clear()
        s.store.down.add("accept")
        first = asyncio.create_task(say(s, theirs, "first", now - 10))
        async with asyncio.timeout(PATIENCE_S):
            while "accept" not in s.store.calls[-3:]:  # noqa: ASYNC110  (what is waited for tells nobody)
                await asyncio.sleep(0.005)
        await say_at(s, other, theirs, "second", clock.now())
        await s.pass_time(0.5)
        s.store.down.clear()
        await s.pass_time(5)
        await first
        assert await shown(s, theirs) == ["first", "second"]


async def test_what_another_node_takes_long_to_store_is_waited_for(postgres_url: str, clock: ManualClock) -> None:
    async with two_nodes(postgres_url, clock, linked()) as (s, other, theirs):
        assert isinstance(s.store, FaultyStore)
        now = clock.now()
        s.store.slow.add("accept")
        s.store.calls.clear()
        first = asyncio.create_task(say(s, theirs, "first", now - 10))
        async with asyncio.timeout(PATIENCE_S):
            while "accept" not in s.store.calls:  # noqa: ASYNC110  (what is waited for tells nobody)
                await asyncio.sleep(0.005)
        await clock.advance(0.02)
        await say_at(s, other, theirs, "second", now)
        # Time does not pass by itself while somebody waits for a store.
        for _ in range(6):
            await clock.advance(0.1)
            await asyncio.sleep(0.02)
        assert await shown(s, theirs) == []
        s.store.gate.set()
        await first
        await s.pass_time(1)
        assert await shown(s, theirs) == ["first", "second"]
