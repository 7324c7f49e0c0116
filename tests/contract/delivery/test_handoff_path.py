"""A handoff from the request to the end, through outbox and inbox, over real HTTP and a real store."""

from pathlib import Path

from support.delivery import site
from warmline.domain import events as e
from warmline.testing import ManualClock


async def test_A85_handoffs_under_way_are_counted_by_state(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        states = ("requested", "queued", "live", "transferring")

        def counts() -> list[float]:
            return [s.node.metric("warmline_handoffs", state=state) for state in states]

        assert counts() == [0, 0, 0, 0]
        first = await s.node.hand_off()
        await s.live(first)
        await s.node.hand_off()
        assert counts() == [1, 0, 1, 0]
        await s.news(first, "ended")
        await s.until(lambda: s.of_type(first, e.SessionEnded))
        assert counts() == [1, 0, 0, 0]


async def test_relays_both_ways_in_order(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off(says=("One moment.",))
        typed_early = [await s.node.post(session_id, f"early {i}") for i in range(3)]
        await s.live(session_id)
        await s.until(lambda: len(s.platform.of(session_id).messages) == 3)
        await s.node.post(session_id, "late")
        await s.until(lambda: len(s.platform.of(session_id).messages) == 4)
        assert s.platform.of(session_id).texts == ["early 0", "early 1", "early 2", "late"]
        assert [m.message_id for m in s.platform.of(session_id).messages[:3]] == typed_early

        assert await s.news(session_id, "agent_message", message_id="m1", text="Hi", agent_id="agent-1") == 200
        await s.until(lambda: s.of_type(session_id, e.LiveAgentMessage))
        (message,) = await s.of_type(session_id, e.LiveAgentMessage)
        assert (message.text, message.agent and message.agent.name) == ("Hi", "Ada")
        await s.news(session_id, "ended")
        await s.until(lambda: s.of_type(session_id, e.SessionEnded))
        await s.settled()
        assert await s.store.inbox_pending() == []
        assert [type(x).__name__ for x in (await s.log(session_id))[-2:]] == ["LiveAgentLeft", "SessionEnded"]
