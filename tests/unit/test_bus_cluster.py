"""How a node notices that signals of others were lost."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from support.buses import FAST, Heard, Hub
from warmline.bus.cluster import ClusterBus, ClusterSettings
from warmline.bus.codec import shortened
from warmline.domain.errors import BusUnavailable
from warmline.ports import EVERYTHING, LOOK, Ephemeral, Poke, Wake
from warmline.testing.messaging_client import PATIENCE_S

A_LOOK = Poke(session_id="s", upto=LOOK)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
async def join(hub: Hub) -> AsyncIterator[Callable[..., ClusterBus]]:
    """Makes a node's bus, not started; all are stopped at the end."""
    nodes: list[ClusterBus] = []

    def make(settings: ClusterSettings = FAST, limit: int = 64_000) -> ClusterBus:
        nodes.append(hub.bus(settings, limit))
        return nodes[-1]

    yield make
    for node in nodes:
        await node.stop()


async def test_a_message_that_is_lost_on_the_way_is_missed(hub: Hub, join: Callable[..., ClusterBus]) -> None:
    here, there = join(), join()
    await there.start()
    heard = Heard(there, ["s"])
    await here.start()
    hub.swallow = lambda message: b"lost" in message
    here.send(Wake("lost"))
    await heard.until(lambda: A_LOOK in heard.signals, "its session looks")
    assert heard.watched == [Wake(EVERYTHING)]


async def test_a_queue_that_is_full_is_told_as_a_loss(hub: Hub, join: Callable[..., ClusterBus]) -> None:
    here, there = join(ClusterSettings(queue=3)), join()
    await there.start()
    await here.start()
    heard = Heard(there, ["s"])
    sent = [Wake("timers", (str(number),)) for number in range(5)]
    for wake in sent:
        here.send(wake)
    await heard.until(lambda: A_LOOK in heard.signals, "its session looks")
    assert heard.watched == [*sent[:3], Wake(EVERYTHING)]
    here.send(sent[4])
    await heard.until(lambda: heard.watched[-1] == sent[4], "later ones arrive")


async def test_a_node_that_does_not_hear_itself_gives_its_connection_up(
    hub: Hub, join: Callable[..., ClusterBus]
) -> None:
    node = join()
    await node.start()
    heard = Heard(node, ["s"])
    hub.swallow = lambda _: True
    await heard.until(lambda: A_LOOK in heard.signals, "its session looks")
    with pytest.raises(BusUnavailable, match="what is sent does not come back"):
        await node.check()
    assert heard.watched == []
    hub.swallow = lambda _: False
    await heard.until(lambda: Wake(EVERYTHING) in heard.watched, "it is back")
    await node.check()


async def test_what_nobody_can_read_is_taken_for_a_loss(hub: Hub, join: Callable[..., ClusterBus]) -> None:
    node = join()
    await node.start()
    for strange in (
        b"",
        b"other",
        b"other:x:[]",
        b'other:1:["p"]',
        b'other:2:[["news","of a newer version"]]',
        b"\xff::",
    ):
        heard = Heard(node, ["s"])
        hub.tell(strange)
        await heard.until(lambda heard=heard: A_LOOK in heard.signals, "its session looks")  # type: ignore[misc]
        assert heard.watched == [Wake(EVERYTHING)]


async def test_sessions_look_by_turns(hub: Hub, join: Callable[..., ClusterBus]) -> None:
    node = join(ClusterSettings(looks=3, look_every_s=1.0))
    await node.start()
    heard = Heard(node, [str(number) for number in range(5)])
    hub.tell(b"unreadable")
    hub.tell(b"unreadable")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(heard.signals) == 3
    await heard.until(lambda: len(heard.signals) >= 5, "all looked")
    assert {signal.session_id for signal in heard.signals if isinstance(signal, Poke)} == set("01234")
    await asyncio.sleep(0.1)
    assert len(heard.signals) == 5


async def test_a_node_that_nobody_answers_tells_what_is_wrong_and_stops_at_once(
    hub: Hub, join: Callable[..., ClusterBus]
) -> None:
    hub.down = True
    node = join()
    with pytest.raises(BusUnavailable, match="not started"):
        await node.check()
    await node.start()
    node.send(Wake("nobody hears it"))
    with pytest.raises(BusUnavailable, match="the hub is down"):
        await node.check()
    async with asyncio.timeout(PATIENCE_S):
        await node.stop()


async def test_a_stuck_transport_holds_up_neither_senders_nor_the_stop(
    hub: Hub, join: Callable[..., ClusterBus]
) -> None:
    node = join(ClusterSettings(farewell_s=0.05))
    await node.start()
    heard = Heard(node, ["s"])
    hub.ends[0].gate.clear()
    node.send(Poke(session_id="s", upto=1))
    assert heard.signals == [Poke(session_id="s", upto=1)]
    async with asyncio.timeout(PATIENCE_S):
        await node.stop()


async def test_a_connection_that_takes_nothing_any_more_is_given_up(hub: Hub, join: Callable[..., ClusterBus]) -> None:
    node = join()
    await node.start()
    heard = Heard(node, ["s"])
    end = hub.ends[0]
    end.gate.clear()
    await heard.until(lambda: A_LOOK in heard.signals, "its session looks")
    with pytest.raises(BusUnavailable, match="what is sent is not taken"):
        await node.check()
    stranger = join()
    await stranger.start()
    told = Heard(stranger)
    end.gate.set()
    await heard.until(lambda: Wake(EVERYTHING) in heard.watched, "it is back")
    await node.check()
    await told.until(lambda: Wake(EVERYTHING) in told.watched, "who never heard it before learns of the loss, too")


def test_of_pokes_in_a_row_the_last_is_enough_and_nothing_changes_places() -> None:
    def poke(session_id: str, upto: int) -> Poke:
        return Poke(session_id=session_id, upto=upto)

    shown = Ephemeral(session_id="a", kind="thinking")
    waiting = [poke("a", 1), poke("b", 1), poke("a", 2), Wake("x"), shown, shown, poke("a", 3), Wake("x"), poke("b", 2)]
    assert shortened(waiting) == [poke("a", 2), poke("b", 2), Wake("x"), shown, shown, poke("a", 3)]
