"""Two nodes put the webhooks of a connection in order that is known to swap them, whichever of them knows it."""

from support.delivery import CONNECTION, Node, Site, site
from support.linked_bus import linked
from support.stores import opened
from warmline.delivery import DeliverySettings
from warmline.delivery.holding import HoldSettings
from warmline.delivery.inbox import InboxSettings
from warmline.domain.events import LiveAgentMessage
from warmline.ports import inbox_partition
from warmline.testing import ManualClock


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
    settings = DeliverySettings(inbox=InboxSettings(hold=HoldSettings(distrust_s=5.0)))
    async with site(postgres_url, clock=clock, bus=here, settings=settings) as s, opened(postgres_url) as store:
        other = Node(store, s.providers, s.clock, s.ids, s.settings, "other", bus=there)
        await join(s, other)
        theirs = await opened_at(s, other)
        # What is known of the connection from its start is forgotten by then.
        await s.pass_time(6)
        here.others.clear()
        now, first_node = clock.now(), s.node
        s.node = other
        await say(s, theirs, "second", now)
        s.node = first_node
        await say(s, theirs, "first", now - 10)
        await s.pass_time(1)
        assert await shown(s, theirs) == ["first", "second"]
        await other.stop()
