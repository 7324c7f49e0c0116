"""What the `topics` brain remembers from one move to the next."""

from dataclasses import dataclass
from functools import cached_property

import msgspec

from warmline.agent.brains.topics.actions import Plan, read_actions
from warmline.agent.project.model import Step
from warmline.agent.turn.brain import Position, Situation


class Notes(msgspec.Struct, omit_defaults=True):
    """What the brain keeps.

    `waiting` is "" or what the customer was asked for: "consent" to an offer, the "value" of `parameter` (of a
    function) or of `entity` (of a default step), the "choice" between topics (`choices`), an "answer" of any kind, or
    whether to talk to a "person". `question` is how it was asked, `asked` how many times. `runs` are still to be done,
    as "fn:name", "ft:name" or "ho:name".

    The notes belong to the topic `topic` or, inside a flow, to the step `place`. `instructions` is what a function
    returned to be followed in the place of that topic's actions or step's prompt. `left` are the default steps that
    were left before in this stay in the flow: whoever is sent back to one is asked again.
    """

    topic: str = ""
    why: str = ""
    distance: float | None = None
    waiting: str = ""
    question: str = ""
    runs: list[str] = []
    arguments: dict[str, object] = {}
    parameter: str = ""
    entity: str = ""
    asked: int = 0
    choices: list[str] = []
    place: str = ""
    instructions: str = ""
    left: list[str] = []

    def settled(self, **changes: object) -> "Notes":
        """Give the notes with nothing asked any more, and with `changes`."""
        kept = Notes(
            topic=self.topic,
            why=self.why,
            distance=self.distance,
            place=self.place,
            instructions=self.instructions,
            left=self.left,
        )
        return msgspec.structs.replace(kept, **changes)


def place_of(position: Position | None) -> str:
    """Give the name under which notes belong to a position; "" outside flows."""
    return f"{position.flow.name}\n{position.step.name}" if position else ""


@dataclass(frozen=True)
class Turn:
    """A situation with the notes that belong to it."""

    situation: Situation
    notes: Notes

    def noting(self, notes: Notes) -> "Turn":
        """Give the same situation with other notes."""
        return Turn(self.situation, notes)

    @cached_property
    def plan(self) -> Plan:
        """What is to be followed now: a function's instructions, else the step's prompt, else the topic's actions."""
        situation, position = self.situation, self.situation.position
        if self.notes.instructions:
            return read_actions(situation.fill_in(self.notes.instructions))
        if position is not None and self.notes.place == place_of(position) and isinstance(position.step, Step):
            return read_actions(situation.fill_in(position.step.prompt.value))
        named_so = {topic.variant: topic for topic in situation.project.topics if topic.name == self.notes.topic}
        topic = named_so.get(situation.variant or "") or named_so.get("")
        return read_actions(situation.fill_in(topic.actions.value)) if topic else Plan()
