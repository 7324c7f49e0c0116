"""Changes of sessions: numbered logs, snapshots, de-duplication, group commit."""

import asyncio
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.stores import INFO, begin, change, check_log, hand_off, opened, post
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain.decide import Decision, decide
from warmline.domain.effects import OpenConversation, RunTurn
from warmline.domain.errors import RuleViolation, SessionNotFound, StoreUnavailable
from warmline.domain.messages import LiveAgent
from warmline.domain.session import Session, evolve
from warmline.domain.turn import TurnKind, TurnOutcome
from warmline.ports import Change, SessionInfo, Store, Timer, TurnRecord
from warmline.system import SystemIds
from warmline.testing import SequentialIds


async def test_a_new_session_lies_in_the_store(store: Store) -> None:
    info = SessionInfo(
        connector_id="c", project_id="p", subject="ü", environment="sandbox", variant="v", caller_number="+49"
    )
    start = c.StartSession(at=77, channel="webchat.polyai", streaming=True)

    committed = await store.transact(change("s", start, create=info))

    stored = await store.session("s")
    assert stored is not None
    assert stored.session == committed.session
    assert stored.session.last_sequence == 1
    assert stored.session.streaming
    assert stored.info == info
    assert (stored.created_at, stored.updated_at) == (77, 77)
    assert await store.events("s", 0) == list(committed.events)


async def test_a_change_returns_events_effects_and_timers_as_stored(store: Store) -> None:
    joined = await begin(store, "s")
    assert [type(r.event) for r in joined.events] == [e.JoinRequested, e.VirtualAgentJoined]
    assert [type(row.effect) for row in joined.outbox] == [RunTurn]

    handed = await store.transact(hand_off("s", "h", at=1000))

    assert handed.timers == (
        Timer(key="s/handoff", session_id="s", kind="handoff", due=1000 + 120_000, handoff_id="h"),
    )
    assert await store.timers() == list(handed.timers)
    assert {row.stream_key for row in handed.outbox} == {"connection/s"}
    assert isinstance(handed.outbox[0].effect, OpenConversation)
    assert await store.pending(range(64)) == [*joined.outbox, *handed.outbox]
    stored = await store.session("s")
    assert stored is not None
    assert stored.session.active_handoff is not None
    assert stored.updated_at == 1000
    assert stored.created_at == 1


async def test_a_timer_disarmed_by_a_change_is_gone(store: Store) -> None:
    await begin(store, "s")
    await store.transact(hand_off("s", "h"))
    joined = c.AgentJoined(at=5, handoff_id="h", agent=LiveAgent(id="a"))

    committed = await store.transact(change("s", joined))

    assert committed.timers == ("s/handoff",)
    assert await store.timers() == []


async def test_events_are_read_after_a_cursor_and_up_to_a_limit(store: Store) -> None:
    await begin(store, "s")
    for n in range(5):
        await post(store, "s", f"m{n}")
    log = await check_log(store, "s")
    assert len(log) == 8
    assert await store.events("s", 3) == log[3:]
    assert await store.events("s", 3, 2) == log[3:5]
    assert await store.events("s", 8) == []
    assert await store.events("unknown", 0) == []


async def test_texts_of_any_kind_come_back_as_they_were(store: Store) -> None:
    await begin(store, "s")
    text = "zero \x00, quote ' \", backslash \\, ünïcode ☃ 🎉, rtl \u202e, newline \n, $1 ?1 {rows}"
    custom = {"deep": [1, 2.5, None, True, {"ключ": text}]}
    await store.transact(change("s", c.PostUserMessage(at=2, message_id="m", text=text, custom=custom)))
    (recorded,) = await store.events("s", 3)
    assert recorded.event == e.UserMessage(message_id="m", text=text, custom=custom)


async def test_an_unknown_session_is_not_found(store: Store) -> None:
    with pytest.raises(SessionNotFound):
        await post(store, "nobody", "hello")
    with pytest.raises(SessionNotFound):
        await store.transact(Change(session_id="nobody", inbox_done=1))
    assert await store.session("nobody") is None


async def test_creating_an_existing_session_changes_nothing(store: Store) -> None:
    await begin(store, "s")
    other = SessionInfo(connector_id="other", project_id="other", subject="other")
    again = await store.transact(change("s", c.StartSession(at=9, channel="sms"), create=other))
    assert again.events == ()
    stored = await store.session("s")
    assert stored is not None
    assert stored.info == INFO
    assert stored.session.channel == "webchat.polyai"


async def test_the_same_key_again_gives_the_first_result_and_writes_nothing(store: Store) -> None:
    await begin(store, "s")
    first = await post(store, "s", "hello", key="ref-1", at=5)
    await post(store, "s", "between", key="ref-2", at=6)

    again = await post(store, "s", "something else", key="ref-1", at=7)

    assert again.duplicate
    assert again.events == first.events
    assert again.outbox == ()
    assert not first.duplicate
    assert len(await check_log(store, "s")) == 5
    assert len(await store.pending(range(64))) == 3


async def test_a_key_returns_all_events_of_its_change(store: Store) -> None:
    await begin(store, "s")
    await store.transact(hand_off("s", "h"))
    joined = change("s", c.AgentJoined(at=5, handoff_id="h", agent=LiveAgent(id="a")), dedup_key="agent-a")
    first = await store.transact(joined)
    assert len(first.events) == 2
    assert (await store.transact(joined)).events == first.events


async def test_a_change_without_events_is_remembered_too(store: Store) -> None:
    await begin(store, "s")
    late = change("s", c.ConversationEnded(at=5, handoff_id="gone"), dedup_key="ended")
    assert not (await store.transact(late)).duplicate
    again = await store.transact(late)
    assert again.duplicate
    assert again.events == ()


@pytest.mark.parametrize("key", ["'; --", '"]', "[0]", "ünï ☃", " ", "x" * 5000, "1", "$1", "null"])
async def test_a_key_may_be_any_text(store: Store, key: str) -> None:
    await begin(store, "s")
    first = await post(store, "s", "hello", key=key)
    assert (await post(store, "s", "hello", key=key)).events == first.events
    assert not (await post(store, "s", "hello", key=f"{key}.")).duplicate


async def test_a_key_with_nul_is_refused(store: Store) -> None:
    await begin(store, "s")
    refused, posted = await asyncio.gather(
        post(store, "s", "hello", key="a\0b"), post(store, "s", "hello", key="a"), return_exceptions=True
    )
    assert isinstance(refused, RuleViolation)
    assert not isinstance(posted, BaseException)
    assert len(await check_log(store, "s")) == 4


async def test_keys_of_different_sessions_do_not_meet(store: Store) -> None:
    for session_id in ("s", "t"):
        await begin(store, session_id)
        assert not (await post(store, session_id, "hello", key="ref")).duplicate


async def test_equal_keys_at_the_same_time_write_once(store: Store) -> None:
    await begin(store, "s")
    results = await asyncio.gather(*(post(store, "s", f"text {n}", key="ref") for n in range(20)))
    assert sum(not r.duplicate for r in results) == 1
    assert len({r.events for r in results}) == 1
    assert len(await check_log(store, "s")) == 4


async def test_a_change_that_raises_fails_alone_and_writes_nothing(store: Store) -> None:
    for n in range(20):
        await begin(store, f"s{n}")
    await store.transact(change("s7", c.EndByUser(at=3)))

    def explode(session: Session) -> Decision:
        raise ZeroDivisionError

    broken = Change(session_id="s9", decide=explode, dedup_key="broken")
    unsayable = change("s11", c.PostUserMessage(at=4, message_id="x", text="x", custom={"not JSON": object()}))
    tasks = [post(store, f"s{n}", f"text {n}", key="k") for n in range(20)]
    *posts, failed, refused = await asyncio.gather(
        *tasks, store.transact(broken), store.transact(unsayable), return_exceptions=True
    )

    assert isinstance(failed, ZeroDivisionError)
    assert isinstance(refused, TypeError)
    for n, result in enumerate(posts):
        if n == 7:
            assert isinstance(result, SessionNotFound)
        else:
            assert not isinstance(result, BaseException), result
            assert len(await check_log(store, f"s{n}")) == 4
    assert not (
        await store.transact(change("s9", c.PostUserMessage(at=5, message_id="y", text="y"), dedup_key="broken"))
    ).duplicate


async def test_what_the_database_refuses_sinks_no_neighbour(store: Store) -> None:
    for n in range(10):
        await begin(store, f"s{n}")
    too_big = Change(session_id="s4", at=2**63, decide=lambda s: Decision(events=(e.VirtualAgentLeft(),)))
    failed, *posts = await asyncio.gather(
        store.transact(too_big), *(post(store, f"s{n}", "hello") for n in range(10)), return_exceptions=True
    )
    assert isinstance(failed, Exception)
    assert not isinstance(failed, StoreUnavailable), "it must not be tried again"
    assert not [p for p in posts if isinstance(p, BaseException)]
    for n in range(10):
        assert len(await check_log(store, f"s{n}")) == 4


async def test_many_writers_of_one_session_leave_no_gap(store: Store) -> None:
    await begin(store, "s")
    results = await asyncio.gather(*(post(store, "s", f"text {n}", key=f"k{n}") for n in range(300)))
    log = await check_log(store, "s")
    assert len(log) == 303
    assert {r.events[0].sequence for r in results} == set(range(4, 304))
    rows = await store.pending(range(64))
    in_stream = [row.effect.sequence for row in rows if isinstance(row.effect, RunTurn)]
    assert in_stream == sorted(in_stream), "the outbox keeps the order of the log"


async def test_many_sessions_at_once(store: Store) -> None:
    async def live(session_id: str) -> None:
        await begin(store, session_id)
        for n in range(10):
            await post(store, session_id, f"{n}")

    await asyncio.gather(*(live(f"s{n}") for n in range(50)))
    for n in range(50):
        assert len(await check_log(store, f"s{n}")) == 13


async def test_a_caller_that_gave_up_does_not_disturb_the_others(store: Store) -> None:
    await begin(store, "s")
    tasks = [asyncio.create_task(post(store, "s", f"text {n}")) for n in range(30)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(r, asyncio.CancelledError) for r in results) == 10
    await post(store, "s", "last")
    await check_log(store, "s")


async def test_turns_leave_memory_and_records(store: Store) -> None:
    await begin(store, "s")
    assert await store.turn_start("s", "t1") == await store.turn_start("s", "t2")
    assert (await store.turn_start("s", "t1")).memory == b""
    for turn_id in ("t1", "t2", "t0"):
        await store.mark_functions_started("s", turn_id)
        await store.mark_functions_started("s", turn_id)
        assert (await store.turn_start("s", turn_id)).functions_started
        record = TurnRecord(
            turn_id=turn_id, memory=f"memory {turn_id}".encode(), record=b"\x00record " + turn_id.encode()
        )
        await store.transact(Change(session_id="s", turn=record))
    assert await store.turn_records("s") == [(t, b"\x00record " + t.encode()) for t in ("t1", "t2", "t0")]
    start = await store.turn_start("s", "t9")
    assert (start.memory, start.functions_started) == (b"memory t0", False)
    assert (await store.turn_start("other", "t1")).memory == b""
    assert await store.turn_records("other") == []


async def test_everything_is_there_after_a_restart(store_url: str) -> None:
    async with opened(store_url) as store:
        await begin(store, "s")
        first = await post(store, "s", "hello", key="ref")
        log = await check_log(store, "s")
    async with opened(store_url) as store:
        assert await check_log(store, "s") == log
        assert (await post(store, "s", "hello", key="ref")).events == first.events
        assert (await post(store, "s", "more")).events[0].sequence == len(log) + 1
        assert [row.session_id for row in await store.pending(range(64))] == ["s", "s", "s"]


async def test_ids_and_times_come_from_outside(store_url: str) -> None:
    async with opened(store_url, SequentialIds(seed=5)) as store:
        committed = await begin(store, "s", at=1234)
    assert [r.at for r in committed.events] == [1234, 1234]
    assert all(r.id.startswith("00000005-0000-4000-8000-") for r in committed.events)


async def test_closing_finishes_what_was_accepted(store_url: str) -> None:
    async with opened(store_url) as store:
        await begin(store, "s")
        tasks = [asyncio.create_task(post(store, "s", f"text {n}")) for n in range(100)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    with pytest.raises(StoreUnavailable):
        await post(store, "s", "too late")
    with pytest.raises(StoreUnavailable):
        await store.session("s")
    with pytest.raises(StoreUnavailable):
        await store.ping()
    async with opened(store_url) as store:
        assert len(await check_log(store, "s")) == 103


async def test_ping_answers(store: Store) -> None:
    await store.ping()


_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
_commands = st.one_of(
    st.builds(c.RequestJoin, at=st.integers(1, 9)),
    st.builds(c.PostUserMessage, at=st.integers(1, 9), message_id=_texts, text=_texts),
    st.builds(c.EndByUser, at=st.integers(1, 9)),
    st.builds(c.OpenFailed, at=st.integers(1, 9), handoff_id=st.just("h"), reason=_texts),
    st.builds(
        c.ApplyTurn,
        at=st.integers(1, 9),
        kind=st.just(TurnKind.START),
        outcome=st.just(TurnOutcome()),
        message_ids=st.just(()),
        plan=st.one_of(
            st.none(),
            st.just(c.HandoffPlan(handoff_id="h", connection_id="c", provider="webex", queue_timeout_s=9)),
        ),
    ),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=st.lists(st.tuples(_commands, st.sampled_from(["", "k1", "k2", "k3"])), max_size=12))
async def test_the_store_does_what_the_domain_says(store: Store, steps: list[tuple[c.Command, str]]) -> None:
    """Against a model in memory: any commands, any repeated keys, all under way at the same time."""
    session_id = SystemIds().uuid()
    started = await store.transact(change(session_id, c.StartSession(at=1, channel="sms"), create=INFO))
    model, seen, expected = started.session, {""}, []
    for command, key in steps:
        if key and key in seen:
            continue
        try:
            decision = decide(model, command)
        except SessionNotFound:
            continue
        seen.add(key)
        expected += decision.events
        model = fold_more(model, decision)

    results = await asyncio.gather(
        *(store.transact(change(session_id, command, dedup_key=key)) for command, key in steps), return_exceptions=True
    )

    assert all(isinstance(r, SessionNotFound) or not isinstance(r, BaseException) for r in results)
    log = await check_log(store, session_id)
    assert [r.event for r in log[1:]] == expected
    assert sum(len(r.events) for r in results if not isinstance(r, BaseException) and not r.duplicate) == len(expected)


def fold_more(session: Session, decision: Decision) -> Session:
    """The session after a decision; ids do not matter."""
    at = session.last_sequence
    recorded = [e.Recorded(sequence=at + n, id="", at=0, event=event) for n, event in enumerate(decision.events, 1)]
    return reduce(evolve, recorded, session)


async def test_A20_a_masked_text_takes_the_place_of_the_customers_own(store: Store) -> None:
    await begin(store, "s")
    await store.transact(hand_off("s", "h"))
    await post(store, "s", "my card is 4111 1111 1111 1111", key="m-1")
    await post(store, "s", "and something else", key="m-2")
    confirmed = c.MessageConfirmed(at=5, handoff_id="h", message_id="m-1", stored_text="my card is XXXX XXXX XXXX XXXX")
    await store.transact(change("s", confirmed))
    events = await check_log(store, "s")
    texts = [r.event.text for r in events if isinstance(r.event, e.UserMessage)]
    assert texts == ["my card is XXXX XXXX XXXX XXXX", "and something else"]
    assert "4111 1111" not in repr(events)
    again = await post(store, "s", "my card is 4111 1111 1111 1111", key="m-1")
    assert again.duplicate
    assert "4111 1111" not in repr(again.events)
