"""What the brain keeps between its moves: this turn's exchange with the model, and earlier retrievals."""

from collections.abc import Mapping
from typing import Any

import msgspec

from warmline.agent.models.port import Message, ToolCall


class Called(msgspec.Struct, omit_defaults=True):
    """A tool call of the model. `index` is where its result is among the turn's results, -1 before it was made."""

    id: str
    name: str
    arguments: str
    index: int = -1
    result: str | None = None


class Said(msgspec.Struct, omit_defaults=True):
    """One answer of the model that called tools."""

    text: str
    calls: list[Called]


class Notes(msgspec.Struct, omit_defaults=True):
    """The brain's memory. What belongs to one turn counts only while `turn_id` is that turn's.

    `retrieved` are the names of topics by retrieval, the newest first. `spent_s` is the time that the model took in
    this turn, `asked` how often it was asked, `tokens` what that cost. `filtered` means that a phrase filter has cut
    this turn's answer. `untold` is what the model said beside calls of which none could be made yet; `told` means that
    the customer has read something in this turn.
    """

    retrieved: list[list[str]] = []
    turn_id: str = ""
    exchange: list[Said] = []
    asked: int = 0
    spent_s: float = 0.0
    tokens: int = 0
    filtered: bool = False
    untold: str = ""
    told: bool = False
    topic: str = ""
    why: str = ""
    distance: float | None = None

    @property
    def waiting(self) -> Called | None:
        """The next tool call that was not made."""
        return next((call for said in self.exchange for call in said.calls if call.result is None), None)

    def messages(self) -> list[Message]:
        """This turn's exchange as the model must see it again."""
        messages: list[Message] = []
        for said in self.exchange:
            calls = tuple(ToolCall(id=call.id, name=call.name, arguments=call.arguments) for call in said.calls)
            messages.append(Message(role="assistant", content=said.text, calls=calls))
            messages += [Message(role="tool", content=call.result or "", call_id=call.id) for call in said.calls]
        return messages


def read_notes(memory: Mapping[str, object], turn_id: str) -> Notes:
    """Give the notes in a brain's memory, begun anew when they are another turn's or another brain's."""
    try:
        notes = msgspec.convert(memory, Notes)
    except msgspec.ValidationError:
        notes = Notes()
    return notes if notes.turn_id == turn_id else Notes(turn_id=turn_id, retrieved=notes.retrieved)


def take_untold(notes: Notes) -> str:
    """Give what is still to be said before the next move, which says it."""
    untold, notes.untold = notes.untold, ""
    notes.told = notes.told or bool(untold)
    return untold


def write_notes(notes: Notes, *, final: bool = False) -> Mapping[str, Any]:
    """Give the memory to keep; after the turn's last move only what the next turn needs."""
    kept = Notes(retrieved=notes.retrieved) if final else notes
    plain: Mapping[str, Any] = msgspec.to_builtins(kept)
    return plain
