"""What delivery tells in numbers: how handoffs end, and how long messages take each way."""

from pathlib import Path

from support.delivery import CONNECTION, Site, site
from warmline.domain import events as e
from warmline.handoff.contract import ProviderRejected
from warmline.testing import ManualClock


def ended(s: Site) -> dict[str, float]:
    outcomes = ("finished", "failed", "timed_out", "customer_left")
    found = {o: s.node.metric("warmline_handoffs_over_total", connection=CONNECTION, outcome=o) for o in outcomes}
    return {outcome: count for outcome, count in found.items() if count}


async def test_handoffs_are_counted_once_by_their_outcome(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        finished = await s.node.hand_off()
        await s.live(finished)
        await s.news(finished, "ended")
        await s.until(lambda: s.of_type(finished, e.SessionEnded))
        # It is counted after it can be read.
        await s.until(lambda: ended(s) == {"finished": 1})

        impatient = await s.node.hand_off()
        await s.live(impatient)
        await s.node.end_by_user(impatient)
        assert ended(s) == {"finished": 1, "customer_left": 1}

        s.platform.script("open", ProviderRejected("no_such_queue"))
        failed = await s.node.hand_off()
        await s.until(lambda: s.of_type(failed, e.HandoffFailed))
        await s.node.end_by_user(failed)
        assert ended(s) == {"finished": 1, "customer_left": 1, "failed": 1}


async def test_both_legs_are_measured_in_seconds(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        before = {leg: sums(s, leg) for leg in ("up", "down")}
        s.platform.delay_s = lambda operation: 3.0
        await s.node.post(session_id, "hello")
        await s.settled()
        count, seconds = sums(s, "up")
        assert count == before["up"][0] + 1
        assert 3.0 <= seconds - before["up"][1] < 4.5
        await s.news(session_id, "agent_message", message_id="a", text="hi", agent_id="agent-1")
        await s.until(lambda: s.of_type(session_id, e.LiveAgentMessage))
        count, seconds = sums(s, "down")
        assert count == before["down"][0] + 1
        assert 0 <= seconds - before["down"][1] < 1


def sums(s: Site, leg: str) -> tuple[float, float]:
    name = "warmline_relay_leg_seconds"
    count, total = (s.node.metric(f"{name}_{part}", connection=CONNECTION, leg=leg) for part in ("count", "sum"))
    return count, total
