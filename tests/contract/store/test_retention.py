"""What has been kept long enough is deleted: bit by bit, on one node at a time, and told in the audit log."""

from collections.abc import Sequence

import pytest

from support.stores import NODE, TTL_MS, begin, change, settlement
from warmline.conversation.retention import EVERY_S, PERIODS, STEP, Retention
from warmline.domain import commands as c
from warmline.domain.catalog import Entry, Followed, Stage
from warmline.domain.errors import StoreUnavailable
from warmline.ports import AuditEntry, Change, Store
from warmline.testing.clock import ManualClock

DAY_MS = 86_400_000


class PatientClock(ManualClock):
    """Sleeping moves it on: nobody else has anything to do."""

    async def sleep(self, seconds: float) -> None:
        """Be there at once."""
        await self.advance(seconds)


async def ended(store: Store, clock: ManualClock, days_ago: Sequence[int]) -> list[str]:
    """Conversations that ended so many days ago."""
    names = []
    for number, days in enumerate(days_ago):
        session_id, at = f"s{number}-{days}", clock.now() - days * DAY_MS
        await begin(store, session_id, at=at)
        await store.transact(change(session_id, c.EndByUser(at=at)))
        entry = Entry(session_id=session_id, project_id="p", stage=Stage.ENDED, updated_at=at, ended_at=at, sequence=9)
        await store.save_catalog([Followed(entry=entry)])
        names.append(session_id)
    return names


async def left(store: Store, names: Sequence[str]) -> list[str]:
    return [name for name in names if await store.session(name) is not None]


async def test_nothing_is_deleted_until_somebody_says_so(store: Store) -> None:
    clock = PatientClock()
    names = await ended(store, clock, [400])
    assert await Retention(store, clock, ["p"]).round() is False
    assert await left(store, names) == names
    assert await Retention.settings(store) == dict.fromkeys(PERIODS, 0)


async def test_what_is_older_goes_and_is_told(store: Store) -> None:
    clock = PatientClock()
    names = await ended(store, clock, [31, 29, 400])
    running = (await begin(store, "running", at=clock.now() - 90 * DAY_MS)).session.id
    live = Entry(session_id=running, project_id="p", stage=Stage.VIRTUAL_AGENT, updated_at=1, sequence=9)
    await store.save_catalog([Followed(entry=live)])
    for days in (500, 3):
        at = clock.now() - days * DAY_MS
        await store.record(AuditEntry(at=at, user_id="u", user_name="u", act="sign_in"))
    epochs = await store.claim(NODE, TTL_MS, 1)
    (row, *_) = (await begin(store, "with-letter", at=clock.now() - 15 * DAY_MS)).outbox
    await store.transact(Change(session_id=row.session_id, settle=settlement(row, epochs, dead=True)))
    await store.save_setting(PERIODS["conversations"], "30")
    await store.save_setting(PERIODS["dead"], "14")
    await store.save_setting(PERIODS["audit"], "365")
    assert await Retention(store, clock, ["p"]).round() is False
    assert await left(store, [*names, "running", "with-letter"]) == [names[1], "running", "with-letter"]
    assert await store.dead() == []
    told, kept = await store.audit()
    assert (told.user_name, told.act, told.subject) == ("Warmline", "retention", "conversations=2 dead=1 audit=1")
    assert clock.now() - kept.at < 4 * DAY_MS
    await Retention(store, clock, ["p"]).round()
    assert len(await store.audit()) == 2, "a round that deletes nothing says nothing"


async def test_a_mountain_goes_in_steps_and_rounds(store: Store) -> None:
    clock = PatientClock()
    entries = [
        Entry(session_id=f"c{n}", project_id="p", stage=Stage.ENDED, updated_at=n, sequence=1)
        for n in range(STEP * 2 + 1)
    ]
    await store.save_catalog([Followed(entry=entry) for entry in entries])
    await store.save_setting(PERIODS["conversations"], "1")
    began = clock.now()
    assert await Retention(store, clock, ["p"]).round() is False
    assert clock.now() > began, "it breathes between steps"
    assert await store.ended_before("p", clock.now(), 10) == []


async def test_one_node_does_it(store: Store) -> None:
    clock = PatientClock()
    await store.save_setting(PERIODS["audit"], "1")
    async with store.exclusive("retention"):
        with pytest.raises(StoreUnavailable):
            await Retention(store, clock, ["p"]).round()


async def test_it_looks_every_hour(store: Store) -> None:
    clock = ManualClock()
    retention = Retention(store, clock, ["p"])
    retention.start()
    try:
        names: list[str] = []
        for _ in range(3):
            while not clock.sleepers:
                await store.ping()
            if not names:
                names = await ended(store, clock, [2])
                await store.save_setting(PERIODS["conversations"], "1")
            await clock.advance(EVERY_S)
        while await left(store, names):
            await clock.advance(1)
            await store.ping()
    finally:
        await retention.stop()
