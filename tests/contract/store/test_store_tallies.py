"""Hours that are counted for good: always the same numbers as if everything was counted anew."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import pytest

from support.stores import opened
from warmline.conversation.tallies import SETTLED_MS, Tallies
from warmline.domain.catalog import Entry, Followed, HandoffFacts, Outcome, Stage
from warmline.ports import COUNTED_DAYS, HOUR_MS, Erasure, Period, Statistics, Store
from warmline.testing.clock import ManualClock

DAY_MS = 24 * HOUR_MS
NOW = 20_000 * DAY_MS + 15 * HOUR_MS
"""In the afternoon of some day."""
END = NOW // DAY_MS * DAY_MS + DAY_MS
MONTH = Period(project_id="p1", since=END - 30 * DAY_MS, until=END, step=DAY_MS)
HOURS = Period(project_id="p1", since=NOW - 23 * HOUR_MS, until=NOW + HOUR_MS, step=HOUR_MS)
PERIODS = (
    *(MONTH, HOURS, replace(MONTH, since=END - 7 * DAY_MS), replace(MONTH, sandbox=True), replace(HOURS, sandbox=True)),
    *(replace(MONTH, project_id="p2"), replace(HOURS, since=HOURS.since + 7), replace(MONTH, until=END - HOUR_MS // 2)),
)


class HastyClock(ManualClock):
    """Nobody has to wait."""

    async def sleep(self, seconds: float) -> None:
        """Only let others run."""
        await asyncio.sleep(0)


def conversation(number: int, chance: random.Random) -> Followed:
    """Any conversation of the last month, more of them lately; a third was handed over."""
    at = NOW - round(30 * DAY_MS * chance.random() ** 3)
    sandbox = "sandbox" if number % 9 == 0 else "live"
    base = Entry(session_id=f"s{number}", project_id="p2" if number % 7 == 0 else "p1", started_at=at, sequence=1)
    entry = replace(base, environment=sandbox, messages=chance.randrange(9), updated_at=at)
    entry = replace(entry, stage=chance.choice((Stage.ENDED, Stage.ENDED, Stage.LIVE)))
    if number % 3:
        return Followed(entry=entry)
    facts = HandoffFacts(
        id=f"h{number}",
        session_id=entry.session_id,
        project_id=entry.project_id,
        environment=sandbox,
        connection_id=f"c{number % 2}",
        reason=chance.choice(("bill", "moving", "")),
        requested_at=at + chance.randrange(3 * HOUR_MS),
    )
    waits = {"accepted_at": chance.randrange(3000), "joined_at": chance.randrange(1, 10 ** chance.randrange(1, 7))}
    facts = replace(facts, **{name: facts.requested_at + wait for name, wait in waits.items()})  # type: ignore[arg-type]
    if entry.stage is Stage.ENDED:
        facts = replace(facts, outcome=chance.choice((Outcome.COMPLETED, Outcome.FAILED)))
    return Followed(entry=replace(entry, handoff=facts), handoffs=(facts,))


async def count(store: Store, project_id: str = "p1") -> None:
    """Count everything for good: the hours, then the days."""
    while await store.count_hours(project_id, until=NOW - SETTLED_MS):
        pass


async def numbers(store: Store) -> list[Statistics]:
    """What is told of all periods."""
    return [await store.statistics(period) for period in PERIODS]


async def counted_anew(store: Store) -> list[Statistics]:
    """What would be told if nothing had been counted for good."""
    await store.forget_hours(before=2 * NOW)
    return await numbers(store)


async def test_counts_stay_right_whatever_changes(store: Store) -> None:
    chance = random.Random(5)
    made = [conversation(number, chance) for number in range(300)]
    await store.save_catalog(made)
    before = await numbers(store)
    assert before[0].conversations > 200
    assert before[0].reasons
    await count(store)
    await count(store, "p2")
    assert await numbers(store) == before, "counted for good"
    await store.save_catalog(made)
    assert await numbers(store) == before, "followed again, as after a crash"

    for number, item in enumerate(made[:200:4]):
        entry = replace(item.entry, sequence=2, stage=Stage.ENDED, messages=item.entry.messages + 1)
        facts = item.handoffs and (replace(item.handoffs[0], outcome=Outcome.TIMED_OUT),)
        change = [Followed(entry=entry, handoffs=facts or ()), conversation(1000 + number, chance)]
        await store.save_catalog(change)
        if number % 5 == 0:
            await store.erase(Erasure(sessions=(made[4 * number + 1].entry.session_id,)))
        if number % 10 == 0:
            await count(store)
    told = await numbers(store)
    await count(store)
    assert await numbers(store) == told
    assert await counted_anew(store) == told
    assert told != before


async def test_waits_are_exact_when_short_and_else_rounded_up_by_little(store: Store) -> None:
    async def told(ms: int) -> tuple[int | None, int | None]:
        facts = HandoffFacts(id=f"h{ms}", session_id="s", project_id=f"p{ms}", connection_id="c", requested_at=HOUR_MS)
        await store.save_catalog(
            [
                Followed(
                    entry=Entry(session_id=f"s{ms}", project_id=f"p{ms}", sequence=1),
                    handoffs=(replace(facts, joined_at=HOUR_MS + ms),),
                )
            ]
        )
        found = await store.statistics(Period(project_id=f"p{ms}", since=HOUR_MS, until=2 * HOUR_MS, step=HOUR_MS))
        return found.joined.p50, found.joined.p95

    assert [await told(ms) for ms in (1, 199, 200, 201)] == [(1, 1), (199, 199), (200, 200), (210, 210)]
    for ms in (999, 2_000, 2_001, 34_567, 200_001, 1_234_567):
        p50, p95 = await told(ms)
        assert p50 == p95
        assert p50 is not None
        assert ms <= p50 <= ms * 1.05


async def test_hours_are_counted_newest_first_and_once(store: Store) -> None:
    left = [await store.count_hours("p1", until=NOW) for _ in range(4)]
    assert left == sorted(left, reverse=True)
    assert left[0] == COUNTED_DAYS * 24 + 15 - 6
    await count(store)
    assert await store.count_hours("p1", until=NOW - SETTLED_MS) == 0
    old = NOW - 3 * DAY_MS
    await store.save_catalog([Followed(entry=Entry(session_id="s", project_id="p1", started_at=old, sequence=1))])
    changed = old // HOUR_MS * HOUR_MS
    only = Period(project_id="p1", since=changed, until=changed + HOUR_MS, step=HOUR_MS)
    assert (await store.statistics(only)).conversations == 1
    assert (await store.statistics(MONTH)).conversations == 1


async def test_a_new_node_counts_what_was_before_it(store: Store) -> None:
    await store.save_catalog([conversation(number, random.Random(number)) for number in range(1, 30)])
    before = await numbers(store)
    await Tallies(store, HastyClock(NOW), ("p1", "p2")).round()
    assert await store.count_hours("p1", until=NOW - SETTLED_MS) == 0
    assert await numbers(store) == before


@pytest.mark.parametrize("table", ["catalog", "handoff_facts"])
async def test_what_is_not_yet_committed_is_waited_for(postgres_url: str, table: str) -> None:
    at = NOW - 5 * HOUR_MS
    async with opened(postgres_url) as store:
        facts = HandoffFacts(id="h", session_id="s", project_id="p1", connection_id="c", requested_at=at)
        entry = Entry(session_id="s", project_id="p1", started_at=at, sequence=1)
        await store.save_catalog([Followed(entry=entry, handoffs=(facts,))])
        db = await asyncpg.connect(postgres_url)
        try:
            async with db.transaction():
                await db.execute(f"DELETE FROM {table}")
                counting = asyncio.create_task(count(store))
                while not await _waiting(db):
                    assert not counting.done(), "counted what is being changed"
                    await asyncio.sleep(0.01)
            await counting
        finally:
            await db.close()
        told = await numbers(store)
        assert await counted_anew(store) == told
        assert (told[0].conversations, len(told[0].outcomes)) == ((0, 1) if table == "catalog" else (1, 0))


async def _waiting(db: asyncpg.Connection) -> Sequence[object]:
    return await db.fetch("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
