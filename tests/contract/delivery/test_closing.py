"""The end of a conversation over there."""

from pathlib import Path

import pytest

from support.delivery import Site, site
from warmline.domain import events as e
from warmline.handoff.contract import ConversationGone, ProviderRejected, ProviderTimeout, ProviderUnavailable
from warmline.testing import ManualClock
from warmline.testing.provider import Fault

DOWN = ProviderUnavailable("unavailable")


def closes(s: Site) -> int:
    return sum(operation == "close" for operation, _ in s.platform.calls)


@pytest.mark.parametrize("faults", [(), (DOWN, DOWN), (ProviderTimeout("no_answer"),)])
async def test_the_customer_leaves_and_it_is_closed(
    tmp_path: Path, clock: ManualClock, faults: tuple[Fault, ...]
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.script("close", *faults)
        await s.node.post(session_id, "bye")
        await s.node.end_by_user(session_id)
        await s.settled()
        assert s.platform.of(session_id).closed == "REASON_USER_END"
        assert closes(s) == len(faults) + 1
        assert [type(event) for event in await s.log(session_id)].count(e.SessionEnded) == 1
        assert await s.store.dead() == []


async def test_it_is_closed_however_long_the_last_words_took(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.fault = lambda operation: DOWN
        await s.node.post(session_id, "bye")
        await s.node.end_by_user(session_id)
        await s.pass_time(330)
        s.platform.fault = lambda operation: None
        await s.settled()
        assert s.platform.of(session_id).texts == ["bye"]
        assert s.platform.of(session_id).closed == "REASON_USER_END"


async def test_an_outage_takes_no_attempt_away(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.fault = lambda operation: DOWN
        await s.node.post(session_id, "bye")
        await s.node.end_by_user(session_id)
        await s.pass_time(330)
        s.platform.fault = lambda operation: DOWN if operation == "close" and closes(s) < 4 else None
        await s.settled()
        assert s.platform.of(session_id).texts == ["bye"]
        assert s.platform.of(session_id).closed == "REASON_USER_END"
        assert await s.store.dead() == []


async def test_one_that_has_ended_already_is_success(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.script("close", ConversationGone("conversation_gone"))
        await s.node.end_by_user(session_id)
        await s.settled()
        assert await s.store.dead() == []


@pytest.mark.parametrize(("fault", "error"), [(DOWN, "unavailable"), (ProviderRejected("rejected"), "rejected")])
async def test_given_up_after_five_minutes_or_a_final_no(
    tmp_path: Path, clock: ManualClock, fault: Fault, error: str
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.fault = lambda operation: fault
        began = clock.monotonic()
        await s.node.end_by_user(session_id)
        await s.until(lambda: s.store.dead(), within_s=330)
        assert [row.last_error for row in await s.store.dead()] == [error]
        took = clock.monotonic() - began
        assert took == pytest.approx(300 if fault is DOWN else 0, abs=2)


async def test_a_handoff_that_never_opened_closes_nothing(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", ProviderRejected("rejected"))
        await s.node.hand_off()
        await s.settled()
        assert closes(s) == 0
