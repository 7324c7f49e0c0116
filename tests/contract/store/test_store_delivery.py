"""Outbox with leases and fencing, inbox, timers, links."""

import asyncio
from dataclasses import replace

import pytest

from support.stores import NODE, TTL_MS, begin, change, check_log, hand_off, opened, post, settlement
from warmline.domain import commands as c
from warmline.domain.catalog import Entry, Followed
from warmline.domain.effects import OpenConversation, RunTurn, SendBriefRest, stream_key
from warmline.domain.errors import LeaseLost, RuleViolation
from warmline.ports import PARTITIONS, Change, InboxRow, LateDelivery, Link, OutboxRow, Settlement, Store, Timer
from warmline.store.batch import partition_of
from warmline.system import SystemClock

NOW = 1_700_000_000_000
HOOK = InboxRow(
    id=0,
    connection_id="c",
    endpoint="events",
    key="k1",
    remote_id="task-1",
    received_at=100,
    event_at=90,
    body=b'{"a":"\x00\xff"}',
)


# --- outbox ------------------------------------------------------------------------------------------------------


async def test_a_row_lies_in_the_partition_of_its_stream(store: Store) -> None:
    rows = [(await begin(store, f"s{n}")).outbox[0] for n in range(100)]
    for row in rows:
        assert row.stream_key == stream_key(row.session_id, row.effect)
        assert row.partition == partition_of(row.stream_key)
    partitions = {row.partition for row in rows}
    assert len(partitions) > PARTITIONS / 2
    some = set(list(partitions)[:3])
    assert await store.pending(some) == [row for row in rows if row.partition in some]
    assert await store.pending([]) == []


async def test_a_settled_row_is_gone(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    (row,) = (await begin(store, "s")).outbox
    committed = await store.transact(Change(session_id="s", settle=settlement(row, epochs)))
    assert committed.events == ()
    assert committed.session.last_sequence == 3
    assert await store.pending(range(PARTITIONS)) == []
    assert await store.dead() == []


async def test_a_row_is_settled_once(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    (row,) = (await begin(store, "s")).outbox
    command = c.PostUserMessage(at=5, message_id="m", text="only once")
    settle = change("s", command, settle=settlement(row, epochs))
    results = await asyncio.gather(*(store.transact(settle) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(r, LeaseLost) for r in results) == 9
    with pytest.raises(LeaseLost):
        await store.transact(settle)
    assert len(await check_log(store, "s")) == 4


async def test_a_settlement_with_a_foreign_epoch_writes_nothing_of_its_change(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    (row,) = (await begin(store, "s")).outbox
    hook = await store.accept(HOOK)
    link = Link(handoff_id="h", session_id="s", connection_id="c", remote_id="task-1")
    wrong = Settlement(row_id=row.id, partition=row.partition, epoch=epochs[row.partition] + 1)
    command = c.PostUserMessage(at=5, message_id="m", text="m")
    fenced = change("s", command, settle=wrong, inbox_done=hook, link=link, dedup_key="k")
    with pytest.raises(LeaseLost):
        await store.transact(fenced)
    assert await store.pending(range(PARTITIONS)) == [row]
    assert len(await store.inbox_pending()) == 1
    assert await store.link("h") is None
    assert len(await check_log(store, "s")) == 3
    assert not (await store.transact(replace(fenced, settle=settlement(row, epochs)))).duplicate


async def test_what_was_delivered_late_is_remembered_and_nothing_else(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    rows = [(await begin(store, session_id)).outbox[0] for session_id in ("late", "at-once", "dead")]
    late = [
        LateDelivery(
            row_id=row.id, kind="RunTurn", message_id="m", attempts=2, error="down", created_at=1, delivered_at=9
        )
        for row in rows
    ]
    first = replace(settlement(rows[0], epochs), late=late[0])
    given_up = replace(settlement(rows[2], epochs), late=late[2], dead=True, error="down")
    for row, settle in zip(rows, (first, settlement(rows[1], epochs), given_up), strict=True):
        await store.transact(Change(session_id=row.session_id, settle=settle))
    assert await store.late_deliveries("late") == [late[0]]
    assert await store.late_deliveries("at-once") == await store.late_deliveries("dead") == []
    assert await store.deliveries("late") == []


async def test_a_fenced_change_sinks_no_neighbour(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    rows = [(await begin(store, f"s{n}")).outbox[0] for n in range(10)]
    settles = [settlement(row, epochs) for row in rows]
    settles[4] = replace(settles[4], epoch=99)
    results = await asyncio.gather(
        *(store.transact(Change(session_id=row.session_id, settle=s)) for row, s in zip(rows, settles, strict=True)),
        return_exceptions=True,
    )
    assert [n for n, r in enumerate(results) if isinstance(r, LeaseLost)] == [4]
    assert await store.pending(range(PARTITIONS)) == [rows[4]]


async def test_a_duplicate_still_settles(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    (row,) = (await begin(store, "s")).outbox
    first = await post(store, "s", "hello", key="k")
    hook = await store.accept(HOOK)
    again = change(
        "s",
        c.PostUserMessage(at=9, message_id="x", text="x"),
        dedup_key="k",
        settle=settlement(row, epochs),
        inbox_done=hook,
    )
    committed = await store.transact(again)
    assert committed.duplicate
    assert committed.events == first.events
    assert await store.pending(range(PARTITIONS)) == list(first.outbox)
    assert await store.inbox_pending() == []


async def test_failed_attempts_are_noted(store: Store) -> None:
    (row,) = (await begin(store, "s")).outbox
    await store.reschedule(row.id, attempts=3, next_at=NOW + 500, error="http_503")
    assert await store.pending([row.partition]) == [replace(row, attempts=3, next_at=NOW + 500, last_error="http_503")]


async def test_dead_letters_are_kept_and_revived(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    rows = [(await begin(store, f"s{n}")).outbox[0] for n in range(3)]
    await store.reschedule(rows[0].id, attempts=7, next_at=NOW, error="http_503")
    for row in rows[:2]:
        dead = settlement(row, epochs, dead=True, error="rejected")
        await store.transact(Change(session_id=row.session_id, settle=dead))

    assert [(r.id, r.last_error) for r in await store.dead()] == [(rows[1].id, "rejected"), (rows[0].id, "rejected")]
    assert len(await store.dead(1)) == 1
    assert await store.pending(range(PARTITIONS)) == [rows[2]]
    with pytest.raises(LeaseLost):
        await store.transact(Change(session_id="s0", settle=settlement(rows[0], epochs)))

    assert (await store.dead_letter(rows[0].id)) == replace(rows[0], attempts=7, next_at=NOW, last_error="rejected")
    again = replace(rows[0], last_error="rejected")
    assert await store.revive(rows[0].id) == again
    assert await store.revive(rows[0].id) is None
    assert await store.revive(123456) is None
    assert await store.pending(range(PARTITIONS)) == [again, rows[2]]
    await store.transact(Change(session_id="s0", settle=settlement(rows[0], epochs)))
    assert [r.id for r in await store.dead()] == [rows[1].id]
    assert (await store.revive(rows[1].id, at=NOW + 7)) == replace(rows[1], created_at=NOW + 7, last_error="rejected")


async def test_dead_letters_are_found_counted_and_discarded(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    letters: list[OutboxRow] = []
    for number in range(3):
        await begin(store, f"s{number}")
        opening, rest = (await store.transact(hand_off(f"s{number}", f"h{number}"))).outbox
        assert isinstance(rest.effect, SendBriefRest)
        letters.append(opening)
        await store.transact(Change(session_id=opening.session_id, settle=settlement(opening, epochs, dead=True)))
        entry = Entry(session_id=f"s{number}", project_id="other" if number == 2 else "project", sequence=1)
        await store.save_catalog([Followed(entry=entry)])
    ids = [letter.id for letter in letters]
    assert [r.id for r in await store.dead_letters("project")] == [ids[1], ids[0]]
    assert [r.id for r in await store.dead_letters("project", before=ids[1])] == [ids[0]]
    assert [r.id for r in await store.dead_letters("project", limit=1)] == [ids[1]]
    assert await store.dead_letters("project", connection_id="connectio") == []
    assert [r.id for r in await store.dead_letters("other", connection_id="connection")] == [ids[2]]
    assert await store.dead_count(project_id="project") == 2
    assert await store.dead_count(connection_id="connection") == 3
    assert await store.dead_count(connection_id="another") == 0
    assert await store.dead_count(most=1) == 1
    assert await store.discard(ids[0])
    assert not await store.discard(ids[0])
    assert await store.dead_letter(ids[0]) is None
    assert await store.dead_count(project_id="project") == 1
    waiting = (await store.pending(range(PARTITIONS)))[0]
    assert not await store.discard(waiting.id), "only what is dead is discarded"


async def test_rescheduling_a_settled_row_brings_it_not_back(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    (row,) = (await begin(store, "s")).outbox
    settle = store.transact(Change(session_id="s", settle=settlement(row, epochs)))
    await asyncio.gather(settle, store.reschedule(row.id, attempts=1, next_at=1, error="late"))
    await store.reschedule(row.id, attempts=2, next_at=1, error="later")
    assert await store.pending(range(PARTITIONS)) == []


async def test_row_ids_are_never_used_again(store_url: str) -> None:
    async with opened(store_url) as store:
        epochs = await store.claim(NODE, TTL_MS, NOW)
        (row,) = (await begin(store, "s")).outbox
        await store.transact(Change(session_id="s", settle=settlement(row, epochs)))
        hook = await store.accept(HOOK)
        assert hook is not None
        await store.finish_inbox(hook, state="done")
        assert await store.prune(inbox_before=1000) == 1
    async with opened(store_url) as store:
        assert (await post(store, "s", "next")).outbox[0].id > row.id
        assert (await store.accept(HOOK) or 0) > hook


# --- leases ------------------------------------------------------------------------------------------------------


async def test_one_node_holds_everything_and_renewing_keeps_the_epochs(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    assert sorted(epochs) == list(range(PARTITIONS))
    assert await store.claim(NODE, TTL_MS, NOW + TTL_MS // 3) == epochs


async def test_released_leases_no_longer_settle(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    (row,) = (await begin(store, "s")).outbox
    await store.release(NODE)
    with pytest.raises(LeaseLost):
        await store.transact(Change(session_id="s", settle=settlement(row, epochs)))
    again = await store.claim(NODE, TTL_MS, NOW)
    assert all(again[p] > epochs[p] for p in range(PARTITIONS))
    await store.transact(Change(session_id="s", settle=settlement(row, again)))


async def test_a_restarted_node_has_everything_at_once_with_new_epochs(store_url: str) -> None:
    async with opened(store_url) as store:
        epochs = await store.claim(NODE, TTL_MS, NOW)
        (row,) = (await begin(store, "s")).outbox
    async with opened(store_url) as store:
        again = await store.claim(NODE, TTL_MS, NOW + 1)
        assert sorted(again) == list(range(PARTITIONS))
        with pytest.raises(LeaseLost):
            await store.transact(Change(session_id="s", settle=settlement(row, epochs)))
        await store.transact(Change(session_id="s", settle=settlement(row, again)))


# --- inbox -------------------------------------------------------------------------------------------------------


async def test_a_webhook_is_stored_once(store: Store) -> None:
    row_id = await store.accept(HOOK)
    assert row_id is not None
    assert await store.accept(HOOK) is None
    assert await store.accept(replace(HOOK, body=b"other", received_at=101)) is None
    assert await store.accept(replace(HOOK, connection_id="d")) is not None
    (first, _) = await store.inbox_pending()
    assert first == replace(HOOK, id=row_id)


async def test_A85_when_the_last_webhook_of_each_path_came(store: Store) -> None:
    assert await store.last_webhooks() == {}
    for number, endpoint in enumerate(("events", "asset", "events")):
        row = await store.accept(replace(HOOK, key=f"k{number}", endpoint=endpoint, received_at=100 + number))
        await store.finish_inbox(row or 0, state="done")
    await store.accept(replace(HOOK, connection_id="d", received_at=7))
    assert await store.last_webhooks() == {("c", "events"): 102, ("c", "asset"): 101, ("d", "events"): 7}


async def test_the_same_webhook_many_times_at_once_is_stored_once(store: Store) -> None:
    hooks = [replace(HOOK, key=f"k{n % 7}") for n in range(70)]
    row_ids = await asyncio.gather(*(store.accept(hook) for hook in hooks))
    stored = [row_id for row_id in row_ids if row_id is not None]
    assert len(stored) == len(set(stored)) == 7
    assert {row.id for row in await store.inbox_pending()} == set(stored)


async def test_states_of_a_webhook(store: Store) -> None:
    ids = [await store.accept(replace(HOOK, key=f"k{n}", received_at=n)) for n in range(4)]
    one, two, three, four = (row_id or 0 for row_id in ids)
    await store.finish_inbox(one, state="parked", attempts=2)
    await store.finish_inbox(two, state="dead", attempts=5)
    await store.finish_inbox(three, state="done")
    assert [(r.id, r.parked, r.attempts) for r in await store.inbox_pending()] == [(one, True, 2), (four, False, 0)]
    await store.finish_inbox(one, state="new", attempts=3)
    assert [(r.id, r.parked, r.attempts) for r in await store.inbox_pending()] == [(one, False, 3), (four, False, 0)]
    with pytest.raises(ValueError, match="lost"):
        await store.finish_inbox(one, state="lost")


async def test_webhooks_of_conversations_that_nobody_knows(store: Store) -> None:
    await begin(store, "s")
    await store.save_link(Link(handoff_id="h", session_id="s", connection_id="c", remote_id="known"))
    await store.save_link(Link(handoff_id="g", session_id="s", connection_id="d", remote_id="task-2"))
    hooks = [
        HOOK,
        replace(HOOK, remote_id="known"),
        replace(HOOK, remote_id=""),
        replace(HOOK, connection_id="d"),
        replace(HOOK, remote_id="task-2"),
        replace(HOOK, remote_id="done"),
        replace(HOOK, remote_id="dead"),
    ]
    ids = [await store.accept(replace(hook, key=f"k{n}")) or 0 for n, hook in enumerate(hooks)]
    await store.finish_inbox(ids[4], state="parked")
    await store.finish_inbox(ids[5], state="done")
    await store.finish_inbox(ids[6], state="dead")
    assert [row.id for row in await store.inbox_unknown("c")] == [ids[0], ids[4]]
    assert [row.remote_id for row in await store.inbox_unknown("c", but=[ids[0], 1_000_000])] == ["task-2"]
    assert [row.id for row in await store.inbox_unknown("d")] == [ids[3]]
    assert await store.inbox_unknown("nobody") == []


async def test_a_webhook_is_stored_with_the_change_that_comes_of_it(store: Store) -> None:
    await begin(store, "s")
    command = c.PostUserMessage(at=5, message_id="m", text="m")
    committed = await store.transact(change("s", command, dedup_key="k", inbox_row=HOOK))
    assert committed.events
    assert await store.inbox_pending() == []
    assert await store.last_webhooks() == {("c", "events"): 100}
    assert await store.accept(HOOK) is None
    again = await store.transact(change("s", command, dedup_key="k", inbox_row=replace(HOOK, key="k2")))
    assert again.duplicate
    # Nothing came of it: it is stored as any other.
    assert await store.accept(replace(HOOK, key="k2")) is not None


async def test_a_webhook_that_is_stored_already_stays_as_it_is(store: Store) -> None:
    await begin(store, "s")
    row_id = await store.accept(HOOK)
    command = c.PostUserMessage(at=5, message_id="m", text="m")
    both = (change("s", command, dedup_key="k", inbox_row=HOOK), replace(HOOK, key="k2"))
    results = await asyncio.gather(store.transact(both[0]), store.accept(both[1]))
    assert results[0].events
    assert [row.id for row in await store.inbox_pending()] == [row_id, results[1]]


async def test_a_refused_change_stores_no_webhook(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    await begin(store, "s")
    command = c.PostUserMessage(at=5, message_id="m", text="m")
    late = change("s", command, dedup_key="k", inbox_row=HOOK, fence=(HOOK.partition, epochs[HOOK.partition] - 1))
    with pytest.raises(LeaseLost):
        await store.transact(late)
    assert await store.accept(HOOK) is not None


async def test_a_processed_webhook_is_still_known_until_it_is_pruned(store: Store) -> None:
    await begin(store, "s")
    row_id = await store.accept(HOOK)
    command = c.PostUserMessage(at=5, message_id="m", text="m")
    await store.transact(change("s", command, inbox_done=row_id))
    assert await store.inbox_pending() == []
    waiting = await store.accept(replace(HOOK, key="waiting"))
    assert await store.accept(HOOK) is None
    assert await store.prune(inbox_before=100) == 0
    assert await store.prune(inbox_before=101) == 1
    assert await store.accept(HOOK) is not None
    assert waiting in [row.id for row in await store.inbox_pending()]


async def test_a_change_that_fails_leaves_its_webhook_pending(store: Store) -> None:
    await begin(store, "s")
    await store.transact(change("s", c.EndByUser(at=4)))
    row_id = await store.accept(HOOK)
    with pytest.raises(RuleViolation):
        await store.transact(change("s", c.PostUserMessage(at=5, message_id="m", text="m"), inbox_done=row_id))
    assert [row.id for row in await store.inbox_pending()] == [row_id]


# --- timers ------------------------------------------------------------------------------------------------------


async def test_timers_are_replaced_and_forgotten(store: Store) -> None:
    idle = Timer(key="s/idle", session_id="s", kind="idle", due=50)
    later = Timer(key="t/idle", session_id="t", kind="idle", due=20, handoff_id="h")
    await store.arm(idle)
    await store.arm(later)
    assert await store.timers() == [later, idle]
    await store.arm(replace(idle, due=10))
    assert await store.timers() == [replace(idle, due=10), later]
    await store.disarm("t/idle")
    await store.disarm("unknown")
    assert await store.timers() == [replace(idle, due=10)]


async def test_the_last_word_about_a_timer_counts(store: Store) -> None:
    timers = [Timer(key="s/idle", session_id="s", kind="idle", due=n) for n in range(50)]
    await asyncio.gather(*(store.arm(t) for t in timers))
    assert await store.timers() == [timers[-1]]
    await asyncio.gather(store.disarm("s/idle"), store.arm(timers[3]))
    assert await store.timers() == [timers[3]]
    await asyncio.gather(store.arm(timers[4]), store.disarm("s/idle"))
    assert await store.timers() == []


# --- links -------------------------------------------------------------------------------------------------------


async def test_links_are_found_both_ways(store: Store) -> None:
    await begin(store, "s")
    link = Link(handoff_id="h", session_id="s", connection_id="c", remote_id="task-1", data={"version": 2, "x": None})
    await store.transact(Change(session_id="s", link=link))
    assert await store.link("h") == link
    assert await store.links_by_remote("c", "task-1") == [link]
    assert await store.links_by_remote("d", "task-1") == []
    moved = replace(link, remote_id="task-2", data={})
    await store.save_link(moved)
    assert await store.link("h") == moved
    assert await store.links_by_remote("c", "task-1") == []


async def test_links_of_sessions_that_changed_lately_are_found(store: Store) -> None:
    for number in range(3):
        await begin(store, f"s{number}", at=1000 * (1 + number))
        await store.save_link(
            Link(handoff_id=f"h{number}", session_id=f"s{number}", connection_id="c", remote_id=f"t{number}")
        )
    await begin(store, "s3", at=9000)
    await store.save_link(Link(handoff_id="h3", session_id="s3", connection_id="c", remote_id=""))
    assert sorted(link.handoff_id for link in await store.recent_links(2000)) == ["h1", "h2"]


async def test_two_handoffs_of_a_session_cannot_have_the_same_conversation_and_two_sessions_can(store: Store) -> None:
    await begin(store, "s")
    link = Link(handoff_id="h", session_id="s", connection_id="c", remote_id="task-1")
    await store.save_link(link)
    other = replace(link, handoff_id="h2")
    posted, refused = await asyncio.gather(
        post(store, "s", "hello"), store.transact(Change(session_id="s", link=other)), return_exceptions=True
    )
    assert isinstance(refused, RuleViolation)
    assert not isinstance(posted, BaseException)
    with pytest.raises(RuleViolation):
        await store.save_link(other)
    await store.save_link(replace(other, remote_id=""))
    await store.save_link(replace(other, handoff_id="h3", remote_id=""))
    assert await store.links_by_remote("c", "task-1") == [link]
    beside = replace(other, session_id="s2")
    await store.save_link(beside)
    assert await store.links_by_remote("c", "task-1") == [link, beside]
    assert await store.links_by_remote("c", "") == []
    await check_log(store, "s")


async def test_the_effects_of_a_handoff_keep_their_order(store: Store) -> None:
    await begin(store, "s")
    await store.transact(hand_off("s", "h"))
    await asyncio.gather(*(post(store, "s", f"m{n}") for n in range(20)))
    rows = await store.pending([partition_of("connection/s")])
    stream = [row for row in rows if row.stream_key == "connection/s"]
    assert isinstance(stream[0].effect, OpenConversation)
    assert not any(isinstance(row.effect, RunTurn) for row in stream)
    texts = [getattr(row.effect, "text", None) for row in stream[-20:]]
    log = await check_log(store, "s")
    assert texts == [r.event.text for r in log[-20:]]  # type: ignore[attr-defined]


async def test_what_waits_and_why_is_counted_by_connection(store: Store) -> None:
    epochs = await store.claim(NODE, TTL_MS, NOW)
    for number in range(3):
        await begin(store, f"s{number}")
        await store.transact(hand_off(f"s{number}", f"h{number}"))
    opening = [r for r in await store.pending(range(PARTITIONS)) if isinstance(r.effect, OpenConversation)]
    await store.reschedule(opening[0].id, attempts=1, next_at=5, error="unavailable")
    given_up = settlement(opening[1], epochs, dead=True, error="forbidden")
    await store.transact(Change(session_id=opening[1].session_id, settle=given_up))
    waiting = await store.pending(range(PARTITIONS))
    ours = [row for row in waiting if row.stream_key.startswith("connection/")]
    assert 0 < len(ours) < len(waiting)
    assert (await store.waiting_for("connection")).count == len(ours)
    assert (await store.waiting_for("connect")).count == 0
    assert {t.error: t.count for t in await store.troubles("connection")} == {"unavailable": 1, "forbidden": 1}
    found = await store.not_done()
    assert (found.outbox.count, found.dead_effects, found.last_error) == (len(waiting), 1, "forbidden")
    await store.accept(HOOK)
    assert (await store.not_done()).inbox.since == HOOK.received_at
    facts = await store.facts()
    assert abs(facts.now - SystemClock().now()) < 60_000
    assert (facts.schema >= 15, facts.size_bytes > 0, facts.version.split()[0] in ("SQLite", "PostgreSQL")) == (
        True,
    ) * 3


async def test_timers_are_put_off_and_read_by_their_time(store: Store) -> None:
    soon = Timer(key="s/idle", session_id="s", kind="idle", due=10)
    late = Timer(key="t/idle", session_id="t", kind="idle", due=20)
    for timer in (soon, late):
        await store.arm(timer)
    assert await store.timers(before=20) == [soon]
    assert await store.timers(before=21) == [soon, late]
    await store.put_off(soon.key, 30)
    await store.put_off(late.key, 5)
    await store.put_off("gone/idle", 40)
    assert await store.timers() == [late, replace(soon, due=30)]
