"""From stored webhooks to the customer: in order, once, whatever is late, doubled, unknown or broken."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from support.delivery import CONNECTION, Site, site
from support.faulty import FaultyStore
from warmline.domain import events as e
from warmline.ports import InboxRow
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S


async def live_session(s: Site) -> str:
    session_id = await s.node.hand_off()
    await s.live(session_id)
    return session_id


async def texts(s: Site, session_id: str) -> list[str]:
    return [message.text for message in await s.of_type(session_id, e.LiveAgentMessage)]


async def say(s: Site, session_id: str, text: str, **fields: object) -> None:
    await s.news(session_id, "agent_message", **{"message_id": text, "text": text, "agent_id": "agent-1", **fields})


def has(s: Site, session_id: str, *expected: str) -> object:
    async def check() -> bool:
        return await texts(s, session_id) == list(expected)

    return check


async def states(s: Site) -> dict[str, bool]:
    return {row.key: row.parked for row in await s.store.inbox_pending()}


async def test_race_2_news_before_the_answer_of_open_wait_for_the_link(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        early: list[str] = []
        told = asyncio.Event()
        s.platform.on_open = lambda conversation: early.append(conversation.id)
        s.platform.delay_s = lambda operation: 2.0 if not early else 0.0
        original = s.platform.open

        async def slow_answer(request: object) -> str:
            remote_id = await original(request)  # type: ignore[arg-type]
            await s.hook(s.platform.news(remote_id, "agent_joined", agent_id="agent-1"))
            await s.hook(s.platform.news(remote_id, "opened", at=clock.now() - 10))
            told.set()
            await clock.sleep(3.0)
            return remote_id

        s.platform.open = slow_answer  # type: ignore[method-assign]
        session_id = await s.node.hand_off()
        await s.until(lambda: bool(early))
        await asyncio.wait_for(told.wait(), PATIENCE_S)
        await s.pass_time(1.5)
        assert set((await states(s)).values()) == {True}
        await s.until(lambda: s.state_is(session_id, "live"))
        names = [type(event).__name__ for event in await s.log(session_id)]
        assert names[names.index("HandoffAccepted") + 1] == "LiveAgentJoined"
        assert await states(s) == {}


async def test_news_of_a_conversation_nobody_knows_are_dropped_after_ten_minutes(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        await s.hook(s.platform.news("somebody-elses", "opened"))
        await s.pass_time(2)
        assert await states(s) == {"news-1": True}
        await s.pass_time(590)
        assert await states(s) == {"news-1": True}
        await s.pass_time(20)
        assert await states(s) == {}
        assert s.node.metric("warmline_inbox_rows_total", result="dead") == 1
        assert s.node.metric("warmline_inbox_depth") == 0


async def test_two_looks_at_news_that_are_dropped_drop_them_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        await s.hook(s.platform.news("somebody-elses", "opened"))
        await s.pass_time(2)
        inbox = s.node.delivery.inbox
        (line,) = inbox._lines
        clock.leap(600)
        s.store.slow.add("finish_inbox")
        looks = [asyncio.create_task(inbox._look_again(line)) for _ in range(2)]
        await asyncio.sleep(0)
        s.store.gate.set()
        await asyncio.gather(*looks)
        assert await states(s) == {}
        assert s.node.metric("warmline_inbox_rows_total", result="dead") == 1


async def test_duplicates_are_recognised_for_more_than_a_week_and_then_forgotten(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        for days in (6, 9):
            row = InboxRow(
                id=0,
                connection_id=f"{days} days",
                endpoint="events",
                key="k",
                remote_id="r",
                received_at=clock.now() - days * 24 * 3600 * 1000,
                event_at=0,
                body=b"{}",
            )
            await s.store.finish_inbox(await s.store.accept(row) or 0, state="done")
        await s.pass_time(6)
        assert {connection for connection, _ in await s.store.last_webhooks()} == {"6 days"}


async def test_parked_news_survive_a_crash(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        await s.hook(s.platform.news("somebody-elses", "opened"))
        await s.pass_time(2)
        await s.restart()
        await s.pass_time(2)
        assert await states(s) == {"news-1": True}


async def test_a_link_saved_by_another_node_is_found(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        (link,) = await s.store.links_by_remote(CONNECTION, s.platform.of(session_id).id)
        await s.hook(s.platform.news("elsewhere", "agent_message", message_id="m", text="Hi", agent_id="agent-1"))
        await s.pass_time(1)
        await s.store.save_link(replace(link, remote_id="elsewhere"))
        await s.until(has(s, session_id, "Hi"), within_s=15)  # type: ignore[arg-type]


async def test_race_10_the_same_fact_with_a_new_timestamp_is_shown_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        for _ in range(3):
            await say(s, session_id, "Hi", fact="outbound/m1")
            await s.pass_time(1)
        assert await texts(s, session_id) == ["Hi"]
        assert s.node.metric("warmline_inbox_rows_total", result="repeated") == 2
        assert await states(s) == {}


async def test_race_4_a_message_before_the_join_joins_first_with_the_name(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.until(lambda: bool(s.platform.conversations))
        await say(s, session_id, "Hi")
        await s.until(has(s, session_id, "Hi"))  # type: ignore[arg-type]
        (joined,) = await s.of_type(session_id, e.LiveAgentJoined)
        assert joined.agent.name == "Ada"


async def test_what_cannot_be_understood_is_put_aside_and_holds_up_nothing(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.news(session_id, "agent_message", text="without an id")
        await say(s, session_id, "Hi")
        await s.until(has(s, session_id, "Hi"))  # type: ignore[arg-type]
        assert await states(s) == {}
        assert s.node.metric("warmline_inbox_rows_total", result="dead") == 1


async def test_A38_news_without_a_meaning_are_done(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        before = await s.log(session_id)
        await s.news(session_id, "on_hold")
        await s.pass_time(1)
        assert await states(s) == {}
        assert await s.log(session_id) == before


async def test_a_store_out_of_reach_delays_and_loses_nothing(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await live_session(s)
        s.store.down.add("transact")
        await say(s, session_id, "one")
        await s.pass_time(1)
        await say(s, session_id, "two")
        await s.pass_time(5)
        assert await texts(s, session_id) == []
        assert s.node.metric("warmline_inbox_oldest_seconds") >= 5
        s.store.down.clear()
        await s.until(has(s, session_id, "one", "two"))  # type: ignore[arg-type]


async def test_a_name_that_does_not_come_in_time_does_not_hold_up_the_message(tmp_path: Path) -> None:
    async with site(tmp_path) as s:
        session_id = await live_session(s)

        async def never(agent_id: str) -> None:
            await asyncio.Event().wait()

        s.provider.agent = never  # type: ignore[method-assign,assignment]
        await say(s, session_id, "Hi", agent_id="agent-2")
        await s.until(has(s, session_id, "Hi"))  # type: ignore[arg-type]
        (message,) = await s.of_type(session_id, e.LiveAgentMessage)
        assert message.agent is not None
        assert (message.agent.id, message.agent.name) == ("agent-2", "")


async def test_a_fresh_message_of_a_live_conversation_is_shown_within_milliseconds(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.pass_time(1)
        await say(s, session_id, "Hi")
        await clock.advance(0.004)
        assert await texts(s, session_id) == []
        await clock.advance(0.002)
        await s.pass_time(0.01)
        assert await texts(s, session_id) == ["Hi"]


async def test_an_old_message_waits_for_quiet(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.pass_time(1)
        await say(s, session_id, "late", at=clock.now() - 400)
        await s.pass_time(0.25)
        assert await texts(s, session_id) == []
        await say(s, session_id, "later", at=clock.now() - 700)
        await s.pass_time(0.25)
        assert await texts(s, session_id) == []
        await s.pass_time(0.1)
        assert await texts(s, session_id) == ["later", "late"]


async def test_A27_two_that_arrive_together_are_sorted(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.pass_time(1)
        now = clock.now()
        await say(s, session_id, "second", at=now)
        await say(s, session_id, "first", at=now - 5)
        await s.until(has(s, session_id, "first", "second"))  # type: ignore[arg-type]


async def test_after_a_reordering_the_connection_gets_full_windows_for_a_while(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.pass_time(1)
        await say(s, session_id, "second", at=clock.now())
        await s.pass_time(0.05)
        await say(s, session_id, "first", at=clock.now() - 100)
        await s.pass_time(1)
        assert s.node.metric("warmline_inbox_reordered_total", connection=CONNECTION) == 1
        await say(s, session_id, "fresh")
        await s.pass_time(0.2)
        assert "fresh" not in await texts(s, session_id)
        await s.pass_time(600)
        await say(s, session_id, "fresh again")
        await s.pass_time(0.05)
        assert "fresh again" in await texts(s, session_id)


async def test_after_a_restart_amid_traffic_the_connection_gets_full_windows(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.restart()
        await s.pass_time(1)
        await say(s, session_id, "second", at=clock.now())
        await s.pass_time(0.1)
        await say(s, session_id, "first", at=clock.now() - 150)
        await s.until(has(s, session_id, "first", "second"))  # type: ignore[arg-type]


async def test_news_that_arrive_during_a_start_do_not_overtake_what_was_left(tmp_path: Path) -> None:
    async with site(tmp_path, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await live_session(s)
        await say(s, session_id, "left unprocessed", at=s.clock.now() - 1000)
        s.store.slow.add("inbox_pending")
        old = s.node
        starting = asyncio.create_task(s.restart())
        await s.until(lambda: s.node is not old and bool(s.node.url))
        # Connections are known and the door is open before what was left has been read.
        assert await s.news(session_id, "agent_message", message_id="m", text="new", agent_id="agent-1") == 200
        await s.pass_time(0.5)
        assert await texts(s, session_id) == []
        s.store.gate.set()
        await starting
        await s.until(has(s, session_id, "left unprocessed", "new"))  # type: ignore[arg-type]


async def test_one_that_is_stored_slowly_is_waited_for(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        store = s.store
        assert isinstance(store, FaultyStore)
        session_id = await live_session(s)
        await say(s, session_id, "second", at=clock.now() - 1000)
        store.late.add("accept")
        store.answered.clear()
        slow = asyncio.create_task(say(s, session_id, "first", at=clock.now() - 1100))
        async with asyncio.timeout(PATIENCE_S):
            while "accept" not in store.answered:  # noqa: ASYNC110  (what is waited for tells nobody)
                await asyncio.sleep(0.005)
        for _ in range(12):
            await clock.advance(0.1)
            await asyncio.sleep(0.005)
        assert await texts(s, session_id) == []
        s.store.gate.set()
        await slow
        await s.until(has(s, session_id, "first", "second"))  # type: ignore[arg-type]


async def test_confirmations_do_not_wait(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        message_id = await s.node.post(session_id, "hello")
        await s.settled()
        await s.news(session_id, "confirmed", message_id=message_id)
        await s.pass_time(0.001)
        assert len(await s.of_type(session_id, e.MessageReceived)) == 1


async def test_the_end_waits_for_messages_still_under_way(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.pass_time(1)
        await s.news(session_id, "ended")
        await s.pass_time(0.2)
        await say(s, session_id, "Bye!", at=clock.now() + 1)
        await s.until(lambda: s.of_type(session_id, e.SessionEnded))
        names = [type(event).__name__ for event in await s.log(session_id)]
        assert names[-3:] == ["LiveAgentMessage", "LiveAgentLeft", "SessionEnded"]


async def view(s: Site, session_id: str) -> list[str]:
    shown = []
    for event in await s.log(session_id):
        shown.append(f"{type(event).__name__} {getattr(event, 'text', '')}".strip())
    return shown


def story(s: Site, remote_id: str, base: int) -> list[bytes]:
    """The webhooks of one conversation, in order, some of them twice with a new timestamp."""
    steps: list[tuple[str, dict[str, object]]] = [
        ("opened", {}),
        ("queued", {"queue": "support"}),
        ("agent_joined", {"agent_id": "agent-1"}),
        ("agent_message", {"message_id": "m1", "text": "Hi, I am Ada.", "agent_id": "agent-1"}),
        ("agent_message", {"message_id": "m2", "text": "How can I help?", "agent_id": "agent-1"}),
        ("agent_message", {"message_id": "m3", "text": "I see.", "agent_id": "agent-1"}),
        ("agent_left", {}),
        ("agent_joined", {"agent_id": "agent-2"}),
        ("agent_message", {"message_id": "m4", "text": "Hello, Bob here.", "agent_id": "agent-2"}),
        ("ended", {}),
    ]
    bodies = []
    for n, (kind, fields) in enumerate(steps):
        at = base + 20 * n
        bodies.append(s.platform.news(remote_id, kind, at=at, fact=f"{remote_id}/{n}", **fields))
        if n % 3 == 0:
            bodies.append(s.platform.news(remote_id, kind, at=at + 3, fact=f"{remote_id}/{n}", **fields))
    return bodies


async def test_A68_any_order_and_any_repetition_give_the_same_view(tmp_path: Path, clock: ManualClock) -> None:
    """A hundred conversations side by side, each with its webhooks in an order of its own, many delivered twice."""
    chance = random.Random(7)
    async with site(tmp_path, clock=clock) as s:
        s.platform.agents["agent-2"] = "Bob"
        sessions = [await s.node.hand_off() for _ in range(101)]
        await s.until(lambda: len(s.platform.conversations) == 101)
        await s.pass_time(1)
        base = clock.now()
        remotes = {r.request.session_id: r.id for r in s.platform.conversations.values()}
        deliveries = [story(s, remotes[session_id], base) for session_id in sessions]
        for bodies in deliveries[1:]:
            bodies += chance.sample(bodies, 4)
            chance.shuffle(bodies)
        for turn in range(max(map(len, deliveries))):
            arriving = [bodies[turn] for bodies in deliveries if turn < len(bodies)]
            for n in range(0, len(arriving), 50):
                assert set(await asyncio.gather(*map(s.hook, arriving[n : n + 50]))) == {200}
            await clock.advance(0.03)

        async def processed() -> bool:
            return not await s.store.inbox_pending()

        await s.until(processed)
        expected = await view(s, sessions[0])
        assert expected[-1] == "SessionEnded"
        assert [line for line in expected if line.startswith("LiveAgentMessage")] == [
            "LiveAgentMessage Hi, I am Ada.",
            "LiveAgentMessage How can I help?",
            "LiveAgentMessage I see.",
            "LiveAgentMessage Hello, Bob here.",
        ]
        for session_id in sessions[1:]:
            assert await view(s, session_id) == expected
