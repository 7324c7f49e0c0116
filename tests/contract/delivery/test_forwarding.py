"""Customer messages on their way to the live agent: in order, once, and never silently lost."""

from pathlib import Path
from typing import Any

import pytest

from support.delivery import CONNECTION, Site, site
from support.faulty import FaultyStore
from warmline.delivery import DeliverySettings
from warmline.delivery.handoffs import HandoffSettings
from warmline.delivery.health import DestinationState
from warmline.delivery.outbox import OutboxSettings
from warmline.domain import events as e
from warmline.domain.texts import DELIVERY_DELAYED, NOT_DELIVERED
from warmline.handoff.contract import (
    ConversationGone,
    ProviderAuthFailed,
    ProviderError,
    ProviderNotAsked,
    ProviderRejected,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnavailable,
)
from warmline.testing import ManualClock
from warmline.testing.provider import After, Platform

DOWN = ProviderUnavailable("unavailable")
LOST = ProviderTimeout("no_answer")


async def live_session(s: Site) -> str:
    session_id = await s.node.hand_off()
    await s.live(session_id)
    return session_id


def arrived(s: Site, session_id: str, *texts: str) -> Any:
    return lambda: s.platform.of(session_id).texts == list(texts)


async def told(s: Site, session_id: str) -> list[str]:
    return [notice.text for notice in await s.of_type(session_id, e.SystemNotice)]


async def test_A16_one_in_flight_per_conversation(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.delay_s = lambda operation: 0.3
        texts = [f"message {n}" for n in range(8)]
        for text in texts:
            await s.node.post(session_id, text)
        await s.until(arrived(s, session_id, *texts))
        assert s.platform.most_in_flight[s.platform.of(session_id).id] == 1


@pytest.mark.parametrize("error", [DOWN, LOST, After(LOST), ProviderThrottled("throttled", 2.0)])
async def test_A17_the_same_id_on_every_attempt_and_the_order_kept(
    tmp_path: Path, clock: ManualClock, error: ProviderError
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.script("send", error, error)
        message_id = await s.node.post(session_id, "first")
        await s.node.post(session_id, "second")
        await s.until(arrived(s, session_id, "first", "second"))
        await s.settled()
        assert s.platform.of(session_id).messages[0].message_id == message_id
        assert await told(s, session_id) == []
        late = await s.node.store.late_deliveries(session_id)
        assert [(one.kind, one.message_id, one.attempts) for one in late] == [("ForwardMessage", message_id, 2)]
        assert late[0].error
        assert late[0].created_at < late[0].delivered_at


async def test_A18_a_confirmation_ends_the_doubt_and_nothing_is_sent_again(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, platform=Platform(clock, recognises=False)) as s:
        session_id = await live_session(s)
        s.platform.script("send", After(LOST))
        message_id = await s.node.post(session_id, "first")
        await s.node.post(session_id, "second")
        await s.until(arrived(s, session_id, "first"))
        waited = clock.monotonic()
        await s.news(session_id, "confirmed", message_id=message_id)
        await s.until(arrived(s, session_id, "first", "second"))
        assert clock.monotonic() - waited < 1.5, "the confirmation cuts the wait short"
        await s.settled()
        assert len(await s.of_type(session_id, e.MessageReceived)) == 1


async def test_without_a_confirmation_it_is_sent_again_after_2_seconds(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.script("send", After(LOST))
        message_id = await s.node.post(session_id, "first")
        await s.until(arrived(s, session_id, "first"))
        began = clock.monotonic()
        await s.until(lambda: s.platform.of(session_id).sends[message_id] == 2)
        assert clock.monotonic() - began == pytest.approx(2.0, abs=0.4)


async def test_A18_a_confirmation_before_the_answer_is_not_taken_back(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.delay_s = lambda operation: 1.0
        message_id = await s.node.post(session_id, "first")
        await s.pass_time(0.3)
        await s.news(session_id, "confirmed", message_id=message_id)
        await s.until(lambda: s.of_type(session_id, e.MessageReceived))
        await s.settled()
        handoff = (await s.session(session_id)).handoff
        assert handoff is not None
        assert handoff.undelivered == ()


async def test_a_result_that_confirms_is_told_at_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, confirmed=True) as s:
        session_id = await live_session(s)
        message_id = await s.node.post(session_id, "first")
        await s.settled()
        (received,) = await s.of_type(session_id, e.MessageReceived)
        assert received.message_id == message_id


@pytest.mark.parametrize("error", [ProviderRejected("rejected"), ConversationGone("conversation_gone")])
async def test_what_they_refuse_is_told_to_the_customer_and_kept_as_a_dead_letter(
    tmp_path: Path, clock: ManualClock, error: ProviderError
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.script("send", error)
        message_id = await s.node.post(session_id, "refused")
        await s.node.post(session_id, "fine")
        await s.until(arrived(s, session_id, "fine"))
        await s.settled()
        (notice,) = await s.of_type(session_id, e.SystemNotice)
        assert (notice.text, notice.undelivered) == (NOT_DELIVERED, message_id)
        assert [row.last_error for row in await s.store.dead()] == [error.code]


async def twice_told(s: Site, session_id: str) -> bool:
    return len(await told(s, session_id)) == 2


async def test_given_up_after_its_time_and_told(tmp_path: Path, clock: ManualClock) -> None:
    settings = DeliverySettings(handoffs=HandoffSettings(forward_for_s=20.0))
    async with site(tmp_path, clock=clock, settings=settings) as s:
        session_id = await live_session(s)
        s.platform.fault = lambda operation: DOWN
        await s.node.post(session_id, "lost")
        await s.until(lambda: twice_told(s, session_id), within_s=60)
        assert await told(s, session_id) == [DELIVERY_DELAYED, NOT_DELIVERED]
        await s.settled()


async def test_A16_throttling_is_honoured_and_keeps_the_order(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        first, second = await live_session(s), await live_session(s)
        s.platform.script("send", ProviderThrottled("throttled", 7.0))
        began = clock.monotonic()
        await s.node.post(first, "one")
        await s.until(lambda: ("send", s.platform.of(first).id) in s.platform.calls)
        calls = len(s.platform.calls)
        await s.node.post(first, "two")
        await s.node.post(second, "other")
        await s.pass_time(5)
        assert len(s.platform.calls) == calls, "nothing of this connection goes out meanwhile"
        await s.until(arrived(s, first, "one", "two"))
        await s.until(arrived(s, second, "other"))
        assert clock.monotonic() - began >= 7.0
        assert s.node.delivery.health.state(CONNECTION) is DestinationState.UP


async def test_A74_down_probes_with_one_and_flushes_in_order(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        sessions = [await live_session(s) for _ in range(8)]
        s.platform.fault = lambda operation: DOWN
        for n in range(3):
            for session_id in sessions:
                await s.node.post(session_id, f"message {n}")
        await s.until(lambda: s.node.delivery.health.state(CONNECTION) is DestinationState.DOWN)
        await s.pass_time(3)
        calls = len(s.platform.calls)
        await s.pass_time(80)
        assert 3 <= len(s.platform.calls) - calls <= 5, "one probe every 20 seconds"
        assert s.node.metric("warmline_destination_state", connection=CONNECTION) == 0
        s.platform.fault = lambda operation: None
        for session_id in sessions:
            await s.until(arrived(s, session_id, *(f"message {n}" for n in range(3))))
        assert s.node.delivery.health.state(CONNECTION) is DestinationState.UP
        await s.settled()


async def test_what_never_asked_them_does_not_bring_them_down(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        sessions = [await live_session(s) for _ in range(8)]
        s.platform.script("send", *[ProviderNotAsked("token_endpoint_unavailable")] * 8)
        for session_id in sessions:
            await s.node.post(session_id, "waits a moment")
        await s.pass_time(0.5)
        assert s.node.delivery.health.state(CONNECTION) is DestinationState.UP
        for session_id in sessions:
            await s.until(arrived(s, session_id, "waits a moment"), within_s=3)


async def test_refused_credentials_stop_the_connection_until_it_is_mended(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.script("send", ProviderAuthFailed("not_authorized"))
        await s.node.post(session_id, "first")
        await s.until(lambda: s.node.delivery.health.state(CONNECTION) is DestinationState.AUTH_FAILED)
        await s.node.post(session_id, "second")
        calls = len(s.platform.calls)
        await s.pass_time(60)
        assert len(s.platform.calls) == calls
        assert s.providers.state[CONNECTION] == "auth_failed"
        await s.providers.set_state(CONNECTION, "connected", "")
        await s.until(arrived(s, session_id, "first", "second"))


async def test_a_stuck_conversation_holds_up_no_other(tmp_path: Path, clock: ManualClock) -> None:
    settings = DeliverySettings(outbox=OutboxSettings(drain_s=0.1))
    async with site(tmp_path, clock=clock, settings=settings) as s:
        stuck, free = await live_session(s), await live_session(s)
        s.platform.delay_s = lambda operation: 3600.0
        await s.node.post(stuck, "never")
        await s.pass_time(0.5)
        s.platform.delay_s = lambda operation: 0.0
        await s.node.post(free, "quick")
        await s.until(arrived(s, free, "quick"), within_s=2)


async def test_a_provider_that_breaks_its_contract_counts_as_uncertain(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        errors = iter([KeyError("a bug")])

        def broken(_: str) -> None:
            for error in errors:
                raise error

        s.platform.fault = broken
        await s.node.post(session_id, "first")
        await s.until(arrived(s, session_id, "first"))
        await s.settled()


async def test_the_hot_path_reads_neither_sessions_nor_links(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        session_id = await live_session(s)
        await s.node.post(session_id, "warm up")
        await s.settled()
        assert isinstance(s.store, FaultyStore)
        s.store.calls.clear()
        for n in range(5):
            await s.node.post(session_id, f"message {n}")
        await s.until(lambda: len(s.platform.of(session_id).messages) == 6)
        assert "session" not in s.store.calls
        assert "link" not in s.store.calls
        assert s.store.calls.count("transact") <= 10, "accepting and settling: two changes a message"


async def test_a_node_that_has_not_seen_the_message_asks_the_store(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        # Another process accepts the customer's message; this one only finds its row.
        other = s.node.__class__(s.store, s.providers, s.clock, s.ids, s.settings, "other")
        await other.post(session_id, "from elsewhere")
        await s.until(arrived(s, session_id, "from elsewhere"))
        await s.settled()


async def test_messages_of_an_ended_handoff_are_not_sent(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.script("send", DOWN)
        await s.node.post(session_id, "too late")
        await s.until(lambda: s.platform.calls[-1][0] == "send")
        await s.news(session_id, "ended")
        await s.settled()
        assert s.platform.of(session_id).texts == []
        assert any(isinstance(event, e.SessionEnded) for event in await s.log(session_id))


async def test_what_a_customer_says_before_leaving_goes_out_before_the_end(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.script("send", DOWN, ProviderThrottled("throttled", 2.0))
        await s.node.post(session_id, "thanks")
        await s.node.post(session_id, "goodbye")
        await s.node.end_by_user(session_id)
        await s.settled()
        assert s.platform.of(session_id).texts == ["thanks", "goodbye"]
        assert s.platform.calls[-1][0] == "close"
        assert await s.store.dead() == []


async def test_a_confirmation_after_the_customer_left_ends_the_doubt(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, platform=Platform(clock, recognises=False)) as s:
        session_id = await live_session(s)
        s.platform.script("send", After(LOST))
        message_id = await s.node.post(session_id, "goodbye")
        await s.until(arrived(s, session_id, "goodbye"))
        await s.node.end_by_user(session_id)
        await s.news(session_id, "confirmed", message_id=message_id)
        await s.settled()
        assert s.platform.of(session_id).texts == ["goodbye"]


async def test_a_customer_who_leaves_unheard_leaves_no_dead_letter(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.fault = lambda operation: DOWN if operation == "open" else None
        session_id = await s.node.hand_off()
        await s.node.post(session_id, "anybody there?")
        await s.node.end_by_user(session_id)
        await s.settled()
        assert await s.store.dead() == []


async def test_the_store_out_of_reach_after_a_send_sends_nothing_twice(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, wrap=FaultyStore) as s:
        assert isinstance(s.store, FaultyStore)
        session_id = await live_session(s)
        s.platform.on_message = lambda conversation, message: s.store.down.update({"transact", "reschedule"})
        message_id = await s.node.post(session_id, "first")
        await s.until(arrived(s, session_id, "first"))
        await s.pass_time(10)
        s.platform.on_message = lambda conversation, message: None
        s.store.down.clear()
        await s.settled()
        await s.node.post(session_id, "second")
        await s.until(arrived(s, session_id, "first", "second"))
        assert s.platform.of(session_id).sends[message_id] == 1


async def test_outbox_metrics_tell_depth_age_and_dead_letters(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.script("send", ProviderRejected("rejected"), *[DOWN] * 4)
        await s.node.post(session_id, "refused")
        await s.node.post(session_id, "waits")
        await s.node.post(session_id, "waits too")
        await s.pass_time(3)
        assert s.node.metric("warmline_outbox_depth") == 2
        assert 2 <= s.node.metric("warmline_outbox_oldest_seconds") <= 4
        await s.settled()
        assert s.node.metric("warmline_outbox_depth") == 0
        refused = s.node.metric("warmline_provider_calls_total", connection=CONNECTION, result="ProviderRejected")
        assert refused == 1
