"""What was said in a session, as lines."""

from collections.abc import Iterable

from warmline.domain import events as e
from warmline.domain.events import Recorded
from warmline.domain.turn import HistoryItem


def history(log: Iterable[Recorded], *, through: int | None = None) -> tuple[HistoryItem, ...]:
    """The spoken lines of a log in order; chunks of one message are joined, also when the end cut it off.

    `through` is the sequence of the customer's message that a turn answers: it comes last, also when the answer to
    an earlier one was still on its way when it was written, and later ones are left out.
    """
    lines: list[HistoryItem] = []
    own: list[HistoryItem] = []
    streaming = ""
    for recorded in log:
        match recorded.event:
            case e.UserMessage(text=text):
                if through is None or recorded.sequence < through:
                    lines.append(HistoryItem(role="user", text=text))
                elif recorded.sequence == through:
                    own.append(HistoryItem(role="user", text=text))
            case e.VirtualAgentMessage(text=text):
                lines.append(HistoryItem(role="agent", text=text))
            case e.VirtualAgentChunk(text=text, complete=complete):
                streaming += text
                if complete:
                    lines.append(HistoryItem(role="agent", text=streaming))
                    streaming = ""
            case e.LiveAgentMessage(text=text):
                lines.append(HistoryItem(role="live_agent", text=text))
            case _:
                pass
    if streaming:
        lines.append(HistoryItem(role="agent", text=streaming))
    return (*lines, *own)
