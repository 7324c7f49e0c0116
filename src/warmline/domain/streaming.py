"""An answer that the customer reads while it comes: every piece is an event of the log (messaging-protocol.md §7).

A stream is opened by its first piece and completed by the turn's outcome, whose first text begins with what was
streamed. Where it does not, or where the turn failed, the stream is completed as it is and the rest follows.
"""

from dataclasses import replace

from warmline.domain import events as e
from warmline.domain.chunks import chunk_text
from warmline.domain.commands import StreamAnswer
from warmline.domain.messages import Say
from warmline.domain.session import OpenStream, Session


def stream_piece(session: Session, command: StreamAnswer) -> tuple[e.Event, ...]:
    """Give the event of the next piece; none when nobody waits for it any more."""
    stream = session.stream
    wanted = session.streaming and session.expects(command.kind, command.answers)
    if not wanted or not command.text or (stream is not None and stream.message_id != command.message_id):
        return ()
    index = stream.pieces + 1 if stream is not None else 1
    return (e.VirtualAgentChunk(message_id=command.message_id, text=command.text, index=index),)


def complete_stream(stream: OpenStream, say: Say | None) -> tuple[tuple[e.Event, ...], Say | None]:
    """Complete a stream with the rest of `say`, or as it is.

    Returns:
        The events, and what is still to be said in a message of its own.
    """
    # A text that ends where the stream does has no white space after it.
    if say is None or not (say.text.startswith(stream.text) or say.text == stream.text.rstrip()):
        return (_chunk(stream, stream.pieces + 1, "", complete=True),), say
    pieces = chunk_text(say.text[len(stream.text) :])
    events = [_chunk(stream, stream.pieces + number, piece) for number, piece in enumerate(pieces, start=1)]
    if say.call_actions:
        # Clients do not read call actions from chunks.
        rest = Say(text="", attachments=say.attachments, suggestions=say.suggestions, call_actions=say.call_actions)
        return (*events[:-1], replace(events[-1], complete=True)), rest
    last = replace(events[-1], complete=True, attachments=say.attachments, suggestions=say.suggestions)
    return (*events[:-1], last), None


def _chunk(stream: OpenStream, index: int, text: str, *, complete: bool = False) -> e.VirtualAgentChunk:
    return e.VirtualAgentChunk(message_id=stream.message_id, text=text, index=index, complete=complete)
