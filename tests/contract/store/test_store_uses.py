"""How often topics were matched: counted with the turn that matched them."""

import asyncio
from dataclasses import replace

import pytest

from support.stores import NODE, TTL_MS, begin, opened, settlement
from warmline.domain.errors import LeaseLost
from warmline.ports import Change, Store, TopicUses, TurnRecord
from warmline.ports.uses import DAY_MS, counted_name

TODAY = 20_000 * DAY_MS


def used(session_id: str, turn_id: str, topic: str, at: int, project_id: str = "p") -> Change:
    """A turn without an answer that matched a topic."""
    record = TurnRecord(turn_id=turn_id, memory=b"", record=b"{}", project_id=project_id, topic=topic)
    return Change(session_id=session_id, at=at, turn=record)


async def test_uses_of_a_week_and_a_month_are_counted_by_topic(store_url: str) -> None:
    async with opened(store_url) as store:
        await begin(store, "s")
        for number, (topic, days_ago) in enumerate(
            (("bill", 0), ("bill", 6), ("bill", 7), ("bill", 29), ("bill", 30), ("move", 12), ("", 0), ("old", 95))
        ):
            await store.transact(used("s", f"t{number}", topic, TODAY - days_ago * DAY_MS))
        await store.transact(used("s", "other", "bill", TODAY, project_id="q"))
    async with opened(store_url) as store:
        assert await store.topic_uses("p", TODAY + 5) == {
            "bill": TopicUses(week=2, month=4, last_at=TODAY),
            "move": TopicUses(week=0, month=1, last_at=TODAY - 12 * DAY_MS),
        }
        assert (await store.topic_uses("q", TODAY))["bill"].week == 1


async def test_turns_that_are_committed_together_all_count(store: Store) -> None:
    sessions = [f"s{n}" for n in range(20)]
    for session_id in sessions:
        await begin(store, session_id)
    await asyncio.gather(*(store.transact(used(s, "t", "bill", TODAY + n)) for n, s in enumerate(sessions)))
    assert await store.topic_uses("p", TODAY) == {"bill": TopicUses(week=20, month=20, last_at=TODAY + 19)}


async def test_a_turn_that_is_settled_already_does_not_count_again(store: Store) -> None:
    (row,) = (await begin(store, "s")).outbox
    settle = settlement(row, await store.claim(NODE, TTL_MS, 0))
    once = replace(used("s", "t", "bill", TODAY), settle=settle)
    await store.transact(once)
    with pytest.raises(LeaseLost):
        await store.transact(once)
    assert (await store.topic_uses("p", TODAY))["bill"].month == 1


async def test_no_name_of_a_topic_keeps_a_turn_from_being_recorded(store: Store) -> None:
    await begin(store, "s")
    for number, name in enumerate(("a\0b", "very long " * 10_000, "'; DROP --", "ünï ☃ 🎉", "\\{rows} $1")):
        await store.transact(used("s", f"t{number}", name, TODAY))
        assert (await store.topic_uses("p", TODAY))[counted_name(name)].week == 1
    assert len(await store.turn_records("s")) == 5


async def test_days_that_are_over_are_put_together_and_old_ones_forgotten(store: Store) -> None:
    rows = []
    for number in range(6):
        rows.append((await begin(store, f"s{number}")).outbox[0])
    assert len({row.partition for row in rows}) > 2
    epochs = await store.claim(NODE, TTL_MS, 0)
    for number, row in enumerate(rows):
        turn = used(row.session_id, "t", "bill", TODAY - 5 * DAY_MS + number)
        await store.transact(replace(turn, settle=settlement(row, epochs)))
    await store.transact(used("s0", "today", "bill", TODAY))
    await store.transact(used("s0", "old", "bill", TODAY - 90 * DAY_MS))
    expected = {"bill": TopicUses(week=7, month=7, last_at=TODAY)}
    assert await store.topic_uses("p", TODAY) == expected
    assert await asyncio.gather(store.tidy_uses(TODAY), store.tidy_uses(TODAY)) in ([1, 0], [0, 1])
    assert await store.topic_uses("p", TODAY) == expected
    await store.transact(used("s1", "late", "bill", TODAY - 5 * DAY_MS))
    assert await store.tidy_uses(TODAY) == 0
    assert (await store.topic_uses("p", TODAY))["bill"].week == 8
