"""What each command of the customer and of the virtual agent comes to."""

from dataclasses import replace

import pytest

from support.session_log import WEBEX, SessionLog, in_handoff, joined, plan_for, says, started
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.decide import MAX_START_FAILURES
from warmline.domain.effects import (
    CloseConversation,
    ForwardMessage,
    OpenConversation,
    RunTurn,
    SendBriefRest,
    stream_key,
)
from warmline.domain.errors import SessionNotFound
from warmline.domain.handoff import HandoffState
from warmline.domain.messages import Attachment, CallAction, Say
from warmline.domain.session import Owner, evolve
from warmline.domain.turn import TurnKind, TurnOutcome

FAILED = TurnOutcome(failed=True)


# --- start and join --------------------------------------------------------------------------------------------


def test_start_begins_the_log() -> None:
    log = SessionLog()
    log.start(streaming=True)
    assert log.wire() == ["SESSION_START"]
    assert log.one(e.SessionStarted).streaming
    assert (log.session.last_sequence, log.session.owner) == (1, Owner.NOBODY)


def test_a_second_start_changes_nothing() -> None:
    log = started()
    log.start()
    assert log.step.events == ()


@pytest.mark.parametrize("give", [SessionLog.join, SessionLog.post, SessionLog.end_by_user])
def test_a_session_that_never_started_is_not_found(give: object) -> None:
    with pytest.raises(SessionNotFound):
        give(SessionLog())  # type: ignore[operator]


def test_C1_join_is_echoed_then_the_agent_joins_and_a_start_turn_runs() -> None:
    log = started()
    log.join(custom={"local_id": "1"})
    assert log.wire() == ["REQUEST_POLY_AGENT_JOIN", "POLY_AGENT_JOINED"]
    assert log.one(e.JoinRequested).custom == {"local_id": "1"}
    assert log.one(e.VirtualAgentJoined) == e.VirtualAgentJoined(agent_name="Lumi", agent_avatar_url="https://x/a")
    assert log.effect(RunTurn).kind is TurnKind.START
    assert log.session.owner is Owner.VIRTUAL_AGENT
    log.greet("Hello")
    assert log.wire() == ["POLY_AGENT_MESSAGE"]


def test_C2_a_second_join_gives_the_echo_only() -> None:
    log = joined()
    log.join()
    assert log.wire() == ["REQUEST_POLY_AGENT_JOIN"]
    assert log.step.effects == ()


@pytest.mark.parametrize("state", [state for state in HandoffState if state is not HandoffState.ENDED])
def test_H16_a_join_during_a_handoff_does_not_bring_the_virtual_agent_back(state: HandoffState) -> None:
    log = in_handoff(state)
    owner = log.session.owner
    log.join()
    assert log.wire() == ["REQUEST_POLY_AGENT_JOIN"]
    assert (log.step.effects, log.session.owner) == ((), owner)


def test_messages_before_the_join_are_echoed_and_held_then_answered_after_the_start() -> None:
    log = started()
    first, second = log.post("one"), log.post("two")
    assert (log.wire(), log.step.effects) == (["USER_MESSAGE"], ())
    log.join()
    assert [turn.turn_id for turn in log.turns()[1:]] == [first, second]
    assert [turn.kind for turn in log.turns()] == [TurnKind.START, TurnKind.MESSAGE, TurnKind.MESSAGE]
    log.greet("Hello")
    log.answer("1")
    log.answer("2")
    assert log.session.unanswered == ()


def test_a_silent_start_says_nothing() -> None:
    log = started()
    log.join()
    log.greet()
    assert log.step.events == ()
    log.post()
    log.answer("Hi")
    assert log.session.unanswered == ()


# --- failing starts --------------------------------------------------------------------------------------------


def test_A13_a_failed_start_is_told_and_can_be_tried_again() -> None:
    log = started()
    log.join()
    log.turn(FAILED, kind=TurnKind.START)
    notice = log.one(e.SystemNotice)
    assert "unable to start a conversation" in notice.text
    assert (log.session.joined, log.session.owner, log.session.start_failures) == (False, Owner.NOBODY, 1)
    log.join()
    assert log.wire() == ["REQUEST_POLY_AGENT_JOIN", "POLY_AGENT_JOINED"]
    assert log.effect(RunTurn).turn_id == f"start-{log.session.last_sequence - 1}"


def test_a_failed_start_starts_no_handoff_and_no_end() -> None:
    log = started()
    log.join()
    log.turn(replace(FAILED, handoff=WEBEX, end=True), kind=TurnKind.START, plan=plan_for())
    assert log.wire() == ["SYSTEM_MESSAGE"]
    assert (log.session.handoff, log.session.ended) == (None, None)


def test_a_message_held_over_a_failed_start_is_answered_after_the_next_one() -> None:
    log = started()
    log.post()
    log.join()
    start, stale = log.turns()
    assert log.session.wants(start)
    log.turn(FAILED, kind=TurnKind.START)
    assert not log.session.wants(stale), "nobody is there to answer"
    log.join()
    start_again, again = log.turns()
    assert not log.session.wants(stale), "it would come before the start"
    assert log.session.wants(start_again)
    assert log.session.wants(again)
    log.greet("Hello")
    log.answer("Hi")
    assert not log.session.wants(again)


def test_starts_that_keep_failing_end_the_session() -> None:
    log = started()
    for _ in range(MAX_START_FAILURES - 1):
        log.join()
        log.turn(FAILED, kind=TurnKind.START)
    log.join()
    log.turn(FAILED, kind=TurnKind.START)
    assert log.wire() == ["SYSTEM_MESSAGE", "SESSION_END"]
    assert "unable to start" not in log.one(e.SystemNotice).text, "clients would join again"
    assert [turn.kind for turn in log.turns()] == [TurnKind.END]


# --- messages and turns ----------------------------------------------------------------------------------------


def test_C4_a_message_is_echoed_with_its_metadata_and_a_turn_runs() -> None:
    log = joined()
    message_id = log.post("hi", custom={"local_id": "7"})
    echo = log.one(e.UserMessage)
    assert (echo.message_id, echo.text, echo.custom) == (message_id, "hi", {"local_id": "7"})
    turn = log.effect(RunTurn)
    assert (turn.turn_id, turn.kind, turn.text) == (message_id, TurnKind.MESSAGE, "hi")
    assert turn.sequence == log.session.last_sequence


def test_an_answer_answers_its_message_and_not_the_next_one() -> None:
    log = joined()
    log.post("one")
    second = log.post("two")
    log.answer("1")
    assert [m.message_id for m in log.session.unanswered] == [second]


def test_a_turn_applied_twice_answers_once() -> None:
    log = joined()
    log.post()
    sequence = log.session.last_sequence
    log.turn(says("Hi"), answers=sequence)
    log.turn(says("Hi"), answers=sequence)
    assert log.step.events == ()


def test_a_turn_with_nothing_to_say_changes_nothing() -> None:
    log = joined()
    log.post()
    log.turn(says("", "  "))
    assert log.step.events == ()


def test_A1_a_whole_message_when_not_streaming() -> None:
    log = joined()
    log.post()
    say = Say(text="One. Two.", suggestions=("Yes",), attachments=(Attachment(content_url="https://x/i.png"),))
    log.turn(TurnOutcome(says=(say,)))
    message = log.one(e.VirtualAgentMessage)
    assert (message.text, message.suggestions, message.attachments) == (say.text, say.suggestions, say.attachments)


def test_A2_chunks_share_an_id_count_from_one_and_only_the_last_is_complete() -> None:
    log = joined(streaming=True)
    log.post()
    log.answer("One. Two. Three.")
    chunks = [event for event in log.step.events if isinstance(event, e.VirtualAgentChunk)]
    assert [chunk.text for chunk in chunks] == ["One. ", "Two. ", "Three."]
    assert [chunk.index for chunk in chunks] == [1, 2, 3]
    assert [chunk.complete for chunk in chunks] == [False, False, True]
    assert len({chunk.message_id for chunk in chunks}) == 1
    assert log.session.unanswered == ()


def test_A5_suggestions_and_attachments_are_in_the_last_chunk_only() -> None:
    log = joined(streaming=True)
    log.post()
    link = Attachment(content_url="https://x/")
    log.turn(TurnOutcome(says=(Say(text="One. Two.", suggestions=("Yes",), attachments=(link,)),)))
    first, last = (event for event in log.step.events if isinstance(event, e.VirtualAgentChunk))
    assert (first.suggestions, first.attachments) == ((), ())
    assert (last.suggestions, last.attachments) == (("Yes",), (link,))


def test_A6_call_actions_come_as_a_whole_message_even_when_streaming() -> None:
    log = joined(streaming=True)
    log.post()
    call = CallAction(contact_number="+15550100")
    log.turn(TurnOutcome(says=(Say(text="One. Two.", call_actions=(call,)),)))
    assert log.one(e.VirtualAgentMessage).call_actions == (call,)


def test_a_message_without_text_comes_whole_when_streaming() -> None:
    log = joined(streaming=True)
    log.post()
    log.turn(TurnOutcome(says=(Say(text="", suggestions=("Yes", "No")),)))
    assert log.one(e.VirtualAgentMessage).suggestions == ("Yes", "No")


def test_A8_messages_of_one_turn_are_streamed_one_after_the_other() -> None:
    log = joined(streaming=True)
    log.post()
    log.answer("One. Two.", "Three. Four.")
    flags = [event.complete for event in log.step.events if isinstance(event, e.VirtualAgentChunk)]
    assert flags == [False, True, False, True]


def test_A12_a_failed_turn_is_told_with_the_metadata_of_its_message_and_the_session_goes_on() -> None:
    log = joined()
    log.post(custom={"local_id": "7"})
    log.turn(FAILED)
    notice = log.one(e.SystemNotice)
    assert (notice.text, notice.level, notice.custom) == (texts.TURN_FAILED, e.NoticeLevel.ERROR, {"local_id": "7"})
    assert log.session.unanswered == ()
    log.post()
    log.answer("Back again")
    assert log.wire() == ["POLY_AGENT_MESSAGE"]


def test_A14_a_language_is_told_when_it_changes() -> None:
    log = joined()
    log.post()
    log.turn(replace(says("Bonjour"), language="fr-CA"))
    assert log.wire() == ["LANGUAGE_CHANGED", "POLY_AGENT_MESSAGE"]
    assert (log.session.language, log.session.unanswered) == ("fr-CA", ())
    log.post()
    log.turn(replace(says("Oui"), language="fr-CA"))
    assert log.wire() == ["POLY_AGENT_MESSAGE"]


def test_the_outcome_of_an_end_turn_says_nothing() -> None:
    log = joined()
    log.turn(says("Too late"), kind=TurnKind.END)
    assert log.step.events == ()
    log.end_by_user()
    log.turn(says("Too late"), kind=TurnKind.END)
    assert log.step.events == ()


# --- handing over ----------------------------------------------------------------------------------------------


def test_H1_the_utterance_comes_before_the_trigger_and_the_agent_leaves() -> None:
    log = joined()
    log.trigger(utterance="I'll transfer you.")
    assert log.wire() == ["POLY_AGENT_MESSAGE", "POLY_AGENT_TRIGGERED_HANDOFF", "POLY_AGENT_LEFT"]
    assert (log.session.owner, log.handoff.state) == (Owner.QUEUE, HandoffState.REQUESTED)
    assert (log.handoff.undelivered, log.session.unanswered) == ((), ())
    assert [type(effect) for effect in log.step.effects] == [OpenConversation, SendBriefRest]
    assert log.armed["handoff"].due == log.now + 120_000 == log.handoff.deadline


def test_the_brief_tells_the_log_up_to_the_utterance() -> None:
    log = joined()
    log.trigger(utterance="I'll transfer you.", reason="billing", destination="support", options={"queue": "a"})
    opening = log.effect(OpenConversation)
    assert log.log[opening.through - 1].event == log.one(e.VirtualAgentMessage)
    assert isinstance(log.log[opening.answered - 1].event, e.UserMessage)
    assert (opening.reason, opening.destination, opening.options) == ("billing", "support", {"queue": "a"})
    assert (opening.handoff_id, opening.connection_id) == ("handoff-1", "webex-1")


def test_messages_that_wait_behind_the_trigger_are_forwarded_in_order_behind_the_brief() -> None:
    log = joined()
    log.post("a human, please")
    asked = log.session.last_sequence
    later = [log.post("are you there?"), log.post("hello?")]
    log.turn(replace(TurnOutcome(), handoff=WEBEX), answers=asked, plan=plan_for())
    kinds = [type(effect) for effect in log.step.effects]
    assert kinds == [OpenConversation, SendBriefRest, ForwardMessage, ForwardMessage]
    assert [f.message_id for f in log.step.effects if isinstance(f, ForwardMessage)] == later
    assert [m.message_id for m in log.handoff.undelivered] == later
    assert len({stream_key("session", effect) for effect in log.step.effects}) == 1
    log.turn(says("Me again"), answers=log.session.last_sequence)
    assert log.step.events == (), "the virtual agent is silent now"


def test_a_start_turn_can_hand_over_and_held_messages_follow() -> None:
    log = started()
    held = log.post("hi")
    log.join()
    _, turn = log.turns()
    log.turn(replace(says("Connecting you."), handoff=WEBEX), kind=TurnKind.START, plan=plan_for())
    assert log.wire() == ["POLY_AGENT_MESSAGE", "POLY_AGENT_TRIGGERED_HANDOFF", "POLY_AGENT_LEFT"]
    assert log.effect(ForwardMessage).message_id == held
    assert log.effect(OpenConversation).answered == 0
    assert not log.session.wants(turn)


@pytest.mark.parametrize("outcome", [TurnOutcome(handoff_error=True), TurnOutcome(handoff=WEBEX)])
def test_a_handoff_that_cannot_be_planned_is_told_and_the_virtual_agent_stays(outcome: TurnOutcome) -> None:
    log = joined()
    log.post(custom={"local_id": "7"})
    log.turn(outcome)
    notice = log.one(e.SystemNotice)
    assert (notice.text, notice.custom) == ("Sorry, handoff could not be initiated.", {"local_id": "7"})
    assert (log.session.owner, log.session.handoff, log.session.unanswered) == (Owner.VIRTUAL_AGENT, None, ())


def test_a_failed_turn_hands_nothing_over() -> None:
    log = joined()
    log.post()
    log.turn(replace(FAILED, handoff=WEBEX), plan=plan_for())
    assert (log.wire(), log.session.handoff) == (["SYSTEM_MESSAGE"], None)


def test_a_handoff_outweighs_an_end() -> None:
    log = joined()
    log.post()
    log.turn(replace(says("Bye"), handoff=WEBEX, end=True), plan=plan_for())
    assert log.session.ended is None
    assert log.handoff.state is HandoffState.REQUESTED


def test_a_second_trigger_during_a_handoff_changes_nothing() -> None:
    log = in_handoff(HandoffState.REQUESTED)
    log.turn(replace(TurnOutcome(), handoff=WEBEX), kind=TurnKind.START, plan=plan_for("handoff-2"))
    assert (log.step.events, log.handoff.id) == ((), "handoff-1")


# --- the end ---------------------------------------------------------------------------------------------------


def test_the_virtual_agent_ends_after_its_last_words() -> None:
    log = joined()
    log.post()
    log.turn(replace(says("Bye"), end=True))
    assert log.wire() == ["POLY_AGENT_MESSAGE", "SESSION_END"]
    assert log.one(e.SessionEnded).reason is e.EndReason.NATURAL_END
    assert [turn.kind for turn in log.turns()] == [TurnKind.END]


def test_C17_the_customer_ends_echo_then_session_end() -> None:
    log = joined()
    log.end_by_user()
    assert log.wire() == ["USER_END_SESSION", "SESSION_END"]
    assert log.one(e.SessionEnded).reason is e.EndReason.USER_END
    assert [turn.kind for turn in log.turns()] == [TurnKind.END]
    assert log.session.owner is Owner.NOBODY


def test_no_end_turn_for_an_agent_that_never_came() -> None:
    log = started()
    log.post()
    log.end_by_user()
    assert log.step.effects == ()


@pytest.mark.parametrize(
    ("state", "timers"),
    [(HandoffState.REQUESTED, 1), (HandoffState.QUEUED, 1), (HandoffState.LIVE, 0), (HandoffState.TRANSFERRING, 1)],
)
def test_H14_an_end_during_a_handoff_closes_the_conversation_there(state: HandoffState, timers: int) -> None:
    log = in_handoff(state)
    assert len(log.armed) == timers
    log.end_by_user()
    assert log.wire() == ["USER_END_SESSION", "SESSION_END"]
    assert log.effect(CloseConversation).handoff_id == "handoff-1"
    assert log.effect(RunTurn).kind is TurnKind.END
    assert log.armed == {}
    assert log.handoff.state is HandoffState.ENDED


def test_W23_an_abandoned_session_ends_and_closes_its_handoff() -> None:
    log = in_handoff(HandoffState.LIVE)
    log.abandon()
    assert log.wire() == ["SESSION_END"]
    assert log.one(e.SessionEnded).reason is e.EndReason.USER_ABANDONED
    assert log.effect(CloseConversation)


def test_nothing_comes_after_the_end() -> None:
    log = in_handoff(HandoffState.LIVE)
    log.end_by_user()
    for give in (log.abandon, log.opened, log.agent_joins, log.agent_says, log.provider_ends, log.start):
        give()
        assert (log.step.events, log.step.effects) == ((), ())
    for refused in (log.join, log.post, log.end_by_user):
        with pytest.raises(SessionNotFound):
            refused()


def test_news_of_another_handoff_change_nothing() -> None:
    log = in_handoff(HandoffState.QUEUED)
    log.opened(handoff_id="handoff-0")
    log.queued(handoff_id="unknown", position=3)
    assert log.step.events == ()


def test_a_gap_in_the_log_is_refused() -> None:
    log = started()
    with pytest.raises(ValueError, match="event 3 does not follow 1"):
        evolve(log.session, e.Recorded(sequence=3, id="x", at=0, event=e.VirtualAgentLeft()))


def test_unknown_commands_and_events_are_programming_errors() -> None:
    log = started()
    with pytest.raises(TypeError, match="unknown command Command"):
        log.apply(c.Command(at=0))
    with pytest.raises(TypeError, match="unknown event Event"):
        evolve(log.session, e.Recorded(sequence=2, id="x", at=0, event=e.Event()))
