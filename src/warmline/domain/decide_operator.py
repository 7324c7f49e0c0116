"""What an operator does about a handoff: end it, return it to the virtual agent, send a lost message again."""

from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.decide_handoff import Play, decide_handoff, forward
from warmline.domain.handoff import HandoffInput
from warmline.domain.session import Handoff, Session


def decide_operator(session: Session, command: c.OperatorCommand) -> Play:
    """Decide `command`. It changes nothing when the session has another handoff by now, or none under way."""
    handoff = session.active_handoff
    if handoff is None or handoff.id != command.handoff_id:
        return Play()
    match command:
        case c.EndHandoff():
            return decide_handoff(session, HandoffInput.OPERATOR_ENDS, command)
        case c.ReturnToVirtualAgent():
            return decide_handoff(session, HandoffInput.OPERATOR_RETURNS, command)
        case c.RetryMessage():
            return _send_again(handoff, command)
        case _:
            raise TypeError(f"unknown command {type(command).__name__}")


def _send_again(handoff: Handoff, command: c.RetryMessage) -> Play:
    """It goes behind what waits, and its tick is open again."""
    play = Play()
    message = next((m for m in handoff.failed if m.message_id == command.message_id), None)
    if message is None:
        return play
    play.events.append(e.SystemNotice(level=e.NoticeLevel.INFO, text=texts.SENT_AGAIN, retried=message.message_id))
    play.effects.append(forward(handoff, message))
    return play
