"""What is looked up when news may have got lost, and what is not."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry

from support.delivery import Site, site
from warmline.delivery.links import Links
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.reconcile import Reconciler
from warmline.delivery.views import SessionViews
from warmline.domain import events as e
from warmline.handoff.contract import OpenRequest, RemoteState, RemoteStatus
from warmline.ports import Link
from warmline.testing import ManualClock


class Archive:
    """A platform that can be asked, and says that everything is over."""

    doubted_at = 0

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def look_up(self, remote_ids: Sequence[str]) -> Mapping[str, RemoteState]:
        self.asked += remote_ids
        return {remote_id: RemoteState(remote_id=remote_id, status=RemoteStatus.ENDED) for remote_id in remote_ids}

    def belongs(self, state: RemoteState, request: OpenRequest) -> bool:
        return False

    def get(self, connection_id: str) -> "Archive":
        return self


async def started(s: Site, archive: Archive, over: Callable[[Link], None] | None = None) -> Reconciler:
    """A reconciler as it is after a restart."""
    node = s.node
    metrics = DeliveryMetrics(CollectorRegistry())
    views, links = SessionViews(node.way), Links(node.way)
    reconciler = Reconciler(
        node.way, cast(Any, archive), node.conversations, links, views, s.clock, metrics, node.delivery.leases
    )
    if over is not None:
        reconciler.on_over(over)
    await reconciler.start()
    return reconciler


async def test_after_a_restart_open_conversations_are_looked_up_when_redeliveries_had_their_chance(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        archive = Archive()
        reconciler = await started(s, archive)
        await s.pass_time(5)
        assert archive.asked == []
        await s.pass_time(8)
        assert archive.asked == [s.platform.of(session_id).id]
        assert len(await s.of_type(session_id, e.SessionEnded)) == 1
        await reconciler.stop()


async def test_one_that_was_refused_and_is_tried_again_is_not_taken_for_ended(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.until(lambda: len(s.platform.conversations) == 1)
        await s.pass_time(1)
        await s.news(session_id, "refused", retry_after=30.0)
        await s.pass_time(1)
        archive = Archive()
        reconciler = await started(s, archive)
        await s.pass_time(20)
        assert archive.asked == []
        await reconciler.stop()
        assert await s.of_type(session_id, e.HandoffFailed) == []


async def test_an_end_that_was_not_proved_before_a_crash_is_looked_after_by_the_next_process(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        await s.node.end_by_user(session_id)
        await s.settled()
        await s.pass_time(20)
        archive = Archive()
        reconciler = await started(s, archive)
        await s.pass_time(13)
        assert archive.asked == [s.platform.of(session_id).id]
        await s.pass_time(40)
        assert len(archive.asked) == 1
        await reconciler.stop()


async def test_the_transcript_of_one_that_ended_is_wanted_also_if_the_process_died_right_after_the_end(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        live, queued = await s.node.hand_off(), await s.node.hand_off()
        await s.live(live)
        await s.until(lambda: len(s.platform.conversations) == 2)
        await s.news(queued, "opened")
        await s.until(lambda: s.state_is(queued, "queued"))
        for session_id in (live, queued):
            await s.node.end_by_user(session_id)
        await s.settled()
        wanted: list[str] = []
        archive = Archive()
        reconciler = await started(s, archive, lambda link: wanted.append(link.session_id))
        await s.pass_time(1)
        assert wanted == [live]
        await reconciler.stop()
