"""A short soak (`make soak`): real processes, faults of the contact centre, `kill -9`; replayable by its seed."""

import pytest

from soak import Plan, soak


@pytest.mark.timeout(115)
async def test_a_short_soak_loses_doubles_and_reorders_nothing() -> None:
    plan = Plan(messages=100, conversations=10, seed=5, kill_every_s=(3.0, 8.0), talk=(8, 12))
    result = await soak(plan)
    assert result.problems == []
    for count in (result.up, result.down):
        assert (count.lost, count.doubled, count.stray, count.reordered) == (0, 0, 0, 0)
    assert result.up.said + result.down.said == 100
    assert result.kills >= 1
    assert sum(result.faults.values()) >= 10
