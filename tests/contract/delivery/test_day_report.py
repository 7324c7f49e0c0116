"""What the contact centre's own record of a day is compared with (webex-byoc.md §18.2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from structlog.testing import capture_logs

from support.delivery import CONNECTION, Site, site
from warmline.delivery.report import DAY_MS, DailyReports, DayReport, reports
from warmline.handoff.contract import ProviderUnavailable, RemoteState, RemoteStatus
from warmline.ports import Connection
from warmline.testing import ManualClock


class Archive:
    """A platform that lists what it is told to have had."""

    def __init__(self) -> None:
        self.had: list[RemoteState] = []
        self.asked: list[tuple[int, int]] = []
        self.down = False

    async def listed(self, since: int, until: int) -> Sequence[RemoteState]:
        self.asked.append((since, until))
        if self.down:
            raise ProviderUnavailable("unavailable")
        return self.had

    def get(self, connection_id: str) -> "Archive":
        return self


async def a_day(s: Site) -> tuple[Archive, DailyReports]:
    """Two conversations that are over here and one that goes on; the next day, early in the morning."""
    await s.store.save_connection(
        Connection(id=CONNECTION, provider="webex", name="Webex", project_id="project", values={})
    )
    archive = Archive()
    remotes = []
    for _ in range(3):
        session_id = await s.node.hand_off()
        await s.live(session_id)
        remotes.append(s.platform.of(session_id).id)
    for remote_id in remotes[:2]:
        await s.node.end_by_user(s.platform.conversations[remote_id].request.session_id)
    ended = s.clock.now()
    await s.settled()
    archive.had = [
        RemoteState(remote_id=remote_id, status=RemoteStatus.ENDED, ended_at=ended) for remote_id in remotes[:2]
    ]
    archive.had.append(RemoteState(remote_id=remotes[2], status=RemoteStatus.LIVE))
    assert isinstance(s.clock, ManualClock)
    return archive, DailyReports(s.store, cast(Any, archive), s.clock, s.node.delivery.leases)


async def test_a_day_on_which_both_sides_agree(tmp_path: Path) -> None:
    clock = ManualClock(DAY_MS * 20_000 + 12 * 3600_000)
    async with site(tmp_path, clock=clock) as s:
        archive, daily = await a_day(s)
        await daily.make()
        assert archive.asked == [(DAY_MS * 19_999, DAY_MS * 20_000)], "the last whole day"
        (made,) = await reports(s.store, CONNECTION)
        assert made == DayReport(day="2024-10-03", conversations=3)
        assert made.clean
        await daily.make()
        assert len(archive.asked) == 1, "once"


async def test_what_the_two_sides_know_differently_is_counted_and_told(tmp_path: Path) -> None:
    clock = ManualClock(DAY_MS * 20_000 + 12 * 3600_000)
    async with site(tmp_path, clock=clock) as s:
        archive, daily = await a_day(s)
        first, second, third = archive.had
        archive.had = [
            RemoteState(remote_id=first.remote_id, status=RemoteStatus.QUEUED),
            RemoteState(remote_id=second.remote_id, status=RemoteStatus.ENDED, ended_at=second.ended_at + 301_000),
            RemoteState(remote_id=third.remote_id, status=RemoteStatus.ENDED, ended_at=third.ended_at),
            RemoteState(remote_id="nobody knows", status=RemoteStatus.ENDED),
        ]
        with capture_logs() as logs:
            await daily.make()
        (made,) = await reports(s.store, CONNECTION)
        counts = {"unknown": 1, "open_there": 1, "open_here": 1, "ended_apart": 1}
        assert made == DayReport(day="2024-10-03", conversations=4, **counts)
        told = [entry for entry in logs if entry["event"] == "report.made"]
        assert [entry["log_level"] for entry in told] == ["warning"]
        assert "nobody knows" not in str(told)


async def test_a_platform_that_cannot_be_asked_is_asked_again(tmp_path: Path) -> None:
    clock = ManualClock(DAY_MS * 20_000 + 12 * 3600_000)
    async with site(tmp_path, clock=clock) as s:
        archive, daily = await a_day(s)
        archive.down = True
        await daily.make()
        assert await reports(s.store, CONNECTION) == []
        archive.down = False
        await daily.make()
        assert len(await reports(s.store, CONNECTION)) == 1
