"""A confirmation is stored together with what it means; where that does not go, it is stored first as all news are."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from support.delivery import CONNECTION, Node, Platform, Site, site
from support.faulty import FaultyStore
from support.linked_bus import linked
from support.stores import opened
from warmline.domain import events as e
from warmline.handoff.contract import ProviderTimeout
from warmline.ports import Change, Committed, Store, inbox_partition
from warmline.testing import ManualClock
from warmline.testing.provider import After


class OvertakenStore(FaultyStore):
    """A store in which something else is stored right before the next webhook's meaning."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.first: Callable[[], Awaitable[object]] | None = None

    async def transact(self, change: Change) -> Committed:
        """Apply the change, after the other one if it comes from a webhook."""
        if self.first is not None and (change.inbox_row is not None or change.inbox_done is not None):
            first, self.first = self.first, None
            await first()
        return await self._inner.transact(change)


async def sent(s: Site, session_id: str, text: str) -> str:
    """A message of the customer that the contact centre has and did not confirm; returns its id."""
    message_id = await s.node.post(session_id, text)
    await s.settled()
    return message_id


async def received(s: Site, session_id: str) -> list[str]:
    return [event.message_id for event in await s.of_type(session_id, e.MessageReceived)]


async def live_session(s: Site) -> str:
    session_id = await s.node.hand_off()
    await s.live(session_id)
    await s.settled()
    return session_id


async def test_a_confirmation_needs_one_commit_and_is_shown_when_it_is_answered(tmp_path: Path) -> None:
    async with site(tmp_path, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await live_session(s)
        message_id = await sent(s, session_id, "Hello")
        s.store.calls.clear()
        assert await s.news(session_id, "confirmed", message_id=message_id) == 200
        assert await received(s, session_id) == [message_id]
        written = [call for call in s.store.calls if call in ("transact", "accept", "finish_inbox")]
        assert written == ["transact"]
        assert await s.store.inbox_pending() == []
        assert s.node.metric("warmline_inbox_rows_total", result="applied") >= 1
        assert s.node.metric("warmline_inbox_depth") == 0


async def test_the_same_delivery_again_is_a_duplicate_also_after_a_crash(tmp_path: Path) -> None:
    async with site(tmp_path) as s:
        session_id = await live_session(s)
        message_id = await sent(s, session_id, "Hello")
        body = s.platform.news(s.platform.of(session_id).id, "confirmed", message_id=message_id)
        assert await s.hook(body) == await s.hook(body) == 200
        await s.restart()
        assert await s.hook(body) == 200
        await s.settled()
        assert await received(s, session_id) == [message_id]
        assert s.node.metric("warmline_webhooks_total", connection=CONNECTION, result="duplicate") == 1


async def test_many_confirmations_at_once_each_count_once(tmp_path: Path) -> None:
    async with site(tmp_path) as s:
        session_id = await live_session(s)
        ids = [await sent(s, session_id, f"message {n}") for n in range(8)]
        remote_id = s.platform.of(session_id).id
        bodies = [s.platform.news(remote_id, "confirmed", message_id=message_id) for message_id in ids]
        assert set(await asyncio.gather(*map(s.hook, bodies * 3))) == {200}
        await s.until(lambda: not s.node.metric("warmline_inbox_depth"))
        assert sorted(await received(s, session_id)) == sorted(ids)
        assert (await s.session(session_id)).handoff.undelivered == ()  # type: ignore[union-attr]


async def test_a_confirmation_that_cannot_be_applied_now_is_kept_and_applied_later(tmp_path: Path) -> None:
    async with site(tmp_path, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await live_session(s)
        message_id = await sent(s, session_id, "Hello")
        s.store.down.add("transact")
        assert await s.news(session_id, "confirmed", message_id=message_id) == 200
        assert [row.parked for row in await s.store.inbox_pending()] == [False]
        s.store.down.clear()

        async def applied() -> bool:
            return await received(s, session_id) == [message_id]

        await s.until(applied)


async def test_a_confirmation_waits_for_confirmations_before_it(tmp_path: Path) -> None:
    async with site(tmp_path, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await live_session(s)
        first, second = await sent(s, session_id, "one"), await sent(s, session_id, "two")
        s.store.down.add("transact")
        await s.news(session_id, "confirmed", message_id=first)
        s.store.down.clear()
        await s.news(session_id, "confirmed", message_id=second)

        async def both() -> bool:
            return await received(s, session_id) == [first, second]

        await s.until(both)


async def test_an_end_that_overtakes_the_confirmation_leaves_no_doubt(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, platform=Platform(clock, recognises=False), wrap=OvertakenStore) as s:
        assert isinstance(s.store, OvertakenStore)
        await says_goodbye(s, s.store, s.node, await live_session(s))


async def test_an_end_that_overtakes_the_confirmation_leaves_no_doubt_between_nodes(
    postgres_url: str, clock: ManualClock
) -> None:
    here, there = linked()
    platform = Platform(clock, recognises=False)
    async with site(postgres_url, clock=clock, platform=platform, wrap=OvertakenStore, bus=here) as s:
        assert isinstance(s.store, OvertakenStore)
        async with opened(postgres_url) as store:
            other = Node(store, s.providers, s.clock, s.ids, s.settings, "other", bus=there)
            await other.start()
            await s.until(lambda: len(other.delivery.leases.held) == len(s.node.delivery.leases.held) == 32)
            while True:
                session_id = await live_session(s)
                if s.node.delivery.leases.holds(inbox_partition(CONNECTION, s.platform.of(session_id).id)):
                    break
            await says_goodbye(s, s.store, other, session_id)
            await other.stop()


async def says_goodbye(s: Site, store: OvertakenStore, ending: Node, session_id: str) -> None:
    """The contact centre has the last words, does not answer, and confirms in the moment of the customer's leaving."""
    s.platform.script("send", After(ProviderTimeout("no_answer")))
    message_id = await s.node.post(session_id, "goodbye")
    await s.until(lambda: s.platform.of(session_id).texts == ["goodbye"])
    store.first = lambda: ending.end_by_user(session_id)
    assert await s.news(session_id, "confirmed", message_id=message_id) == 200
    await s.until(lambda: s.platform.of(session_id).closed is not None, within_s=90)
    assert store.first is None
    assert s.platform.of(session_id).texts == ["goodbye"]
