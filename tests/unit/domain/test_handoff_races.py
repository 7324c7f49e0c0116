"""What must come of late, doubled, missing and crossing news (webex-byoc.md §16 and §17, messaging-protocol.md §8)."""

from dataclasses import replace

import pytest

from support.session_log import ANA, BEN, MINUTE, WEBEX, SessionLog, in_handoff, joined, plan_for, says
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.effects import CloseConversation, ForwardMessage, OpenConversation, RunTurn
from warmline.domain.errors import RuleViolation
from warmline.domain.events import OnFailure
from warmline.domain.handoff import HandoffState
from warmline.domain.messages import Attachment, FileRules, LiveAgent
from warmline.domain.session import Owner
from warmline.domain.turn import TurnOutcome

S = HandoffState
ACTIVE = [state for state in HandoffState if state is not HandoffState.ENDED]


def test_H1_the_whole_way_in_the_documented_order() -> None:
    log = joined()
    log.trigger(utterance="I'll transfer you.")
    log.opened()
    log.queued(position=2)
    log.agent_joins()
    message_id = log.post("hi")
    log.confirms(message_id)
    log.agent_says("Hello")
    log.provider_ends()
    assert log.shown()[-12:] == [
        "USER_MESSAGE",
        "POLY_AGENT_MESSAGE",
        "POLY_AGENT_TRIGGERED_HANDOFF",
        "POLY_AGENT_LEFT",
        "HANDOFF_ACCEPTED",
        "HANDOFF_QUEUE_STATUS",
        "LIVE_AGENT_JOINED",
        "USER_MESSAGE",
        "LIVE_AGENT_RECEIVED_MESSAGE",
        "LIVE_AGENT_MESSAGE",
        "LIVE_AGENT_LEFT",
        "SESSION_END",
    ]
    assert log.session.ended is e.EndReason.NATURAL_END


# --- queue news ------------------------------------------------------------------------------------------------


def test_H6_queue_news_are_told_on_change_only() -> None:
    log = in_handoff(S.QUEUED)
    log.queued()
    assert log.wire() == ["HANDOFF_QUEUE_STATUS"], "that it waits in a queue is news once"
    log.queued()
    assert log.wire() == []
    log.queued(queue_name="support", position=3, wait_seconds=60)
    status = log.one(e.QueueStatusChanged)
    assert (status.queue_name, status.position, status.wait_seconds) == ("support", 3, 60)
    log.queued(queue_name="support", position=3, wait_seconds=60)
    assert log.wire() == []
    log.queued(queue_name="support", position=2, wait_seconds=60)
    assert log.wire() == ["HANDOFF_QUEUE_STATUS"]


def test_queue_news_do_not_put_off_the_deadline() -> None:
    log = in_handoff(S.QUEUED)
    due = log.armed["handoff"].due
    log.now += MINUTE
    log.queued(position=1)
    assert (log.armed["handoff"].due, log.handoff.deadline) == (due, due)


def test_race_6_an_offer_that_was_not_taken_shows_nothing() -> None:
    log = in_handoff(S.QUEUED)
    log.queued(at=100)
    log.queued(at=300)
    assert (log.wire(), log.handoff.state) == ([], S.QUEUED)


def test_race_13_older_queue_news_do_not_undo_a_join() -> None:
    log = in_handoff(S.QUEUED)
    log.agent_joins(at=200)
    log.queued(at=100)
    assert (log.wire(), log.handoff.state) == ([], S.LIVE)


def test_queue_news_of_the_same_moment_do_not_undo_a_join() -> None:
    """The platform's ranks break the tie: parked comes before connected (webex-byoc.md §16.1)."""
    log = in_handoff(S.QUEUED)
    log.agent_joins(at=200)
    log.queued(at=200)
    log.agent_leaves(at=200)
    assert log.handoff.state is S.LIVE


def test_news_without_a_time_do_not_make_it_forget_the_newest_time() -> None:
    log = in_handoff(S.QUEUED)
    log.queued(at=200)
    log.agent_joins()
    log.queued(at=100)
    assert log.handoff.state is S.LIVE


# --- joins -----------------------------------------------------------------------------------------------------


def test_race_4_a_reply_before_the_join_shows_the_join_first_and_the_late_join_nothing() -> None:
    log = in_handoff(S.QUEUED)
    log.agent_says(agent=ANA, at=210)
    assert log.wire() == ["LIVE_AGENT_JOINED", "LIVE_AGENT_MESSAGE"]
    assert log.one(e.LiveAgentJoined).agent == ANA
    log.agent_joins(LiveAgent(id="the same person under another id"), at=200)
    assert log.wire() == []


def test_the_same_agent_joins_once() -> None:
    log = in_handoff(S.LIVE)
    log.agent_joins(ANA)
    assert log.wire() == []
    log.agent_joins(LiveAgent(id=""))
    assert log.wire() == [], "an unknown agent is no other agent"


def test_H13_a_transfer_shows_the_new_agent_and_nobody_leaving() -> None:
    log = in_handoff(S.LIVE)
    log.agent_joins(BEN)
    assert log.wire() == ["LIVE_AGENT_JOINED"]
    assert log.handoff.agent == BEN
    log.agent_leaves()
    log.agent_joins(ANA)
    assert "LIVE_AGENT_LEFT" not in log.shown()


def test_race_12_a_join_after_the_end_changes_nothing() -> None:
    log = in_handoff(S.LIVE)
    log.provider_ends()
    log.agent_joins(BEN)
    assert log.wire() == []


def test_race_5_a_text_of_the_flow_proves_the_conversation_but_joins_nobody() -> None:
    log = in_handoff(S.REQUESTED)
    log.agent_says("You are in the queue.", agent=None)
    assert log.wire() == ["HANDOFF_ACCEPTED", "LIVE_AGENT_MESSAGE"]
    assert log.session.owner is Owner.QUEUE


def test_the_confirmation_of_the_brief_proves_the_conversation() -> None:
    log = in_handoff(S.REQUESTED)
    log.confirms("the brief's id")
    assert (log.wire(), log.handoff.state) == (["HANDOFF_ACCEPTED"], S.QUEUED)


# --- transfers -------------------------------------------------------------------------------------------------


def test_words_from_before_a_transfer_are_shown_without_a_second_join() -> None:
    log = in_handoff(S.LIVE)
    log.agent_leaves(at=300)
    log.agent_says("One moment, I'll pass you on.", at=290)
    assert (log.wire(), log.handoff.state) == (["LIVE_AGENT_MESSAGE"], S.TRANSFERRING)
    log.agent_says("Hello, Ben here.", agent=BEN, at=310)
    assert (log.wire(), log.handoff.state) == (["LIVE_AGENT_JOINED", "LIVE_AGENT_MESSAGE"], S.LIVE)


def test_an_end_while_transferring_is_the_end_of_a_conversation_not_a_failed_handoff() -> None:
    log = in_handoff(S.TRANSFERRING)
    log.provider_ends()
    assert log.wire() == ["LIVE_AGENT_LEFT", "SESSION_END"]


def test_a_transfer_nobody_takes_times_out() -> None:
    log = in_handoff(S.TRANSFERRING)
    assert log.armed["handoff"].due == log.now + 15 * MINUTE
    log.deadline()
    assert log.wire() == ["HANDOFF_TIMEOUT", "SYSTEM_MESSAGE", "POLY_AGENT_JOINED"]


# --- deadlines -------------------------------------------------------------------------------------------------


def test_a_deadline_after_the_join_changes_nothing() -> None:
    log = in_handoff(S.QUEUED)
    timer = log.armed["handoff"]
    log.agent_joins()
    log.apply(c.DeadlineReached(at=timer.due, handoff_id=timer.handoff_id))
    assert (log.wire(), log.handoff.state) == ([], S.LIVE)


def test_the_deadline_for_opening_does_not_end_the_wait_in_the_queue() -> None:
    log = in_handoff(S.REQUESTED)
    opening = log.armed["handoff"]
    log.now = opening.due - 1
    log.opened()
    log.apply(c.DeadlineReached(at=opening.due, handoff_id=opening.handoff_id))
    assert (log.wire(), log.handoff.state) == ([], S.QUEUED)
    log.deadline(late_by=5_000)
    assert log.wire()[0] == "HANDOFF_TIMEOUT"


def test_a_deadline_from_before_a_transfer_does_not_end_the_wait() -> None:
    log = in_handoff(S.QUEUED)
    timer = log.armed["handoff"]
    log.now = timer.due - 1
    log.agent_joins()
    log.agent_leaves()
    log.apply(c.DeadlineReached(at=timer.due, handoff_id=timer.handoff_id))
    assert (log.wire(), log.handoff.state) == ([], S.TRANSFERRING)


def test_without_a_queue_deadline_nobody_stops_waiting() -> None:
    log = in_handoff(S.REQUESTED, queue_timeout_s=0)
    opening = log.armed["handoff"]
    log.opened()
    assert log.armed == {}
    log.apply(c.DeadlineReached(at=opening.due, handoff_id=opening.handoff_id))
    assert (log.wire(), log.handoff.state) == ([], S.QUEUED)


def test_the_deadline_for_opening_is_the_plans() -> None:
    log = in_handoff(S.REQUESTED, accept_timeout_s=30)
    assert log.armed["handoff"].due == log.now + 30_000
    log.deadline()
    assert log.one(e.HandoffFailed).reason == "no_answer_in_time"


# --- messages of the customer ------------------------------------------------------------------------------------


def test_H9_a_message_that_cannot_be_delivered_is_told_once_with_its_metadata() -> None:
    log = in_handoff(S.LIVE)
    message_id = log.post("hi", custom={"local_id": "7"})
    log.undeliverable(message_id)
    notice = log.one(e.SystemNotice)
    assert (notice.level, notice.text) == (e.NoticeLevel.ERROR, "Failed to forward message to live agent")
    assert (notice.custom, notice.undelivered) == ({"local_id": "7"}, message_id)
    assert log.session.ended is None
    log.undeliverable(message_id)
    log.confirms(message_id)
    assert log.wire() == []
    log.provider_ends()
    assert log.wire() == ["LIVE_AGENT_LEFT", "SESSION_END"]


@pytest.mark.parametrize("state", ACTIVE)
def test_nobody_is_told_about_a_message_that_was_never_sent(state: HandoffState) -> None:
    log = in_handoff(state)
    log.undeliverable("unknown")
    assert log.wire() == []


@pytest.mark.parametrize("state", [S.QUEUED, S.LIVE, S.TRANSFERRING])
def test_race_3_a_confirmation_counts_once(state: HandoffState) -> None:
    log = in_handoff(state)
    message_id = log.post()
    log.confirms(message_id, stored_text="my card is ####")
    assert log.one(e.MessageReceived) == e.MessageReceived(message_id=message_id, stored_text="my card is ####")
    log.confirms(message_id)
    log.undeliverable(message_id)
    assert log.wire() == []


RULES = FileRules(max_count=2, max_bytes=100, max_total_bytes=30, types=("image/*", "application/pdf"))
PNG = Attachment(content_url="https://w.example/files/1/a.png", title="photo.png", mime_type="image/png", size=10)
PDF = Attachment(content_url="https://w.example/files/2/b.pdf", title="bill.pdf", mime_type="application/pdf", size=20)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ((PNG.content_url,), "bill.pdf was not delivered: it did not pass the security check."),
        ((), "photo.png, bill.pdf were not delivered: they did not pass the security check."),
    ],
)
def test_A21_what_the_platform_dropped_is_named_with_the_confirmation(kept: tuple[str, ...], told: str) -> None:
    log = in_handoff(S.LIVE, files=RULES)
    message_id = log.post("both", attachments=(PNG, PDF))
    log.confirms(message_id, kept=kept)
    assert log.wire() == ["LIVE_AGENT_RECEIVED_MESSAGE", "SYSTEM_MESSAGE"]
    notice = log.one(e.SystemNotice)
    assert (notice.level, notice.text) == (e.NoticeLevel.WARNING, told)


def test_A21_without_knowing_which_file_was_dropped_the_customer_is_told_that_one_was() -> None:
    log = in_handoff(S.LIVE)
    log.confirms(log.post(), kept=())
    assert "security check" in log.one(e.SystemNotice).text


def test_A20_the_last_part_of_a_long_text_replaces_nothing() -> None:
    log = in_handoff(S.LIVE)
    message_id = log.post("part one, part two")
    log.confirms(message_id, stored_text="part two")
    assert log.one(e.MessageReceived).stored_text is None


def test_files_go_out_with_their_message_while_somebody_takes_them() -> None:
    log = in_handoff(S.LIVE, files=RULES)
    message_id = log.post("", attachments=(PNG,))
    (sent,) = [effect for effect in log.effects if isinstance(effect, ForwardMessage)]
    assert (sent.message_id, sent.text, sent.attachments) == (message_id, "", (PNG,))


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ((PNG, PNG, PNG), "file_count"),
        ((replace(PNG, size=101),), "file_size"),
        ((PNG, replace(PDF, size=21)), "file_size"),
        ((replace(PNG, mime_type="text/plain"),), "file_type"),
    ],
)
def test_files_that_break_the_policy_are_refused_with_a_sentence(files: tuple[Attachment, ...], code: str) -> None:
    log = in_handoff(S.LIVE, files=RULES)
    with pytest.raises(RuleViolation) as refused:
        log.post("see", attachments=files)
    assert refused.value.code == code
    assert refused.value.public_message.endswith(".")


@pytest.mark.parametrize(("state", "rules"), [(S.REQUESTED, RULES), (S.LIVE, None)])
def test_files_that_nobody_takes_now_are_refused(state: S, rules: FileRules | None) -> None:
    log = in_handoff(state, files=rules)
    with pytest.raises(RuleViolation, match="files_not_taken"):
        log.post("see", attachments=(PNG,))


def test_A19_files_left_out_of_a_message_sent_again_are_named() -> None:
    log = in_handoff(S.LIVE, files=RULES)
    message_id = log.post("see", attachments=(PDF,))
    again = c.ResendMessage(at=log.now, handoff_id=log.handoff.id, message_id=message_id, smaller=True, alias="other")
    log.apply(again)
    assert log.effect(ForwardMessage).smaller
    assert log.one(e.SystemNotice).text == "bill.pdf was not delivered: such files are not taken here."


def test_files_that_reached_nobody_are_owned_up_to_and_only_words_go_back() -> None:
    log = in_handoff(S.QUEUED, files=RULES)
    log.post("", attachments=(PNG,))
    words = log.post("see above", attachments=(PNG,))
    log.provider_ends()
    assert log.one(e.HandoffFailed).returned == (words,)
    assert texts.FILES_NOT_DELIVERED in [event.text for event in log.step.events if isinstance(event, e.SystemNotice)]


def test_H7_messages_are_echoed_and_forwarded_in_order() -> None:
    log = in_handoff(S.REQUESTED)
    sent = [log.post(text) for text in ("one", "two", "three")]
    forwarded = [effect.message_id for effect in log.effects if isinstance(effect, ForwardMessage)]
    assert forwarded == sent
    assert log.session.unanswered == ()


@pytest.mark.parametrize("return_after_live", [False, True])
def test_race_8_a_message_that_crossed_the_end_is_told(return_after_live: bool) -> None:
    log = in_handoff(S.LIVE, return_after_live=return_after_live)
    log.post("wait!")
    log.provider_ends()
    assert log.one(e.SystemNotice).text == texts.LAST_MESSAGES_UNCERTAIN
    assert log.wire()[:2] == ["SYSTEM_MESSAGE", "LIVE_AGENT_LEFT"]
    assert (log.session.unanswered, log.handoff.undelivered) == ((), ()), "told, so nobody answers it a second time"


# --- failure -----------------------------------------------------------------------------------------------------


def test_H10_a_failed_handoff_returns_and_its_messages_are_answered() -> None:
    log = in_handoff(S.REQUESTED)
    sent = [log.post("one"), log.post("two")]
    log.open_fails("CHANNEL_ASSET_UNDEFINED")
    assert log.wire() == ["HANDOFF_FAILED", "SYSTEM_MESSAGE", "POLY_AGENT_JOINED"]
    assert log.one(e.HandoffFailed) == e.HandoffFailed(reason="CHANNEL_ASSET_UNDEFINED", returned=tuple(sent))
    assert log.one(e.SystemNotice).text == "Sorry, we could not connect you to an agent. Please try again."
    assert log.one(e.VirtualAgentJoined).agent_name == "Lumi"
    assert [turn.turn_id for turn in log.turns()] == sent
    assert log.session.owner is Owner.VIRTUAL_AGENT
    assert all(log.session.wants(turn) for turn in log.turns())
    log.answer("1")
    log.answer("2")
    assert log.session.unanswered == ()
    log.post()
    assert log.turns(), "the next message gets an answer"


def test_H11_nobody_took_it_in_time_the_session_goes_on() -> None:
    log = in_handoff(S.QUEUED)
    log.deadline()
    assert log.wire() == ["HANDOFF_TIMEOUT", "SYSTEM_MESSAGE", "POLY_AGENT_JOINED"]
    assert log.one(e.SystemNotice).text == texts.HANDOFF_TIMED_OUT
    assert log.effect(CloseConversation).reason == "no_answer_in_time"


@pytest.mark.parametrize("fail", [SessionLog.open_fails, SessionLog.provider_ends, SessionLog.deadline])
def test_on_failure_end_ends_the_session(fail: object) -> None:
    log = in_handoff(S.REQUESTED, on_failure=OnFailure.END)
    log.post()
    fail(log)  # type: ignore[operator]
    assert log.wire() == ["HANDOFF_FAILED", "SYSTEM_MESSAGE", "SESSION_END"]
    assert log.one(e.HandoffFailed).returned == ()
    assert log.effect(RunTurn).turn_id == "end"


def test_on_failure_end_after_a_timeout_promises_no_virtual_agent() -> None:
    log = in_handoff(S.QUEUED, on_failure=OnFailure.END)
    log.deadline()
    assert log.wire() == ["HANDOFF_TIMEOUT", "SYSTEM_MESSAGE", "SESSION_END"]
    assert log.one(e.SystemNotice).text == texts.HANDOFF_TIMED_OUT_END


def test_a_second_handoff_after_a_failed_one() -> None:
    log = in_handoff(S.REQUESTED)
    log.open_fails()
    log.trigger("handoff-2")
    assert log.effect(OpenConversation).handoff_id == "handoff-2"
    log.apply(c.ConversationOpened(at=log.now, handoff_id="handoff-1"))
    log.apply(c.AgentMessage(at=log.now, handoff_id="handoff-1", message_id="x", text="late", agent=ANA))
    log.apply(c.ConversationEnded(at=log.now, handoff_id="handoff-1"))
    assert (log.wire(), log.handoff.state) == ([], S.REQUESTED)
    log.agent_joins()
    assert log.wire() == ["HANDOFF_ACCEPTED", "LIVE_AGENT_JOINED"]


def test_a_returned_message_can_ask_for_a_human_again() -> None:
    log = in_handoff(S.REQUESTED)
    log.post("a human!")
    asked = log.session.last_sequence
    second = log.post("please")
    log.open_fails()
    log.turn(TurnOutcome(handoff=WEBEX), answers=asked, plan=plan_for("handoff-2"))
    assert log.effect(ForwardMessage).message_id == second
    assert [m.message_id for m in log.handoff.undelivered] == [second]


# --- after the live agent ------------------------------------------------------------------------------------------


def test_H12_the_agent_ends_the_session_ends() -> None:
    log = in_handoff(S.LIVE)
    log.provider_ends("Agent Left")
    assert log.wire() == ["LIVE_AGENT_LEFT", "SESSION_END"]
    assert log.one(e.LiveAgentLeft) == e.LiveAgentLeft(agent_id=ANA.id, reason="Agent Left")
    assert log.one(e.SessionEnded).reason is e.EndReason.NATURAL_END


def test_return_after_live_brings_the_virtual_agent_back() -> None:
    log = in_handoff(S.LIVE, return_after_live=True)
    log.provider_ends()
    assert log.wire() == ["LIVE_AGENT_LEFT", "POLY_AGENT_JOINED"]
    assert log.session.owner is Owner.VIRTUAL_AGENT
    log.post("thanks")
    log.turn(says("You're welcome"))
    assert log.wire() == ["POLY_AGENT_MESSAGE"]


def test_race_26_last_words_are_shown_up_to_a_minute_after_the_return() -> None:
    log = in_handoff(S.LIVE, return_after_live=True)
    log.provider_ends()
    ended = log.session
    log.now += MINUTE
    log.agent_says("Oh, and good luck!")
    assert log.wire() == ["LIVE_AGENT_MESSAGE"]
    assert (log.session.owner, log.handoff) == (Owner.VIRTUAL_AGENT, ended.handoff)
    log.now += 1
    log.agent_says("Still there?")
    assert log.wire() == []


def test_words_of_an_agent_who_never_joined_are_not_shown_after_a_failure() -> None:
    log = in_handoff(S.QUEUED)
    log.deadline()
    log.agent_says("Hello?")
    log.agent_says("Our flow", agent=None)
    assert log.wire() == []


def test_race_7_both_ends_at_once_end_it_once() -> None:
    log = in_handoff(S.LIVE)
    log.end_by_user()
    log.provider_ends()
    assert log.wire() == []
    assert log.shown().count("SESSION_END") == 1
