"""Races of webex-byoc.md §17 that are about the upkeep of a connection, and transcripts (§18.3)."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from support.delivery import CONNECTION
from support.scripted_http import Reply, ScriptedServer
from support.webex import ASSET_SECRET, raw, signature
from support.webex_site import ADA, WebexSite, webex_site
from warmline.handoff.contract import ProviderUnavailable
from warmline.handoff.providers.webex.inspect import clock_verdict
from warmline.testing import ManualClock

DOWN = ProviderUnavailable("unavailable")


@pytest.fixture
async def w(tmp_path: Path, clock: ManualClock) -> AsyncIterator[WebexSite]:
    """A site with one Webex connection."""
    async with webex_site(tmp_path, clock) as made:
        yield made


async def test_A63_race_24_events_come_and_no_agents_words(w: WebexSite) -> None:
    sessions = []
    with capture_logs() as logs:
        for _ in range(3):
            session_id, task_id = await w.live()
            await w.tell("task_ended", task_id)
            await w.s.until(lambda session_id=session_id: w.s.state_is(session_id, "ended"))
            sessions.append(session_id)
    # The lifecycle works all the same; the operator hears of what is missing, once.
    assert [(await w.view(session_id))[-1] for session_id in sessions] == ["SessionEnded"] * 3
    assert [entry["event"] for entry in logs].count("webex.asset_webhook_silent") == 1


async def test_A66_race_27_a_clock_that_is_off_refuses_what_seems_stale_and_is_counted(w: WebexSite) -> None:
    session_id, task_id = await w.live()

    async def tell(off_s: int) -> int:
        made = w.message(task_id, str(uuid.uuid4()), f"off by {off_s} s", agent=ADA)
        made["comciscotimestamp"] += off_s * 1000
        body = raw(made)
        stamp = {"X-WebexCC-Timestamp": str(made["comciscotimestamp"])}
        headers = {"X-WebexCC-Signature": signature(body, ASSET_SECRET), **stamp}
        return await w.s.hook(body, headers=headers, path=f"/hooks/webex/{CONNECTION}/asset")

    assert [await tell(off_s) for off_s in (-301, 301, -299, 0)] == [403, 403, 200, 200]
    await w.calm()
    shown = [line for line in await w.view(session_id) if line.startswith("LiveAgentMessage")]
    assert shown == ["LiveAgentMessage off by -299 s", "LiveAgentMessage off by 0 s"]
    assert w.s.node.metric("warmline_webhooks_total", connection=CONNECTION, result="stale") == 2
    assert not clock_verdict(301).ok, "doctor names the clock"


async def test_A67_race_28_a_secret_rotated_on_one_side_is_accepted_for_a_day(w: WebexSite) -> None:
    session_id, task_id = await w.live()
    until = w.s.clock.now() + 24 * 3600 * 1000
    rotated = {"asset_webhook_secret": "n" * 64, "asset_webhook_secret_previous": ASSET_SECRET}
    w.webex._secrets |= {**rotated, "asset_webhook_secret_previous_until": str(until)}

    async def tell(text: str, secret: str) -> int:
        body = raw(w.message(task_id, str(uuid.uuid4()), text, agent=ADA))
        headers = {"X-WebexCC-Signature": signature(body, secret)}
        status = await w.s.hook(body, headers=headers, path=f"/hooks/webex/{CONNECTION}/asset")
        await w.calm()
        return status

    assert [await tell("old", ASSET_SECRET), await tell("new", "n" * 64), await tell("bad", "b" * 64)] == [
        200,
        200,
        401,
    ]
    shown = [line for line in await w.view(session_id) if line.startswith("LiveAgentMessage")]
    assert shown == ["LiveAgentMessage old", "LiveAgentMessage new"]
    await w.s.clock.advance(24 * 3600)  # type: ignore[attr-defined]
    assert [await tell("old", ASSET_SECRET), await tell("new", "n" * 64)] == [401, 200]


async def test_A83_the_transcript_is_fetched_when_it_is_there_and_kept(w: WebexSite) -> None:
    async with ScriptedServer() as server:
        server.always("GET /transcript", Reply(body={"messages": [{"text": "Hello"}]}))
        session_id, task_id = await w.live()
        w.far.script("transcript", None, DOWN)
        await w.tell("task_ended", task_id)
        await w.s.until(lambda: w.s.state_is(session_id, "ended"))
        await w.s.pass_time(80)
        (wanted,) = await w.s.store.transcripts(session_id)
        assert (wanted.tries, wanted.content, wanted.next_at) == (1, None, wanted.ended_at + 300_000)
        w.far.transcripts[task_id] = f"{server.url}/transcript"
        await w.restart()

        async def here() -> bool:
            return (await w.s.store.transcripts(session_id))[0].content is not None

        await w.s.until(here, within_s=1200)
        (kept,) = await w.s.store.transcripts(session_id)
    assert (kept.remote_id, kept.next_at) == (task_id, 0)
    assert b'"text": "Hello"' in (kept.content or b"")
    assert "Hello" not in " ".join(await w.view(session_id)), "it is not pushed to the customer"


async def test_A83_the_news_that_a_transcript_is_there_has_it_fetched_at_once(w: WebexSite) -> None:
    async with ScriptedServer() as server:
        server.always("GET /transcript", Reply(body={"messages": [{"text": "Hello"}]}))
        session_id, task_id = await w.live()
        await w.tell("task_ended", task_id)
        await w.s.until(lambda: w.s.state_is(session_id, "ended"))
        await w.s.pass_time(10)
        w.far.transcripts[task_id] = f"{server.url}/transcript"
        data = {"taskId": task_id, "channelType": "customMessaging"}
        ready = {"id": str(uuid.uuid4()), "type": "capture:available", "data": data}
        assert await w.deliver(ready) == 200
        await w.s.pass_time(16)
        (kept,) = await w.s.store.transcripts(session_id)
    assert b'"text": "Hello"' in (kept.content or b"")
    assert await w.s.store.inbox_pending() == []


async def test_A83_a_transcript_that_never_comes_is_given_up_after_a_day(w: WebexSite) -> None:
    session_id, task_id = await w.live()
    await w.tell("task_ended", task_id)
    await w.s.until(lambda: w.s.state_is(session_id, "ended"))

    async def given_up() -> bool:
        return (await w.s.store.transcripts(session_id))[0].next_at == 0

    # The wish for it follows the end.
    while not await w.s.store.transcripts(session_id):
        await w.s.pass_time(1)
    while not await given_up():
        # Hours in few steps: the worker looks every 15 seconds.
        (wanted,) = await w.s.store.transcripts(session_id)
        await w.s.clock.advance(max(0.0, (wanted.next_at - w.s.clock.now()) / 1000))  # type: ignore[attr-defined]
        await w.s.pass_time(16)
    (wanted,) = await w.s.store.transcripts(session_id)
    assert (wanted.tries, wanted.content) == (6, None)
    assert w.s.clock.now() - wanted.ended_at < (24 * 3600 + 120) * 1000


async def test_A19_a_later_part_of_the_brief_that_failed_after_all_is_sent_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    says = tuple(f"line {number} " + "x" * 60 for number in range(5))
    async with webex_site(tmp_path, clock, **{"policy.max_chars": "150"}) as w:
        session_id, task_id = await w.queued(says=says)
        await w.s.settled()
        before = list(w.far.appends)
        assert len(before) >= 2
        part = before[1]
        await w.fails(task_id, "INTERNAL_ERROR", alias=part[1])
        await w.s.pass_time(1)
        assert w.far.appends == before, "not at once"
        await w.restart()
        await w.s.until(lambda: len(w.far.appends) > len(before))
        assert w.far.appends == [*before, part]
        await w.fails(task_id, "INVALID_CONTENT", alias=part[1])
        await w.s.node.post(session_id, "hello?")
        await w.s.until(lambda: w.far.appends[-1][2] == "hello?")
        assert len(w.far.appends) == len(before) + 2, "what is not allowed is not sent again"
        assert count_failures(await w.view(session_id)) == 0


def count_failures(view: list[str]) -> int:
    return sum(line.startswith("SystemNotice") for line in view)
