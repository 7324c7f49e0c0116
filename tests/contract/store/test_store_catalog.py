"""Lists and searches of conversations."""

from dataclasses import replace

import pytest

from support.postgres import PostgresServer
from support.stores import begin, opened, post
from warmline.conversation.catalog import Catalog
from warmline.domain.catalog import Entry, Followed, HandoffFacts, Outcome, Spoken, Stage
from warmline.ports import HOUR_MS, Leg, Milestones, RelayCount, Spread, Store, Wanted
from warmline.system import SystemClock


def entry(number: int, **more: object) -> Entry:
    base = Entry(session_id=f"s{number:03}", project_id="p1", updated_at=number, sequence=1, channel="webchat.polyai")
    return replace(base, **more)  # type: ignore[arg-type]


def handoff(number: int, **more: object) -> HandoffFacts:
    base = HandoffFacts(id=f"h{number}", session_id="s001", project_id="p1", connection_id="c1", requested_at=number)
    return replace(base, **more)  # type: ignore[arg-type]


async def test_entries_come_back_newest_first_and_in_pages(store: Store) -> None:
    await store.save_catalog([Followed(entry=entry(n)) for n in range(1, 8)])
    first = (await store.conversations(Wanted(limit=3))).entries
    assert [e.session_id for e in first] == ["s007", "s006", "s005"]
    last = first[-1]
    rest = (await store.conversations(Wanted(before=(last.updated_at, last.session_id)))).entries
    assert [e.session_id for e in rest] == ["s004", "s003", "s002", "s001"]


async def test_an_older_entry_replaces_nothing(store: Store) -> None:
    newest = entry(1, sequence=9, stage=Stage.LIVE, handoff=handoff(1))
    await store.save_catalog([Followed(entry=newest)])
    await store.save_catalog([Followed(entry=entry(1, sequence=8))])
    assert await store.catalog_entry("s001") == newest
    assert await store.catalog_entry("nobody") is None


async def test_lists_are_narrowed(store: Store) -> None:
    await store.save_catalog(
        [
            Followed(entry=entry(1, stage=Stage.LIVE, handoff=handoff(1))),
            Followed(entry=entry(2, project_id="p2", stage=Stage.QUEUED)),
            Followed(entry=entry(3, channel="sms.twilio", stage=Stage.ENDED)),
            Followed(entry=entry(4, environment="sandbox")),
        ]
    )

    async def found(**wanted: object) -> list[str]:
        return [e.session_id for e in (await store.conversations(Wanted(**wanted))).entries]  # type: ignore[arg-type]

    assert await found(projects=("p2",)) == ["s002"]
    assert await found(stages=("live", "queued")) == ["s002", "s001"]
    assert await found(channel="sms.twilio") == ["s003"]
    assert await found(connection_id="c1") == ["s001"]
    assert await found(projects=("p1",), stages=("queued",)) == []
    assert await found(projects=("p1",)) == ["s003", "s001"]
    assert await found(projects=("p1",), sandbox=True) == ["s004", "s003", "s001"]


async def test_what_was_said_is_found(store: Store) -> None:
    def said(number: int, *texts: str) -> Followed:
        spoken = tuple(Spoken(session_id=f"s{number:03}", message_id=f"m{i}", text=t) for i, t in enumerate(texts))
        return Followed(entry=entry(number), spoken=spoken)

    await store.save_catalog([said(1, "Where is my invoice?", "Überweisung"), said(2, "a new meter, please")])

    async def found(words: str) -> list[str]:
        return [e.session_id for e in (await store.conversations(Wanted(words=words))).entries]

    assert await found("INVOICE") == ["s001"]
    assert await found("my inv") == ["s001"]
    assert await found("new meter") == ["s002"]
    assert await found("invoice meter") == []
    assert await found('"; DROP TABLE spoken') == []
    assert await found("?!") == []
    masked = Followed(entry=entry(1, sequence=2), spoken=(Spoken(session_id="s001", message_id="m0", text="***"),))
    await store.save_catalog([masked])
    assert await found("invoice") == []
    assert await found("meter") == ["s002"]


async def test_handoffs_are_kept_and_counted(store: Store) -> None:
    await store.save_catalog([Followed(entry=entry(1), handoffs=(handoff(1), handoff(2, connection_id="c2")))])
    assert [h.id for h in await store.handoffs_of("s001")] == ["h1", "h2"]
    assert (await store.open_handoffs("c1"), await store.open_handoffs("c3")) == (1, 0)
    ended = handoff(1, joined_at=5, ended_at=9, outcome=Outcome.COMPLETED)
    await store.save_catalog([Followed(entry=entry(1, sequence=2), handoffs=(ended,))])
    assert (await store.handoffs_of("s001"))[0] == ended
    assert await store.open_handoffs("c1") == 0
    assert await store.milestones("p1") == Milestones(joined=True, completed=True)
    assert await store.milestones("p2") == Milestones(joined=False, completed=False)


@pytest.mark.parametrize("crashed", [False, True])
async def test_the_catalog_follows_the_logs(store: Store, crashed: bool) -> None:
    catalog = Catalog(store, SystemClock())
    for number in range(3):
        committed = await begin(store, f"session-{number}")
        if not crashed:
            catalog.observe(committed)
    committed = await post(store, "session-1", "hello there")
    if crashed:
        assert sorted(await store.catalog_behind(10)) == ["session-0", "session-1", "session-2"]
        assert await catalog.catch_up()
    else:
        catalog.observe(committed)
        await catalog.write()
    assert await store.catalog_behind(10) == []
    found = (await store.conversations(Wanted(words="hello"))).entries
    assert [(e.session_id, e.stage, e.project_id) for e in found] == [("session-1", Stage.VIRTUAL_AGENT, "project")]


async def test_what_another_node_wrote_in_between_is_not_left_out(store: Store) -> None:
    catalog = Catalog(store, SystemClock())
    catalog.observe(await begin(store, "session"))
    await catalog.write()
    catalog.observe(await post(store, "session", "first"))
    await post(store, "session", "unseen here")
    catalog.observe(await post(store, "session", "third"))
    await catalog.write()
    assert [e.session_id for e in (await store.conversations(Wanted(words="unseen"))).entries] == ["session"]


async def test_words_are_found_among_the_newest_and_far_behind_them(store: Store) -> None:
    """More conversations than are looked through for words: what only older ones have is found by its words."""

    def said(number: int) -> Followed:
        one = entry(number, channel="sms.twilio" if number == 40 else "webchat.polyai")
        text = "a whale" if number in (3, 7) else "the bill" if number % 20 == 0 else "hello"
        spoken = (Spoken(session_id=one.session_id, message_id="m", text=f"{text} {number}"),)
        return Followed(entry=one, spoken=spoken)

    await store.save_catalog([said(number) for number in range(2050)])

    async def found(words: str, **more: object) -> list[str]:
        return [e.session_id for e in (await store.conversations(Wanted(words=words, **more))).entries]  # type: ignore[arg-type]

    assert await found("bill", limit=3) == ["s2040", "s2020", "s2000"]
    assert await found("the bil", limit=2, before=(2000, "s2000")) == ["s1980", "s1960"]
    assert len(await found("bill", projects=("p1",), limit=200)) == 103
    assert await found("wha") == ["s007", "s003"]
    assert await found("whale", limit=1, before=(7, "s007")) == ["s003"]
    assert await found("bill", channel="sms.twilio") == ["s040"]
    assert await found("bill 1040") == ["s1040"]
    assert await found("whale bill") == []


async def test_words_are_found_in_order_over_many_days(store: Store) -> None:
    """What is said now and then is looked for by days, and in the order of the conversations' last changes."""
    day = 86_400_000

    def said(number: int, text: str, **more: object) -> Followed:
        one = entry(number, **{"updated_at": 20_000 * day + number * day // 100, **more})
        return Followed(entry=one, spoken=(Spoken(session_id=one.session_id, message_id="m", text=text),))

    await store.save_catalog([said(n, "a whale" if n % 50 == 0 else "the bill") for n in range(1, 2051)])
    await store.save_catalog([said(0, "a dolphin"), said(2051, "a squid", project_id="p2")])

    async def found(words: str, **more: object) -> list[str]:
        return [e.session_id for e in (await store.conversations(Wanted(words=words, **more))).entries]  # type: ignore[arg-type]

    async def in_pages(words: str, limit: int) -> list[str]:
        pages: list[Entry] = []
        while (
            page := await store.conversations(
                Wanted(words=words, limit=limit, before=(pages[-1].updated_at, pages[-1].session_id) if pages else None)
            )
        ).entries:
            pages += page.entries
        return [e.session_id for e in pages]

    whales = [f"s{n:03}" for n in range(2050, 0, -50)]
    for limit in (1, 3, 15, 30, 50):
        assert await in_pages("whale", limit) == whales
    assert await found("dolphin") == ["s000"]
    assert await found("squid", projects=("p1",)) == []
    # An old conversation goes on with other words: it counts as new with what was said before, too.
    late = entry(100, updated_at=20_000 * day + 2060 * day // 100, sequence=2)
    await store.save_catalog([Followed(entry=late)])
    assert await in_pages("whale", 3) == ["s100", *(w for w in whales if w != "s100")]
    # Nodes' clocks differ: a change may be of the day before the last one.
    await store.save_catalog([Followed(entry=replace(late, updated_at=20_000 * day + 1899 * day // 100, sequence=3))])
    at = whales.index("s1850")
    moved = [w for w in whales if w != "s100"]
    assert await in_pages("whale", 3) == [*moved[:at], "s100", *moved[at:]]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_search_without_patience_tells_how_far_back_it_looked(store: Store, at_once: bool) -> None:
    """The pages that it gives, one after the other, are what a patient one gives at once."""
    day = 86_400_000

    def said(number: int, text: str) -> Followed:
        spoken = Spoken(session_id=f"s{number:04}", message_id="m", text=text)
        return Followed(
            entry=entry(number, session_id=spoken.session_id, updated_at=number * day // 50), spoken=(spoken,)
        )

    await store.save_catalog([said(n, "a whale" if n % 100 == 0 else "the bill") for n in range(1, 2501)])
    wanted = Wanted(words="whale", limit=21, projects=("p1",))
    whole = await store.conversations(wanted)
    assert [e.session_id for e in whole.entries] == [f"s{n:04}" for n in range(2500, 400, -100)]
    assert whole.back_to == 0
    hasty = replace(wanted, patience_s=0, hasty=at_once)
    pages = [await store.conversations(hasty)]
    while back_to := pages[-1].back_to:
        assert len(pages) < 20
        assert all(e.updated_at >= back_to for e in pages[-1].entries)
        pages.append(await store.conversations(replace(hasty, before=(back_to, ""))))
    assert len(pages) > 2
    found = {e.session_id: None for page in pages for e in page.entries}
    assert list(found) == [f"s{n:04}" for n in range(2500, 0, -100)]


async def test_texts_from_before_an_upgrade_are_found_before_and_after_they_know_their_days(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    def sql(statement: str) -> str:
        return postgres_server.sql(statement, postgres_url.rpartition("/")[2])

    day = 86_400_000
    async with opened(postgres_url) as store:
        numbers = range(1, 1001)
        spoken = [Spoken(session_id=f"s{n:03}", message_id="m", text="whale" if n % 50 else "bill") for n in numbers]
        await store.save_catalog(
            [
                Followed(entry=entry(n, updated_at=n * day), spoken=(text,))
                for n, text in zip(numbers, spoken, strict=True)
            ]
        )
        newest = (await store.conversations(Wanted(words="bill", limit=9))).entries
        assert [e.session_id for e in newest] == [f"s{n:03}" for n in range(1000, 550, -50)]
    dated = sql("SELECT words FROM spoken WHERE session_id = 's500'")
    assert dated == "'#500' 'bill':1"
    sql("ALTER TABLE spoken DISABLE TRIGGER spoken_day")
    sql("UPDATE spoken SET words = ts_delete(words, ARRAY(SELECT lexeme FROM unnest(words) WHERE lexeme LIKE '#%'))")
    sql("ALTER TABLE spoken ENABLE TRIGGER spoken_day")
    sql("INSERT INTO spoken_undated SELECT session_id, updated_at FROM catalog")
    async with opened(postgres_url) as store:
        assert (await store.conversations(Wanted(words="bill", limit=9))).entries == newest
        since = [await store.date_texts() for _ in range(5)]
        assert since == [(n * day) + 1 for n in (900, 800, 700, 600, 500)], "the newest first"
        assert (await store.conversations(Wanted(words="bill", limit=9))).entries == newest
        assert [await store.date_texts() for _ in range(5)][-2:] == [100 * day + 1, 0]
        assert (await store.conversations(Wanted(words="bill", limit=9))).entries == newest
    assert sql("SELECT words FROM spoken WHERE session_id = 's500'") == dated


async def test_relay_times_add_up(store: Store) -> None:
    def count(hour: int, bucket: int, messages: int, leg: Leg = Leg.UP) -> RelayCount:
        return RelayCount(connection_id="c1", hour=hour, leg=leg, bucket=bucket, messages=messages)

    await store.add_relay_counts([count(10, 8, 90), count(10, 40, 6), count(11, 40, 4), count(11, 4, 1, Leg.FAILED)])
    await store.add_relay_counts([count(10, 8, 9)])
    spreads = await store.relay_spreads(["c1", "c2"], since=10 * HOUR_MS, until=12 * HOUR_MS)
    # 99 messages took at most 4 ms and 10 at most 1024: the 104th of 109 is one of those.
    assert spreads == {
        ("c1", Leg.UP): Spread(count=109, p50=4, p95=1024),
        ("c1", Leg.FAILED): Spread(count=1, p50=2, p95=2),
    }
    assert (await store.relay_spreads(["c1"], since=10 * HOUR_MS, until=10 * HOUR_MS + 1))["c1", Leg.UP].count == 105
    assert await store.relay_spreads(["c2"], since=0, until=20 * HOUR_MS) == {}
    assert await store.forget_relay_counts(before=11 * HOUR_MS) == 2
