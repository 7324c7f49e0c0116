"""The webhook endpoint (webex-byoc.md §11.3): checks, stores, answers, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from support.delivery import CONNECTION, site
from support.faulty import FaultyStore
from warmline.delivery import DeliverySettings
from warmline.delivery.outbox import OutboxSettings
from warmline.domain import events as e
from warmline.testing import ManualClock

OUTCOME = "warmline_webhooks_total"


async def test_A30_forged_bodies_are_refused_and_not_kept(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        body = s.platform.news("r", "opened")
        assert await s.hook(body, headers={}) == 401
        assert await s.hook(body + b" ", headers=s.provider.sign(body)) == 401
        assert await s.store.inbox_pending() == []
        assert s.node.metric(OUTCOME, connection=CONNECTION, result="bad_signature") == 2


async def test_A85_each_path_tells_when_it_was_last_heard(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        heard = "warmline_webhook_last_received_seconds"
        assert await s.hook(s.platform.news("r", "foreign")) == 200
        assert await s.hook(b"not json") == 400
        await clock.advance(5)
        assert await s.hook(s.platform.news("r", "opened")) == 200
        assert s.node.metric(heard, connection=CONNECTION, endpoint="events") == clock.now() / 1000
        ((path, at),) = (await s.store.last_webhooks()).items()
        assert (path, at) == ((CONNECTION, "events"), clock.now())


async def test_malformed_bodies_are_refused(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        assert await s.hook(b"not json") == 400
        assert await s.hook(b"{}") == 400


async def test_A33_genuine_but_not_for_us_is_answered_and_not_kept(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        assert await s.hook(s.platform.news("r", "foreign")) == 200
        assert await s.store.inbox_pending() == []


async def test_A37_more_than_a_mebibyte_is_refused_however_it_comes(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        big = b"x" * (1024 * 1024 + 1)
        assert await s.hook(big) == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 65536

        url = f"{s.node.url}/hooks/scripted/{CONNECTION}/events"
        async with s.http.post(url, data=chunks()) as answer:
            assert answer.status == 413
        just_right = s.platform.news("r", "opened", padding="x" * (1024 * 1024 - 200))
        assert await s.hook(just_right) == 200


async def test_unknown_connections_are_not_found(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        body = s.platform.news("r", "opened")
        assert await s.hook(body, path="/hooks/scripted/nobody/events") == 404
        assert await s.hook(body, path=f"/hooks/other/{CONNECTION}/events") == 404
        async with s.http.get(f"{s.node.url}/hooks/scripted/{CONNECTION}/events") as answer:
            assert answer.status == 405


async def test_A36_a_store_out_of_reach_asks_for_another_delivery(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        s.store.down.add("accept")
        body = s.platform.news("r", "opened")
        asked = asyncio.create_task(s.hook(body))
        await s.until(asked.done, within_s=2.0)
        assert asked.result() == 503
        s.store.down.clear()
        assert await s.hook(body) == 200
        assert [row.key for row in await s.store.inbox_pending()] == ["news-1"]


async def test_a_store_that_is_back_in_a_moment_has_the_news_at_once(tmp_path: Path, clock: ManualClock) -> None:
    """As when the database moves to another machine: the contact centre may never deliver again what was refused."""
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        s.store.down.add("accept")
        asked = asyncio.create_task(s.hook(s.platform.news("r", "opened")))
        await s.until(lambda: s.store.calls.count("accept") >= 1)
        came = clock.now()
        s.store.down.clear()
        await s.until(asked.done, within_s=1.0)
        assert asked.result() == 200
        (row,) = await s.store.inbox_pending()
        assert row.received_at <= came < clock.now()


async def test_the_same_delivery_again_is_answered_and_kept_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        body = s.platform.news(
            s.platform.of(session_id).id, "agent_message", message_id="m", text="Hi", agent_id="agent-1"
        )
        assert [await s.hook(body) for _ in range(3)] == [200, 200, 200]
        await s.until(lambda: s.of_type(session_id, e.LiveAgentMessage))
        assert await s.hook(body) == 200
        await s.pass_time(2)
        assert len(await s.of_type(session_id, e.LiveAgentMessage)) == 1
        assert s.node.metric(OUTCOME, connection=CONNECTION, result="duplicate") == 3


async def test_A35_what_was_acknowledged_survives_a_crash(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        for n in range(5):
            await s.news(session_id, "agent_message", message_id=f"m{n}", text=f"{n}", agent_id="agent-1")
        await s.restart()

        async def all_there() -> bool:
            return len(await s.of_type(session_id, e.LiveAgentMessage)) == 5

        await s.until(all_there)
        assert [m.text for m in await s.of_type(session_id, e.LiveAgentMessage)] == list("01234")


async def test_A34_quick_answers_while_everything_behind_is_stuck(tmp_path: Path) -> None:
    async with site(tmp_path, settings=DeliverySettings(outbox=OutboxSettings(drain_s=0.1))) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.delay_s = lambda operation: 30.0
        for n in range(50):
            await s.node.post(session_id, f"stuck {n}")
        took: list[float] = []
        for n in range(100):
            began = time.perf_counter()
            assert await s.news(session_id, "agent_message", message_id=f"m{n}", text="x", agent_id="agent-1") == 200
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)
        assert sorted(took)[98] < 15.0, "what waited for the platform would wait 30 s"
