"""Two nodes and a contact centre that one of them takes for down: what the other one knows of it is used."""

from support.delivery import CONNECTION, Node, Site, site
from support.linked_bus import linked
from support.stores import opened
from warmline.delivery import DeliverySettings
from warmline.delivery.health import DestinationState, HealthSettings
from warmline.domain.effects import provider_stream
from warmline.handoff.contract import ProviderUnavailable
from warmline.ports import partition_of
from warmline.testing import ManualClock

DOWN = ProviderUnavailable("unavailable")
SETTINGS = DeliverySettings(health=HealthSettings(failures=2, probe_s=600.0))
"""It is down after the second attempt, one second after the first; probes do not help before ten minutes are over."""


async def join(s: Site, other: Node) -> None:
    """The other node has its half of the partitions."""
    await other.start()
    await s.until(lambda: len(other.delivery.leases.held) == len(s.node.delivery.leases.held) == 32)


async def live_at(s: Site, node: Node) -> str:
    """A conversation whose messages go out from this node."""
    while True:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        if node.delivery.leases.holds(partition_of(provider_stream(CONNECTION, session_id))):
            return session_id


def is_down(node: Node) -> bool:
    return node.delivery.health.state(CONNECTION) is DestinationState.DOWN


async def test_a_node_tries_again_at_once_when_another_one_gets_through(postgres_url: str, clock: ManualClock) -> None:
    here, there = linked()
    async with site(postgres_url, clock=clock, bus=here, settings=SETTINGS) as s, opened(postgres_url) as store:
        other = Node(store, s.providers, s.clock, s.ids, s.settings, "other", bus=there)
        await join(s, other)
        ours, theirs = await live_at(s, s.node), await live_at(s, other)
        await other.post(theirs, "goes through")
        await s.until(lambda: s.platform.of(theirs).texts == ["goes through"])
        s.platform.script("send", DOWN, DOWN)
        await s.node.post(ours, "needs three attempts")
        await s.until(lambda: is_down(s.node))
        await s.until(lambda: s.platform.of(ours).texts == ["needs three attempts"])
        assert not is_down(s.node)
        await other.stop()


async def test_the_first_node_that_gets_through_again_tells_the_others(postgres_url: str, clock: ManualClock) -> None:
    here, there = linked()
    async with site(postgres_url, clock=clock, bus=here, settings=SETTINGS) as s, opened(postgres_url) as store:
        other = Node(store, s.providers, s.clock, s.ids, s.settings, "other", bus=there)
        await join(s, other)
        ours, theirs = await live_at(s, s.node), await live_at(s, other)
        s.platform.fault = lambda operation: DOWN
        await s.node.post(ours, "waits here")
        await other.post(theirs, "waits there")
        await s.until(lambda: is_down(s.node) and is_down(other))
        await s.pass_time(10)
        assert is_down(s.node), "nobody gets through"
        assert is_down(other), "nobody gets through"
        s.platform.fault = lambda operation: None
        # As its probe would, ten minutes later.
        s.node.delivery.health.succeeded(CONNECTION)
        await s.until(lambda: s.platform.of(theirs).texts == ["waits there"])
        await s.until(lambda: s.platform.of(ours).texts == ["waits here"])
        assert not is_down(other)
        await other.stop()
