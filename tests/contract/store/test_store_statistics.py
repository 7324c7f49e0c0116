"""Numbers of a period."""

from dataclasses import replace

from warmline.domain.catalog import Entry, Followed, HandoffFacts, Outcome, Stage
from warmline.ports import Column, Period, Spread, Store

WEEK = Period(project_id="p1", since=1000, until=1300, step=100)


def began(number: int, at: int, **more: object) -> Entry:
    base = Entry(session_id=f"s{number}", project_id="p1", started_at=at, messages=2, sequence=1)
    return replace(base, **more)  # type: ignore[arg-type]


def handed(number: int, at: int, **more: object) -> HandoffFacts:
    base = HandoffFacts(id=f"h{number}", session_id=f"s{number}", project_id="p1", connection_id="c1", requested_at=at)
    return replace(base, **more)  # type: ignore[arg-type]


async def test_an_empty_period_has_empty_columns(store: Store) -> None:
    found = await store.statistics(WEEK)
    assert (found.conversations, found.ended, found.contained, found.outcomes) == (0, 0, 0, ())
    assert found.columns == tuple(Column(at=at, conversations=0, handed_over=0) for at in (1000, 1100, 1200))
    assert found.joined == Spread(count=0, p50=None, p95=None)


async def test_what_began_in_the_period_is_counted(store: Store) -> None:
    done = handed(2, 1150, accepted_at=1160, joined_at=1190, ended_at=1290, outcome=Outcome.COMPLETED, reason="bill")
    failed = handed(3, 1250, ended_at=1260, outcome=Outcome.FAILED, reason="bill")
    running = handed(4, 1299, connection_id="c2")
    await store.save_catalog(
        [
            Followed(entry=began(1, 1000, stage=Stage.ENDED)),
            Followed(entry=began(2, 1150, stage=Stage.ENDED, handoff=done), handoffs=(done,)),
            Followed(entry=began(3, 1250, handoff=failed), handoffs=(failed,)),
            Followed(entry=began(4, 1299, handoff=running), handoffs=(running,)),
            Followed(entry=began(5, 999)),
            Followed(entry=began(6, 1300)),
            Followed(entry=began(7, 1100, project_id="p2")),
        ]
    )
    found = await store.statistics(WEEK)
    assert (found.conversations, found.ended, found.contained, found.messages) == (4, 2, 1, 8)
    assert [(c.conversations, c.handed_over) for c in found.columns] == [(1, 0), (1, 1), (2, 2)]
    assert found.outcomes == (("c1", "completed", 1), ("c1", "failed", 1), ("c2", "", 1))
    assert found.reasons == (("bill", 2), ("", 1))
    assert found.accepted == Spread(count=1, p50=10, p95=10)
    assert found.joined == Spread(count=1, p50=40, p95=40)


async def test_spreads_are_taken_from_the_sorted_times(store: Store) -> None:
    facts = [handed(n, 1000, joined_at=1000 + n) for n in range(1, 101)]
    await store.save_catalog([Followed(entry=began(n, 1000), handoffs=(f,)) for n, f in enumerate(facts, 1)])
    assert (await store.statistics(WEEK)).joined == Spread(count=100, p50=51, p95=96)


async def test_the_sandbox_counts_only_when_asked_for(store: Store) -> None:
    tried = handed(2, 1100, environment="sandbox", joined_at=1105)
    await store.save_catalog(
        [
            Followed(entry=began(1, 1000)),
            Followed(entry=began(2, 1100, environment="sandbox", handoff=tried), handoffs=(tried,)),
        ]
    )
    found = await store.statistics(WEEK)
    assert (found.conversations, found.outcomes, found.joined.count) == (1, (), 0)
    found = await store.statistics(replace(WEEK, sandbox=True))
    assert (found.conversations, found.outcomes, found.joined.count) == (2, (("c1", "", 1),), 1)
