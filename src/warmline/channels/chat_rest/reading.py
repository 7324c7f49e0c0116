"""Reads from a session's log what a call of the chat REST API is answered with. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from warmline.domain import events as e
from warmline.domain.events import Recorded
from warmline.domain.messages import Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said, through which event of the log, and what follows. `failed`: the virtual agent did not start."""

    text: str = ""
    through: int = 0
    ended: bool = False
    failed: bool = False
    handoff: e.HandoffTriggered | None = None


def greeting(log: Sequence[Recorded]) -> Answer | None:
    """What the virtual agent began with; None when it has not spoken. `log` is from the beginning."""
    joins = [index for index, recorded in enumerate(log) if isinstance(recorded.event, e.JoinRequested)]
    texts: list[str] = []
    answer: Answer | None = None
    for recorded in log[joins[-1] + 1 :] if joins else ():
        match recorded.event:
            case e.UserMessage():
                break
            case e.SystemNotice(start_failed=True):
                return Answer(failed=True, through=recorded.sequence)
            case e.HandoffTriggered() as handoff:
                return Answer(text=_joined(texts), through=recorded.sequence, handoff=handoff)
            case e.SessionEnded():
                return Answer(text=_joined(texts), through=recorded.sequence, ended=True)
            case e.VirtualAgentMessage() | e.SystemNotice() as said:
                texts.append(_text(said))
                answer = Answer(text=_joined(texts), through=recorded.sequence)
            case _:
                pass
    return answer


def response(log: Iterable[Recorded], sequence: int) -> Answer:
    """What the virtual agent answered to the customer message `sequence`; `log` begins after it.

    Nothing, when the message went to a live agent or the turn had nothing to say.
    """
    texts: list[str] = []
    answered: Answer | None = None
    for recorded in log:
        event = recorded.event
        if isinstance(event, e.SessionEnded):
            done = answered or Answer()
            return Answer(text=done.text, through=recorded.sequence, ended=True)
        if answered is not None:
            return answered
        if isinstance(event, e.HandoffTriggered) and event.answers == sequence:
            return Answer(text=_joined(texts), through=recorded.sequence, handoff=event)
        if isinstance(event, e.VirtualAgentMessage | e.SystemNotice):
            texts.append(_text(event))
            if event.answers == sequence:
                answered = Answer(text=_joined(texts), through=recorded.sequence)
            elif event.answers:
                texts.clear()
    return answered or Answer(through=sequence)


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _text(event: e.VirtualAgentMessage | e.SystemNotice) -> str:
    """The text with what a plain text can show of the rest: options, addresses of attachments, numbers to call."""
    lines = [event.text.strip()]
    if isinstance(event, e.VirtualAgentMessage):
        # The virtual agent names them itself where it knows that nobody shows them as buttons.
        lines += [option for option in event.suggestions if option.casefold() not in event.text.casefold()]
        lines += [_link(attachment) for attachment in event.attachments]
        lines += [f"{action.title}: {action.contact_number}" for action in event.call_actions]
    return "\n".join(line for line in lines if line)


def _link(attachment: Attachment) -> str:
    title = attachment.title or attachment.call_to_action
    return f"{title}: {attachment.content_url}" if title else attachment.content_url
