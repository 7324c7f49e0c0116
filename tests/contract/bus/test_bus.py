"""What every bus does: one process, PostgreSQL's notifications, NATS."""

import pytest

from support.buses import Ground, Heard
from support.tcp_proxy import TcpProxy
from warmline.bus.memory import MemoryBus
from warmline.domain import events as e
from warmline.domain.errors import BusUnavailable
from warmline.domain.events import Recorded
from warmline.ports import EVERYTHING, LOOK, Bus, Ephemeral, Poke, Signal, Wake

from .conftest import Join


def typing(session_id: str, number: int) -> Ephemeral:
    return Ephemeral(session_id=session_id, kind="typing", payload={"started": True, "agent_id": str(number)})


def order_of(session_id: str, signals: list[Signal]) -> list[int]:
    """The numbers that a session's ephemerals carry, each followed by how far the log was said to reach then."""
    reached, order = 0, []
    for signal in signals:
        if isinstance(signal, Poke) and signal.session_id == session_id:
            assert signal.upto >= reached, "a poke tells less than one before it"
            reached = signal.upto
        if isinstance(signal, Ephemeral) and signal.session_id == session_id:
            order += [int(str(signal.payload["agent_id"])), reached]
    return [*order, reached]


async def a_node_hears_itself_once_at_once_and_in_order(bus: Bus) -> None:
    heard = Heard(bus, ["s1"])
    sent = [Poke(session_id="s1", upto=1), typing("s1", 1), Poke(session_id="s1", upto=2), typing("s2", 2)]
    for signal in sent:
        bus.send(signal)
    bus.send(Wake("outbox", ("1",)))
    assert heard.signals == sent[:3]
    assert heard.watched == []


async def test_a_process_alone_hears_itself() -> None:
    bus = MemoryBus()
    await bus.start()
    await bus.check()
    await a_node_hears_itself_once_at_once_and_in_order(bus)
    await bus.stop()


async def test_own_signals_come_at_once_and_do_not_come_back(join: Join) -> None:
    here, there = await join(), await join()
    await here.check()
    heard, marker = Heard(here, ["s9"]), Heard(there)
    await a_node_hears_itself_once_at_once_and_in_order(here)
    await marker.until(lambda: Wake("outbox", ("1",)) in marker.watched, "the wake reached the other node")
    there.send(Wake("back"))  # comes after whatever of its own this node might hear
    await heard.until(lambda: bool(heard.watched), "the answer came")
    assert heard.watched == [Wake("back")]


async def test_each_session_hears_its_signals_in_order(join: Join) -> None:
    here, there = await join(), await join()
    sessions = [f"session-{number}" for number in range(5)]
    heard = Heard(there, sessions)
    sent: list[Signal] = []
    for number in range(1, 201):
        for session_id in sessions:
            sent += [Poke(session_id=session_id, upto=number), typing(session_id, number)]
    for signal in sent:
        here.send(signal)
    last = typing(sessions[-1], 200)
    await heard.until(lambda: last in heard.signals, "everything arrived")
    for session_id in sessions:
        assert order_of(session_id, heard.signals) == order_of(session_id, sent)


async def test_a_thousand_sessions_hear_only_what_is_theirs(join: Join) -> None:
    here, there = await join(), await join()
    sessions = [f"session-{number}" for number in range(1000)]
    heard = Heard(there, sessions)
    for number, session_id in enumerate(sessions):
        here.send(Poke(session_id=session_id, upto=number + 1))
        here.send(Poke(session_id=f"not heard {number}", upto=1))
    await heard.until(lambda: len(heard.signals) == 1000, "all sessions heard theirs")
    assert heard.signals == [Poke(session_id=session_id, upto=n + 1) for n, session_id in enumerate(sessions)]
    assert EVERYTHING not in {wake.topic for wake in heard.watched if isinstance(wake, Wake)}


async def test_customers_words_do_not_travel(join: Join) -> None:
    here, there = await join(), await join()
    heard = Heard(there, ["s1"])
    said = Recorded(sequence=1, id="1", at=1, event=e.UserMessage(message_id="m", text="my secret"))
    here.send(Poke(session_id="s1", upto=1, events=(said,)))
    await heard.until(lambda: bool(heard.watched), "the poke arrived")
    assert heard.signals == heard.watched == [Poke(session_id="s1", upto=1)]


async def test_what_is_longer_than_a_message_is_cut_and_what_cannot_be_cut_is_told_as_lost(join: Join) -> None:
    here, there = await join(), await join()
    heard = Heard(there, ["s1"])
    agents = [typing(f"s{n % 2}", n) for n in range(3000)]  # far more than 8000 bytes
    for signal in agents:
        here.send(signal)
    here.send(Ephemeral(session_id="s1", kind="typing", payload={"agent_name": "ä😀" * 40_000}))
    here.send(Ephemeral(session_id="s1", kind="typing", payload={"agent_name": "Zoë\n'\"\\😀"}))
    here.send(Wake("end"))
    await heard.until(lambda: Wake(EVERYTHING) in heard.watched, "the loss was told")
    await heard.until(lambda: Wake("end") in heard.watched, "the rest arrived")
    assert [signal for signal in heard.signals if signal in agents] == agents[1::2]
    await heard.until(lambda: Poke(session_id="s1", upto=LOOK) in heard.signals, "its session looks")
    assert Ephemeral(session_id="s1", kind="typing", payload={"agent_name": "Zoë\n'\"\\😀"}) in heard.signals


async def test_a_node_that_was_cut_off_looks_and_so_do_those_who_missed_it(join: Join, ground: Ground) -> None:
    async with TcpProxy(ground.port) as proxy:
        cut, other = await join(port=proxy.port), await join()
        at_cut, at_other = Heard(cut, ["a", "b"]), Heard(other, ["a", "c"])
        proxy.refusing = True
        proxy.cut()
        await at_cut.until(lambda: len(at_cut.signals) >= 4, "cut off, its sessions look again and again")
        with pytest.raises(BusUnavailable):
            await cut.check()
        await other.check()
        cut.send(Wake("lost"))
        other.send(Poke(session_id="b", upto=7))
        assert at_cut.watched == []
        at_cut.clear()
        proxy.refusing = False
        await at_cut.until(lambda: Wake(EVERYTHING) in at_cut.watched, "it is back")
        await cut.check()
        looks = [Poke(session_id=session_id, upto=LOOK) for session_id in ("a", "b")]
        await at_cut.until(lambda: all(look in at_cut.signals for look in looks), "its sessions look")
        await at_other.until(lambda: Wake(EVERYTHING) in at_other.watched, "the other knows of the loss")
        assert {signal.session_id for signal in at_other.signals if isinstance(signal, Poke)} == {"a", "c"}
        other.send(Poke(session_id="b", upto=8))
        await at_cut.until(lambda: at_cut.signals[-1] == Poke(session_id="b", upto=8), "signals come again")


async def test_all_come_back_after_a_restart_of_the_server(join: Join, ground: Ground) -> None:
    nodes = [await join(), await join()]
    heard = [Heard(node, ["s"]) for node in nodes]
    await ground.restart()
    for node in heard:
        await node.until(lambda node=node: Wake(EVERYTHING) in node.watched, "it is back")  # type: ignore[misc]
        await node.until(lambda node=node: Poke(session_id="s", upto=LOOK) in node.signals, "it looks")  # type: ignore[misc]
    nodes[0].send(Poke(session_id="s", upto=3))
    await heard[1].until(lambda: Poke(session_id="s", upto=3) in heard[1].signals, "signals come again")


async def test_what_was_sent_before_the_stop_is_heard(join: Join) -> None:
    here, there = await join(), await join()
    heard = Heard(there)
    sent = [Wake("timers", (str(number),)) for number in range(2000)]
    for wake in sent:
        here.send(wake)
    await here.stop()
    here.send(Wake("too late"))
    await heard.until(lambda: len(heard.watched) == 2000, "all arrived")
    assert heard.watched == sent
    with pytest.raises(BusUnavailable):
        await here.check()


async def test_a_listener_that_has_stopped_or_fails_harms_nobody(join: Join) -> None:
    here, there = await join(), await join()
    heard = Heard(there, ["s"])

    def fails(_: object) -> None:
        raise RuntimeError("on purpose")

    there.listen("s", fails)
    there.watch(fails)
    stopped: list[Signal] = []
    for stop in (there.listen("s", stopped.append), there.watch(stopped.append)):
        stop()
        stop()
    last = Heard(there, ["s"])
    here.send(Poke(session_id="s", upto=1))
    await last.until(lambda: bool(last.watched), "it arrived")
    assert heard.signals == heard.watched == last.signals == last.watched == [Poke(session_id="s", upto=1)]
    assert stopped == []


async def test_installations_on_one_server_do_not_hear_each_other(join: Join) -> None:
    here, stranger, there = await join(), await join(installation=b"another"), await join()
    heard, strange = Heard(there, ["s"]), Heard(stranger, ["s"])
    here.send(Poke(session_id="s", upto=1))
    await heard.until(lambda: bool(heard.watched), "it arrived")
    await here.stop()
    await stranger.stop()
    assert strange.signals == strange.watched == []


async def test_a_node_may_start_before_its_server_answers(join: Join, ground: Ground) -> None:
    async with TcpProxy(ground.port) as proxy:
        proxy.refusing = True
        early, other = await join(port=proxy.port), await join()
        with pytest.raises(BusUnavailable):
            await early.check()
        heard = Heard(early)
        proxy.refusing = False
        await heard.until(lambda: Wake(EVERYTHING) in heard.watched, "it is there")
        await early.check()
        other.send(Wake("now"))
        await heard.until(lambda: heard.watched[-1] == Wake("now"), "it hears")
