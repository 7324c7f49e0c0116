"""What was said in a session, as lines."""

from collections.abc import Iterable

from warmline.domain import events as e
from warmline.domain.events import Recorded
from warmline.domain.turn import HistoryItem


def history(log: Iterable[Recorded], *, through: int | None = None) -> tuple[HistoryItem, ...]:
    """The spoken lines of a log in order; chunks of one message are joined.

    `through` leaves out customer messages with a higher sequence: a turn must end with its own input.
    """
    lines: list[HistoryItem] = []
    streaming = ""
    for recorded in log:
        match recorded.event:
            case e.UserMessage(text=text):
                if through is None or recorded.sequence <= through:
                    lines.append(HistoryItem(role="user", text=text))
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
    return tuple(lines)
