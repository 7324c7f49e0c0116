"""What a node takes over from another one, when the store is out of reach or slow in just that moment."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from support.delivery import CONNECTION, Node, Site, site
from support.faulty import FaultyStore
from support.stores import begin, opened, settlement
from warmline.bus.memory import MemoryBus
from warmline.delivery.alarms import Alarms
from warmline.delivery.leases import Leases
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.outbox import Outbox
from warmline.domain.commands import MessageConfirmed
from warmline.domain.effects import RunTurn, provider_stream
from warmline.domain.events import LiveAgentMessage
from warmline.handoff.contract import OutgoingMessage, ProviderTimeout, SendResult
from warmline.ports import (
    PARTITIONS,
    Change,
    InboxRow,
    Link,
    OutboxRow,
    Outcome,
    Settlement,
    Waiting,
    inbox_partition,
    partition_of,
)
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S
from warmline.testing.provider import After, Platform, ScriptedProvider


async def until(clock: ManualClock, reached: Callable[[], bool]) -> None:
    """Let time go by; the store works in real time."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await clock.advance(0.1)
            await asyncio.sleep(0.001)


async def two_nodes(s: Site, other: Node) -> None:
    """The partitions are shared out."""
    await other.start()
    await s.until(lambda: len(other.delivery.leases.held) == len(s.node.delivery.leases.held) == 32)


def partition(session_id: str) -> int:
    return partition_of(provider_stream(CONNECTION, session_id))


async def live_at(s: Site, node: Node) -> str:
    """A conversation whose messages go out from this node."""
    while True:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        if node.delivery.leases.holds(partition(session_id)):
            return session_id


async def test_what_was_in_flight_at_a_death_is_looked_for_also_when_the_first_reading_fails(
    postgres_url: str, clock: ManualClock
) -> None:
    platform = Platform(clock, recognises=False)
    async with site(postgres_url, clock=clock, platform=platform, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        async with opened(postgres_url) as real:
            store = FaultyStore(real)
            other = Node(store, s.providers, s.clock, s.ids, s.settings, "other")
            await two_nodes(s, other)
            session_id = await live_at(s, s.node)
            gone = s.store
            platform.on_message = lambda conversation, message: gone.down.add("transact")
            message_id = await s.node.post(session_id, "said once")
            await s.until(lambda: bool(platform.of(session_id).messages))
            await s.node.crash()
            store.down.add("pending")
            await s.until(lambda: len(other.delivery.leases.held) == 64)
            s.node = other
            store.down.clear()
            await s.pass_time(3)
            await s.news(session_id, "confirmed", message_id=message_id)
            await s.settled()
            assert platform.of(session_id).texts == ["said once"]
            s.node = Node(s.store, s.providers, s.clock, s.ids, s.settings, "third")
            await other.stop()


class SlowAnswers(ScriptedProvider):
    """Its sends take effect at once and are answered late."""

    def __init__(self, platform: Platform, clock: ManualClock, answer_s: float) -> None:
        super().__init__(platform)
        self._clock = clock
        self._answer_s = answer_s

    async def send(self, link: Link, message: OutgoingMessage) -> SendResult:
        """Send, then wait."""
        result = await super().send(link, message)
        await self._clock.sleep(self._answer_s)
        return result


async def test_what_was_in_flight_while_its_partition_was_elsewhere_is_looked_for(
    postgres_url: str, clock: ManualClock
) -> None:
    platform = Platform(clock, recognises=False)
    async with site(postgres_url, clock=clock, platform=platform, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        async with opened(postgres_url) as store:
            other = Node(store, s.providers, s.clock, s.ids, s.settings, "other")
            await two_nodes(s, other)
            session_id = await live_at(s, s.node)
            s.providers.providers[CONNECTION] = SlowAnswers(platform, clock, 20.0)
            message_id, said = await s.node.post(session_id, "said once"), clock.monotonic()
            await s.until(lambda: bool(platform.of(session_id).messages))
            s.store.down.add("claim")
            await s.until(lambda: len(other.delivery.leases.held) == 64)
            s.store.down.clear()
            await other.stop()
            await s.until(lambda: s.node.delivery.leases.alone)
            assert any(row.session_id == session_id for row in await s.pending())
            await s.pass_time(said + 22 - clock.monotonic())
            await s.news(session_id, "confirmed", message_id=message_id)
            await s.settled()
        assert platform.of(session_id).texts == ["said once"]


async def test_what_was_read_before_another_node_had_the_partition_does_not_count(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(f"sqlite:///{tmp_path / 'db'}") as real:
        store = FaultyStore(real)
        tried: list[int] = []

        async def handle(row: OutboxRow, settlement: Settlement) -> Outcome:
            tried.append(row.id)
            return Waiting(60.0)

        leases, metrics = Leases(store, clock, "a"), DeliveryMetrics(CollectorRegistry())
        outbox = Outbox(store, clock, {RunTurn: handle}, leases, Alarms(clock), metrics, MemoryBus())
        await outbox.start()
        committed = await begin(real, "s")
        (row,) = committed.outbox
        store.late.add("pending")
        # Not all of the session's log was seen here: the store is read.
        outbox.offer(committed)
        await until(clock, lambda: store.calls.count("pending") == 2)
        epochs = await real.claim("b", 5000, clock.now() + 10_000)
        await real.transact(Change(session_id="s", settle=settlement(row, epochs)))
        await real.release("b")
        await until(clock, lambda: leases.epoch(row.partition) > epochs[row.partition])
        store.late.clear()
        store.gate.set()
        await until(clock, lambda: store.calls.count("pending") == 3)
        await clock.advance(0.1)
        assert tried == []
        await outbox.stop()


async def test_a_confirmation_whose_owner_died_is_seen_by_who_would_send_again(
    postgres_url: str, clock: ManualClock
) -> None:
    """What a conversation is told and what it tells belong to different partitions: one may be nobody's for a while."""
    platform = Platform(clock, recognises=False)
    async with site(postgres_url, clock=clock, platform=platform) as s:
        async with opened(postgres_url) as store:
            other = Node(store, s.providers, s.clock, s.ids, s.settings, "other")
            await two_nodes(s, other)
            while True:
                session_id = await live_at(s, s.node)
                if other.delivery.leases.holds(inbox_partition(CONNECTION, platform.of(session_id).id)):
                    break
            await other.crash()
            platform.script("send", After(ProviderTimeout("no_answer")))
            message_id = await s.node.post(session_id, "said once")
            await s.until(lambda: bool(platform.of(session_id).messages))
            assert await s.news(session_id, "confirmed", message_id=message_id) == 200
            await s.settled()
        assert platform.of(session_id).texts == ["said once"]
        await s.node.post(session_id, "goes on")
        await s.until(lambda: platform.of(session_id).texts == ["said once", "goes on"])


async def test_news_are_shown_while_a_node_that_stops_waits_for_its_last_calls(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        sessions: list[str] = []
        while True:
            sessions.append(await s.node.hand_off())
            await s.live(sessions[-1])
            told = {inbox_partition(CONNECTION, s.platform.of(one).id): one for one in sessions}
            if busy := next((one for one in sessions if partition(one) in told), None):
                break
        shown = told[partition(busy)]
        s.platform.delay_s = lambda operation: 8.0
        await s.node.post(busy, "takes its time")
        await s.until(lambda: s.platform.in_flight[s.platform.of(busy).id] == 1)
        stopping = asyncio.create_task(s.node.delivery.stop())
        await s.pass_time(1)
        await s.news(shown, "agent_message", message_id="m", text="hello", agent_id="agent-1")
        await s.pass_time(2)
        assert not stopping.done()
        assert [message.text for message in await s.of_type(shown, LiveAgentMessage)] == ["hello"]
        await s.until(stopping.done)
        assert s.platform.of(busy).texts == ["takes its time"]


class Meanwhile(FaultyStore):
    """Something happens just before the news of one conversation are read."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def inbox_pending(self, partitions: Collection[int] | None = None) -> list[InboxRow]:
        """Let it happen, once; then read."""
        if self.meanwhile is not None and partitions is not None and len(partitions) == 1:
            work, self.meanwhile = self.meanwhile, None
            await work()
        return await self._inner.inbox_pending(partitions)


async def test_a_confirmation_that_is_applied_between_two_looks_is_not_overlooked(
    tmp_path: Path, clock: ManualClock
) -> None:
    platform = Platform(clock, recognises=False)
    async with site(tmp_path, clock=clock, platform=platform, wrap=Meanwhile) as s:
        assert isinstance(s.store, Meanwhile)
        session_id = await live_at(s, s.node)
        platform.script("send", After(ProviderTimeout("no_answer")))
        message_id = await s.node.post(session_id, "said once")
        await s.until(lambda: bool(platform.of(session_id).messages))
        handoff = (await s.session(session_id)).handoff
        assert handoff is not None
        confirmed = MessageConfirmed(at=clock.now(), handoff_id=handoff.id, message_id=message_id)
        s.store.meanwhile = partial(s.node.conversations.apply, session_id, confirmed)
        await s.settled()
        assert s.store.meanwhile is None
        assert platform.of(session_id).texts == ["said once"]


async def test_what_nobody_could_confirm_while_the_store_was_away_is_given_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The platform delivers again what was refused meanwhile, but not in the moment when the store is back."""
    platform = Platform(clock, recognises=False)
    async with site(tmp_path, clock=clock, platform=platform, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await live_at(s, s.node)
        platform.script("send", After(ProviderTimeout("no_answer")))
        message_id = await s.node.post(session_id, "said once")
        await s.until(lambda: bool(platform.of(session_id).messages))
        s.store.down.update({"session", "accept"})
        await s.pass_time(3)
        s.store.down.clear()
        await s.pass_time(2)
        await s.news(session_id, "confirmed", message_id=message_id)
        await s.settled()
        assert platform.of(session_id).texts == ["said once"]


async def test_news_that_were_about_to_be_processed_when_their_partition_left_are_taken_up_when_it_is_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        store, leases = s.store, s.node.delivery.leases
        session_id = await live_at(s, s.node)
        remote_id = s.platform.of(session_id).id
        news_of = inbox_partition(CONNECTION, remote_id)
        others = set(range(PARTITIONS)) - {news_of}
        # Not alone any more, it reads to which session the conversation belongs.
        await leases.release(keep={news_of, *list(others)[1:]})
        store.slow.add("links_by_remote")
        store.calls.clear()
        body = s.platform.news(remote_id, "agent_message", message_id="m", text="hello", agent_id="agent-1")
        assert await s.hook(body) == 200
        await until(clock, lambda: "links_by_remote" in store.calls)
        await leases.release(keep=others)
        store.slow.clear()
        store.gate.set()
        await s.until(lambda: leases.holds(news_of))
        await s.pass_time(2)
        assert [message.text for message in await s.of_type(session_id, LiveAgentMessage)] == ["hello"]


async def test_news_that_are_stored_and_not_read_yet_are_waited_for(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        store = s.store
        session_id = await live_at(s, s.node)
        remote_id = s.platform.of(session_id).id
        rest = set(range(PARTITIONS)) - {inbox_partition(CONNECTION, remote_id)}
        # Not alone any more, it reads what it has stored: another node may have stored something before it.
        await s.node.delivery.leases.release(keep=set(range(PARTITIONS)) - {rest.pop()})

        async def say(text: str, at: int) -> None:
            news = s.platform.news(remote_id, "agent_message", at=at, message_id=text, text=text, agent_id="agent-1")
            assert await s.hook(news) == 200

        await say("second", clock.now())
        async with asyncio.timeout(PATIENCE_S):
            while s.node.metric("warmline_inbox_depth") != 1:
                await asyncio.sleep(0)
                await asyncio.sleep(0.001)
        store.late.add("inbox_pending")
        store.calls.clear()
        await say("first", clock.now() - 10)
        await until(clock, lambda: "inbox_pending" in store.calls)
        await clock.advance(0.4)
        store.late.clear()
        store.gate.set()
        await s.pass_time(1)
        assert [message.text for message in await s.of_type(session_id, LiveAgentMessage)] == ["first", "second"]
