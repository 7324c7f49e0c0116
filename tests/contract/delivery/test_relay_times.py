"""What is measured of messages between customers and contact centres."""

from pathlib import Path

import pytest

from support.delivery import CONNECTION, site
from warmline.delivery.relay_times import PACE_S, bucket_of
from warmline.handoff.contract import ProviderRejected
from warmline.ports import Leg
from warmline.testing import ManualClock


@pytest.mark.parametrize(
    ("ms", "bucket"), [(-5, 0), (0, 0), (1, 0), (2, 4), (3, 7), (4, 8), (1024, 40), (1 << 62, 120)]
)
def test_a_bucket_holds_what_takes_at_most_its_bound(ms: int, bucket: int) -> None:
    assert bucket_of(ms) == bucket
    assert ms <= 2 ** (bucket / 4) * 1.001 or bucket == 120


async def test_both_legs_and_failures_are_counted(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        s.platform.script("send", ProviderRejected("too_strange"))
        await s.node.post(session_id, "refused")
        await s.node.post(session_id, "one")
        await s.until(lambda: s.platform.of(session_id).texts == ["one"])
        await s.settled()
        await clock.advance(PACE_S)
        spreads: dict[tuple[str, Leg], object] = {}

        async def read() -> None:
            spreads.update(await s.store.relay_spreads([CONNECTION], since=0, until=clock.now() + 1))

        for _ in range(200):
            await read()
            if spreads:
                break
        counts = {leg: spread.count for (_, leg), spread in spreads.items()}  # type: ignore[attr-defined]
        assert (counts[Leg.UP], counts[Leg.FAILED]) == (1, 1)
        assert counts[Leg.DOWN] >= 1, "the webhook that told of the agent"
