"""What is measured of messages between customers and contact centres."""

from pathlib import Path

import pytest

from support.delivery import CONNECTION, site
from warmline.delivery.relay_times import KEPT_MS, PACE_S, bucket_of
from warmline.handoff.contract import ProviderRejected
from warmline.ports import HOUR_MS, Leg, RelayCount
from warmline.testing import ManualClock


@pytest.mark.parametrize(
    ("ms", "bucket"), [(-5, 0), (0, 0), (1, 0), (2, 4), (3, 7), (4, 8), (1024, 40), (1 << 62, 120)]
)
def test_a_bucket_holds_what_takes_at_most_its_bound(ms: int, bucket: int) -> None:
    assert bucket_of(ms) == bucket
    assert ms <= 2 ** (bucket / 4) * 1.001 or bucket == 120


async def test_both_legs_and_failures_are_counted_and_what_is_old_is_forgotten(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        hour = (clock.now() - KEPT_MS) // HOUR_MS - 1
        old = RelayCount(connection_id=CONNECTION, hour=hour, leg=Leg.UP, bucket=1, messages=7)
        await s.store.add_relay_counts([old])
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.script("send", ProviderRejected("too_strange"))
        await s.node.post(session_id, "refused")
        await s.node.post(session_id, "one")
        await s.until(lambda: s.platform.of(session_id).texts == ["one"])
        await s.settled()
        counts: dict[Leg, int] = {}

        async def counted() -> bool:
            spreads = await s.store.relay_spreads([CONNECTION], since=0, until=clock.now() + 1)
            counts.update({leg: spread.count for (_, leg), spread in spreads.items()})
            return counts.get(Leg.UP) == 1 and len(counts) == len(Leg)

        await s.until(counted, within_s=2 * PACE_S)
        assert counts[Leg.FAILED] == 1
        assert counts[Leg.DOWN] >= 1, "the webhook that told of the agent"
