"""Which trace each event of a log belongs to (`warmline.telemetry`)."""

from collections.abc import Sequence

from warmline.domain import events as e
from warmline.telemetry import trace_id_of


def traces(log: Sequence[e.Recorded]) -> list[str]:
    """The id of each event's trace, "" where there is none: that of its message, or of the message it answers."""
    said = {r.sequence: r.event.message_id for r in log if isinstance(r.event, e.UserMessage)}
    return [_trace(recorded.event, said) for recorded in log]


def _trace(event: e.Event, said: dict[int, str]) -> str:
    match event:
        case e.UserMessage(message_id=message_id) | e.LiveAgentMessage(message_id=message_id):
            return trace_id_of(message_id)
        case e.MessageReceived(message_id=message_id):
            return trace_id_of(message_id)
        case e.VirtualAgentMessage(answers=answers) | e.VirtualAgentChunk(answers=answers) if answers in said:
            return trace_id_of(said[answers])
        case _:
            return ""
