"""A short soak (`make soak`): real processes, faults of the contact centre, `kill -9`; replayable by its seed."""

import pytest

from soak import Plan, soak


@pytest.mark.timeout(115)
async def test_a_short_soak_loses_and_doubles_nothing() -> None:
    plan = Plan(messages=100, conversations=10, seed=5, kill_every_s=(3.0, 8.0), talk=(8, 12))
    result = await soak(plan)
    assert (result.up.lost, result.up.doubled, result.up.stray, result.up.reordered) == (0, 0, 0, 0)
    # Their order is judged by times that a busy machine blurs: docs/guarantees.md, "Soak".
    assert (result.down.lost, result.down.doubled, result.down.stray) == (0, 0, 0)
    assert result.up.said + result.down.said == 100
    assert result.kills >= 1
    assert sum(result.faults.values()) >= 10
