"""Short soaks (`make soak`): real processes, faults of everything, replayable by their seed."""

from soak import Plan, Result, soak

_FAST = (0.05, 1.2)


def check(result: Result) -> None:
    assert result.problems == []
    for count in (result.up, result.down):
        assert (count.lost, count.doubled, count.stray, count.reordered) == (0, 0, 0, 0)
    assert result.up.said + result.down.said == 100
    assert sum(result.deeds.values()) >= 1
    assert sum(result.faults.values()) >= 10


async def test_a_short_soak_of_one_node_loses_doubles_and_reorders_nothing() -> None:
    plan = Plan(store="sqlite", messages=100, conversations=10, seed=5, every_s=(3.0, 8.0), talk=(8, 12), pause_s=_FAST)
    check(await soak(plan))


async def test_a_short_soak_of_three_nodes_does_neither() -> None:
    plan = Plan(
        messages=100, conversations=10, seed=5, every_messages=(10, 20), talk=(8, 12), pause_s=_FAST, lease_s=2.0
    )
    check(await soak(plan))
