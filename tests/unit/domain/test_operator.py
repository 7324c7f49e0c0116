"""What an operator does about a handoff (`domain/decide_operator.py`)."""

import pytest

from support.session_log import SessionLog, in_handoff
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.effects import CloseConversation, ForwardMessage
from warmline.domain.handoff import HandoffState
from warmline.domain.session import Owner

S = HandoffState


def with_a_lost_message() -> tuple[SessionLog, str]:
    """A live agent answers; one message of the customer was not delivered, a later one is on its way."""
    log = in_handoff(S.LIVE)
    lost = log.post("Where are you?", custom={"local_id": "7"})
    log.undeliverable(lost)
    log.post("Hello?")
    return log, lost


def test_a_lost_message_goes_behind_what_waits_and_may_still_arrive() -> None:
    log, lost = with_a_lost_message()
    assert [m.message_id for m in log.handoff.failed] == [lost]
    log.retry(lost)
    notice = log.one(e.SystemNotice)
    assert (notice.text, notice.retried) == (texts.SENT_AGAIN, lost)
    assert notice.custom is None, "clients take a notice with a message's reference for its failure"
    assert log.effect(ForwardMessage).text == "Where are you?"
    assert log.handoff.undelivered[-1].message_id == lost
    assert log.handoff.failed == ()
    log.confirms(lost)
    assert log.one(e.MessageReceived).message_id == lost


def test_it_can_be_lost_again_and_sent_again() -> None:
    log, lost = with_a_lost_message()
    log.retry(lost)
    log.undeliverable(lost)
    assert log.one(e.SystemNotice).undelivered == lost
    log.retry(lost)
    assert log.effect(ForwardMessage).message_id == lost


def test_what_is_not_lost_is_not_sent_twice() -> None:
    log, lost = with_a_lost_message()
    waiting = log.handoff.undelivered[-1].message_id
    assert log.retry(waiting).effects == ()
    log.retry(lost)
    assert log.retry(lost).effects == ()


def test_after_the_handoff_nothing_is_sent_again() -> None:
    log, lost = with_a_lost_message()
    log.provider_ends()
    assert log.retry(lost).effects == ()
    assert log.handoff.failed == ()


def test_ending_tells_the_customer_and_the_contact_centre_and_says_why() -> None:
    log = in_handoff(S.LIVE)
    log.operator(c.EndHandoff)
    left = log.one(e.LiveAgentLeft)
    assert (left.reason, left.by_operator) == ("ended_by_operator", True)
    assert log.one(e.SystemNotice).text == texts.ENDED_BY_OPERATOR
    assert log.effect(CloseConversation).reason == "ended_by_operator"
    assert log.session.ended is e.EndReason.NATURAL_END


@pytest.mark.parametrize("on_failure", e.OnFailure)
def test_what_nobody_read_goes_back_with_the_customer_whatever_the_connection_says(on_failure: e.OnFailure) -> None:
    log = in_handoff(S.QUEUED, on_failure=on_failure)
    unread = log.post("My meter is wrong")
    log.operator(c.ReturnToVirtualAgent)
    assert log.one(e.HandoffFailed).returned == (unread,)
    assert log.session.owner is Owner.VIRTUAL_AGENT
    assert [turn.text for turn in log.turns()] == ["My meter is wrong"]


def test_acts_about_another_handoff_change_nothing() -> None:
    log = in_handoff(S.LIVE)
    for kind in (c.EndHandoff, c.ReturnToVirtualAgent):
        assert log.apply(kind(at=log.now, handoff_id="an earlier one")).events == ()
    assert log.apply(c.RetryMessage(at=log.now, handoff_id="an earlier one", message_id="m")).events == ()
