"""How a conversation is opened over there: once, with proof, or with a clear end (webex-byoc.md §15.3, §16)."""

from pathlib import Path

import pytest

from support.delivery import CONNECTION, Site, site
from warmline.domain import events as e
from warmline.domain.texts import BUSY, HANDOFF_FAILED
from warmline.handoff.contract import (
    OpenRequest,
    ProviderAuthFailed,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from warmline.ports import InboxRow
from warmline.testing import ManualClock
from warmline.testing.provider import After, ScriptedProvider

DOWN = ProviderUnavailable("unavailable")
LOST = ProviderTimeout("no_answer")


def opens(s: Site) -> int:
    return sum(operation == "open" for operation, _ in s.platform.calls)


class Looking(ScriptedProvider):
    """Remembers at which webhooks it was asked to look."""

    def __init__(self, s: Site) -> None:
        super().__init__(s.platform)
        self.looked: list[str] = []

    def claims(self, row: InboxRow, request: OpenRequest) -> bool:
        """The same answer."""
        self.looked.append(row.remote_id)
        return super().claims(row, request)


async def failed(s: Site, session_id: str) -> bool:
    return bool(await s.of_type(session_id, e.HandoffFailed))


async def opened(s: Site) -> bool:
    return bool(s.platform.conversations)


async def test_A12_accepted_only_after_proof_and_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.until(lambda: opened(s))
        await s.pass_time(3)
        assert await s.state_is(session_id, "requested")
        await s.news(session_id, "opened")
        await s.news(session_id, "queued", queue="support")
        await s.until(lambda: s.state_is(session_id, "queued"))
        await s.pass_time(2)
        assert len(await s.of_type(session_id, e.HandoffAccepted)) == 1
        assert opens(s) == 1


async def test_A15_twenty_messages_typed_before_the_proof_arrive_once_and_in_order(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        texts = [f"message {n}" for n in range(20)]
        for text in texts[:10]:
            await s.node.post(session_id, text)
        await s.until(lambda: opened(s))
        for text in texts[10:]:
            await s.node.post(session_id, text)
        await s.pass_time(3)
        assert s.platform.of(session_id).texts == []
        await s.news(session_id, "opened")
        await s.until(lambda: len(s.platform.of(session_id).messages) == 20)
        assert s.platform.of(session_id).texts == texts
        assert set(s.platform.of(session_id).sends.values()) == {1}


async def test_a_result_that_is_proof_is_accepted_at_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, proven=True) as s:
        session_id = await s.node.hand_off()
        await s.until(lambda: s.state_is(session_id, "queued"))
        await s.settled()


async def test_retried_after_1_3_and_8_seconds_with_the_same_message_id_then_failed(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        at: list[float] = []
        began = clock.monotonic()

        def refuse(_: str) -> ProviderError:
            at.append(clock.monotonic() - began)
            return DOWN

        s.platform.fault = refuse
        session_id = await s.node.hand_off()
        await s.until(lambda: failed(s, session_id))
        assert at == pytest.approx([0, 1, 4, 12], abs=0.5)
        assert clock.monotonic() - began <= 30
        (notice,) = await s.of_type(session_id, e.SystemNotice)
        assert notice.text == HANDOFF_FAILED
        (dead,) = await s.store.dead()
        assert (dead.last_error, dead.attempts) == ("unavailable", 4)
        await s.settled()


async def test_the_request_tells_what_is_known_and_counts_attempts(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", DOWN, None)
        session_id = await s.node.hand_off(
            reason="billing", destination="support", options={"queue": "x", "brief": "VIP"}, says=("Hold on.",)
        )
        await s.until(lambda: opened(s))
        request = s.platform.of(session_id).request
        assert (request.reason, request.destination, request.attempt) == ("billing", "support", 2)
        assert request.options == {"queue": "x", "brief": "VIP"}
        assert request.customer_key == session_id
        assert request.text.startswith("VIP\n\nReason: billing")
        assert "Assistant: Hold on." in request.text


@pytest.mark.parametrize("error", [ProviderRejected("rejected"), ProviderAuthFailed("not_authorized")])
async def test_a_final_answer_fails_at_once_and_leaves_a_dead_letter(
    tmp_path: Path, clock: ManualClock, error: ProviderError
) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", error)
        session_id = await s.node.hand_off()
        await s.until(lambda: failed(s, session_id), within_s=3)
        assert opens(s) == 1
        assert [row.last_error for row in await s.store.dead()] == [error.code]
        await s.settled()


async def test_a_connection_whose_credentials_are_refused_keeps_nobody_waiting(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", ProviderAuthFailed("forbidden"))
        first = await s.node.hand_off()
        await s.until(lambda: failed(s, first), within_s=3)
        second = await s.node.hand_off()
        await s.until(lambda: failed(s, second), within_s=3)
        assert opens(s) == 1
        await s.settled()
        await s.providers.set_state(CONNECTION, "connected", "")
        third = await s.node.hand_off()
        await s.until(lambda: opened(s))
        assert not await failed(s, third)


async def test_A5_a_provider_that_is_not_ready_is_not_asked(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.provider.not_ready = ProviderUnavailable("subscriptions_inactive")
        session_id = await s.node.hand_off()
        await s.pass_time(2)
        assert s.platform.calls == []
        s.provider.not_ready = None
        await s.until(lambda: opened(s))
        assert not await failed(s, session_id)


async def test_a_connection_that_is_gone_fails_the_handoff(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.providers.providers.clear()
        session_id = await s.node.hand_off()
        await s.until(lambda: failed(s, session_id))
        assert [row.last_error for row in await s.store.dead()] == ["not_connected"]


async def test_an_uncertain_attempt_is_adopted_when_there_are_news_of_it(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", After(LOST))
        session_id = await s.node.hand_off()
        await s.until(lambda: opened(s))
        remote = s.platform.of(session_id)
        await s.hook(s.platform.news(remote.id, "opened", opened_by=remote.request.message_id))
        await s.until(lambda: s.state_is(session_id, "queued"))
        assert opens(s) == 1
        await s.settled()


async def test_an_uncertain_attempt_without_news_is_repeated_after_5_seconds(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", LOST)
        began = clock.monotonic()
        await s.node.hand_off()
        await s.until(lambda: opens(s) == 2)
        assert clock.monotonic() - began == pytest.approx(5, abs=0.5)


async def test_an_uncertain_attempt_looks_at_each_webhook_of_a_conversation_that_nobody_knows_once(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.providers.providers[CONNECTION] = provider = Looking(s)
        s.platform.script("open", LOST, *[DOWN] * 10)
        session_id = await s.node.hand_off()
        unknown = [f"unknown-{number}" for number in range(20)]
        for remote_id in unknown:
            assert await s.hook(s.platform.news(remote_id, "queued")) == 200
        await s.until(lambda: failed(s, session_id), within_s=40)
        await s.hook(s.platform.news("unknown-20", "queued"))
        await s.until(lambda: s.store.dead(), within_s=120)
        assert provider.looked == [*unknown, "unknown-20"]


async def test_the_last_attempt_is_given_time_for_news_before_it_is_given_up(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        # At 0, 1, 4 and 12 seconds, and after 20 more there would be no time left for a fifth.
        s.platform.script("open", DOWN, DOWN, DOWN, After(LOST))
        session_id = await s.node.hand_off()
        await s.until(lambda: opened(s))
        await s.pass_time(2)
        remote = s.platform.of(session_id)
        await s.hook(s.platform.news(remote.id, "opened", opened_by=remote.request.message_id))
        await s.until(lambda: s.state_is(session_id, "queued"))
        assert opens(s) == 4
        assert not await failed(s, session_id)


async def test_a_conversation_found_after_we_gave_up_is_closed(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", After(LOST), *[DOWN] * 10)
        session_id = await s.node.hand_off()
        await s.until(lambda: failed(s, session_id), within_s=40)
        remote = s.platform.of(session_id)
        await s.hook(s.platform.news(remote.id, "opened", opened_by=remote.request.message_id))
        await s.until(lambda: remote.closed is not None, within_s=60)
        await s.settled()


async def test_after_giving_up_uncertain_the_row_ends_as_a_dead_letter(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", LOST, *[DOWN] * 10)
        session_id = await s.node.hand_off()
        await s.until(lambda: failed(s, session_id), within_s=40)
        await s.until(lambda: s.store.dead(), within_s=120)
        await s.settled()


async def test_the_next_handoff_does_not_wait_for_what_may_have_become_of_the_last_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", LOST, DOWN, DOWN, DOWN)
        session_id = await s.node.hand_off()
        await s.until(lambda: failed(s, session_id), within_s=40)
        await s.node.hand_off_again(session_id)
        await s.until(lambda: opened(s), within_s=6)
        await s.live(session_id)
        await s.node.post(session_id, "at last")
        await s.until(lambda: s.platform.of(session_id).texts == ["at last"])


async def test_what_became_of_the_last_handoff_is_closed_before_the_next_one_opens(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.script("open", After(LOST), DOWN, DOWN, DOWN)
        session_id = await s.node.hand_off()
        await s.until(lambda: failed(s, session_id), within_s=40)
        remote = s.platform.of(session_id)
        await s.node.hand_off_again(session_id)
        await s.hook(s.platform.news(remote.id, "opened", opened_by=remote.request.message_id))
        await s.until(lambda: remote.closed is not None, within_s=10)
        await s.until(lambda: len(s.platform.conversations) == 2, within_s=6)


async def test_a_customer_who_leaves_while_it_opens_leaves_nothing_open(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.delay_s = lambda operation: 2.0 if operation == "open" else 0.0
        session_id = await s.node.hand_off()
        await s.pass_time(0.5)
        await s.node.end_by_user(session_id)
        await s.settled()
        assert s.platform.of(session_id).closed is not None


async def test_a_crash_during_the_request_looks_for_news_before_it_asks_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        # It reached them, and the process died before the answer.
        s.platform.on_open = lambda conversation: dying.append(conversation.id)
        dying: list[str] = []
        s.platform.script("open", After(LOST))
        session_id = await s.node.hand_off()
        await s.until(lambda: bool(dying))
        await s.restart()
        remote = s.platform.of(session_id)
        await s.hook(s.platform.news(remote.id, "opened", opened_by=remote.request.message_id))
        await s.until(lambda: s.state_is(session_id, "queued"))
        assert opens(s) == 1


async def test_a_crash_before_the_request_arrived_asks_again(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.delay_s = lambda operation: 3600.0
        session_id = await s.node.hand_off()
        await s.until(lambda: opens(s) == 1)
        s.platform.delay_s = lambda operation: 0.0
        await s.restart()
        await s.until(lambda: opened(s))
        assert s.platform.of(session_id).request.attempt == 2


async def test_a_crash_after_the_link_was_saved_opens_nothing_twice(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.node.post(session_id, "hello?")
        await s.until(lambda: opened(s))
        await s.pass_time(1)
        await s.restart()
        await s.pass_time(10)
        assert opens(s) == 1
        await s.news(session_id, "opened")
        await s.until(lambda: s.platform.of(session_id).texts == ["hello?"])


async def test_a_refusal_that_may_pass_is_repeated_after_the_time_they_said(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.until(lambda: opened(s))
        first = s.platform.of(session_id)
        await s.pass_time(1)
        refused_at = clock.monotonic()
        await s.news(session_id, "refused", retry_after=15.0)
        await s.until(lambda: len(s.platform.conversations) == 2)
        assert clock.monotonic() - refused_at == pytest.approx(15.3, abs=0.5)
        second = next(r for r in s.platform.conversations.values() if r is not first)
        assert second.request.message_id != first.request.message_id, "one that was refused is not sent again"
        assert (second.request.attempt, second.request.refusals) == (2, 1)
        await s.hook(s.platform.news(second.id, "opened"))
        await s.until(lambda: s.state_is(session_id, "queued"))
        await s.settled()


async def test_A71_a_busy_contact_centre_is_told_to_the_customer_once(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        for attempt in (1, 2):
            await s.until(lambda attempt=attempt: opens(s) == attempt)
            *_, newest = s.platform.conversations
            await s.hook(s.platform.news(newest, "refused", reason="NO_ROOM", retry_after=15.0, busy=True))
            await s.until(lambda attempt=attempt: opens(s) == attempt + 1)
        await s.hook(s.platform.news([*s.platform.conversations][-1], "opened"))
        await s.until(lambda: s.state_is(session_id, "queued"))
        assert [notice.text for notice in await s.of_type(session_id, e.SystemNotice)] == [BUSY]


async def test_a_refusal_is_remembered_over_a_crash(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.until(lambda: opened(s))
        await s.news(session_id, "refused", retry_after=10.0)

        async def noted() -> bool:
            return not await s.store.inbox_pending()

        await s.until(noted)
        await s.restart()
        await s.until(lambda: opens(s) == 2)
        assert not await failed(s, session_id)


async def test_a_refusal_for_good_fails_the_handoff_without_closing_anything(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await s.node.hand_off()
        await s.until(lambda: opened(s))
        await s.news(session_id, "refused", reason="CHANNEL_ASSET_UNDEFINED")
        await s.until(lambda: failed(s, session_id))
        await s.settled()
        assert [row.last_error for row in await s.store.dead()] == ["CHANNEL_ASSET_UNDEFINED"]
        assert s.platform.of(session_id).closed is None


async def test_refusals_that_do_not_pass_end_in_failure(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        s.platform.on_open = lambda conversation: refused.append(conversation.id)
        refused: list[str] = []
        session_id = await s.node.hand_off()
        for attempt in range(1, 5):
            await s.until(lambda attempt=attempt: len(refused) == attempt)
            await s.pass_time(0.5)
            await s.hook(s.platform.news(refused[-1], "refused", retry_after=2.0, reason="BUSY"))
        await s.until(lambda: failed(s, session_id))
        assert opens(s) == 4


async def test_the_conversation_that_is_ours_already_is_adopted(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        # The first attempt came about without our knowing; the second one is refused for it.
        s.platform.script("open", After(LOST))
        session_id = await s.node.hand_off()
        await s.node.post(session_id, "hello?")
        await s.until(lambda: len(s.platform.conversations) == 2)
        first, second = s.platform.conversations.values()
        await s.pass_time(0.5)
        await s.hook(s.platform.news(second.id, "refused", reason="ALREADY_OPEN", adopt=first.id))
        await s.pass_time(1)
        await s.hook(s.platform.news(first.id, "opened"))
        await s.until(lambda: first.texts == ["hello?"])
        assert second.texts == []


async def test_a_conversation_of_another_handoff_is_not_adopted(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock) as s:
        other = await s.node.hand_off()
        await s.live(other)
        session_id = await s.node.hand_off()
        await s.until(lambda: len(s.platform.conversations) == 2)
        await s.pass_time(0.5)
        await s.news(session_id, "refused", reason="ALREADY_OPEN", adopt=s.platform.of(other).id)
        await s.until(lambda: failed(s, session_id))
        await s.node.post(other, "still there?")
        await s.until(lambda: s.platform.of(other).texts == ["still there?"])


async def test_A11_a_long_brief_is_continued_after_the_proof_in_order_and_once(
    tmp_path: Path, clock: ManualClock
) -> None:
    says = tuple(f"line {n} " + "x" * 40 for n in range(12))
    async with site(tmp_path, clock=clock, max_chars=100) as s:
        session_id = await s.node.hand_off(says=says)
        await s.node.post(session_id, "hello?")
        await s.until(lambda: opened(s))
        await s.pass_time(1)
        assert s.platform.of(session_id).texts == []
        await s.news(session_id, "opened")
        await s.until(lambda: "hello?" in s.platform.of(session_id).texts)
        remote = s.platform.of(session_id)
        whole = "\n".join([remote.request.text, *remote.texts[:-1]])
        assert all(len(text) <= 100 for text in (remote.request.text, *remote.texts))
        assert [n for n in range(12) if f"line {n} " in whole] == list(range(12))
        assert remote.texts[-1] == "hello?"
        assert set(remote.sends.values()) == {1}
        assert len(remote.sends) == len(remote.messages)


async def test_a_brief_goes_on_where_it_was_after_a_crash(tmp_path: Path, clock: ManualClock) -> None:
    says = tuple(f"line {n} " + "x" * 40 for n in range(12))
    async with site(tmp_path, clock=clock, max_chars=100) as s:
        session_id = await s.node.hand_off(says=says)
        await s.until(lambda: opened(s))
        await s.news(session_id, "opened")
        s.platform.delay_s = lambda operation: 1.0
        await s.until(lambda: len(s.platform.of(session_id).messages) == 2)
        await s.restart()
        await s.settled()
        remote = s.platform.of(session_id)
        texts = [remote.request.text, *remote.texts]
        assert len(texts) == len(set(texts)) >= 6
        assert sum(count - 1 for count in remote.sends.values()) <= 1, "at most the one in flight is sent again"


async def test_a_brief_that_is_refused_does_not_hold_up_the_customer(tmp_path: Path, clock: ManualClock) -> None:
    async with site(tmp_path, clock=clock, max_chars=100) as s:
        session_id = await s.node.hand_off(says=("x" * 90, "y" * 90))
        await s.node.post(session_id, "hello?")
        await s.until(lambda: opened(s))
        s.platform.script("send", ProviderRejected("rejected"))
        await s.news(session_id, "opened")
        await s.until(lambda: s.platform.of(session_id).texts == ["hello?"])
        assert [row.last_error for row in await s.store.dead()] == ["rejected"]


async def test_refused_credentials_keep_the_rest_of_the_brief_until_they_are_mended(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with site(tmp_path, clock=clock, max_chars=100) as s:
        session_id = await s.node.hand_off(says=("x" * 90, "y" * 90))
        await s.until(lambda: opened(s))
        s.platform.script("send", ProviderAuthFailed("not_authorized"))
        await s.news(session_id, "opened")
        await s.until(lambda: s.providers.state[CONNECTION] == "auth_failed")
        await s.node.post(session_id, "hello?")
        await s.pass_time(30)
        assert s.platform.of(session_id).texts == []
        await s.providers.set_state(CONNECTION, "connected", "")
        await s.until(lambda: "hello?" in s.platform.of(session_id).texts)
        assert any("y" * 50 in text for text in s.platform.of(session_id).texts)
        assert await s.store.dead() == []
