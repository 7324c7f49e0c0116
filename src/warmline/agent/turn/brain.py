"""What the engine asks of a brain: one move after the other until the turn is over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from warmline.agent.project.model import Flow, Function, Project, Step, StepType
from warmline.domain.turn import Finding, HistoryItem, TurnKind


@dataclass(frozen=True, slots=True)
class Position:
    """Where the conversation is in the project's flows. `step` is a `Function` at a function step."""

    flow: Flow
    step: Step | Function

    @property
    def collects(self) -> bool:
        """True at a default step, which works by entities and conditions (agent-project.md §8.5)."""
        return isinstance(self.step, Step) and self.step.type is StepType.DEFAULT


@dataclass(frozen=True, slots=True)
class EntityValue:
    """What is known of an entity: its value as text, or a value that did not pass and why (`error`)."""

    value: str
    valid: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResult:
    """What a move of this turn brought: its content, or why it failed.

    `name` is the function, condition or tool; `content` includes what function steps returned that were entered by
    it (agent-project.md §8.4). `said` means that the customer has been answered.
    """

    name: str
    content: str = ""
    error: str = ""
    said: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a brain may know when it chooses its next move.

    `text` is the customer's message ("" on a silent turn, whose words the customer does not see unless nothing else
    greets: agent-project.md §6); `memory` is what the brain's last move of this session left; `results` are those of
    this turn's moves so far, in their order, and `pending_content` is what a function left for this turn.
    `position` is where the conversation is now, None outside flows. `entities` are the values that are known, and
    those that did not pass in this turn. `state` is `conv.state` as text.

    `render` resolves a text of the project for this conversation, `fill_in` does so but keeps references to
    functions and handoffs. `trace` notes something for the author who is trying the project. `stream` takes pieces
    of the final answer as they come, each of them a sentence or so; None when nobody listens.
    """

    project: Project
    text: str
    channel: str
    language: str
    memory: Mapping[str, object]
    session_id: str = ""
    turn_id: str = ""
    turn_kind: TurnKind = TurnKind.MESSAGE
    silent: bool = False
    environment: str = "live"
    variant: str | None = None
    caller_number: str | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    history: tuple[HistoryItem, ...] = ()
    results: tuple[FunctionResult, ...] = ()
    pending_content: str = ""
    position: Position | None = None
    entities: Mapping[str, EntityValue] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    disabled_topics: frozenset[str] = frozenset()
    fill_in: Callable[[str], str] = field(default=lambda text: text)
    render: Callable[[str], str] = field(default=lambda text: text)
    trace: Callable[[str, Mapping[str, object]], None] = field(default=lambda kind, data: None)
    stream: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """What every move carries.

    `topic` is the topic that the answer comes from, `why` what made it match and `distance` how far away it is
    (0 is certain; None when it was not measured). `memory` is what the brain wants to know at its next move,
    `findings` what the operator or the project's author must know. `before` is said to the customer before the move
    is carried out, for models that talk while they act (agent-project.md §8.1).
    """

    topic: str = ""
    why: str = ""
    distance: float | None = None
    memory: Mapping[str, object] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speak(_Move):
    """Say `text` (may be "") and end the turn."""

    text: str
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFunction(_Move):
    """Run a function; then the brain is asked again, unless the function ended the turn.

    `name` is a tool's name as `warmline.agent.turn.tools` gives it: a transition function of the current flow or a
    global function.
    """

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHandoff(_Move):
    """Move the session to a human, with `utterance` said before (agent-project.md §3.2)."""

    destination: str
    reason: str = ""
    utterance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTemplate(_Move):
    """Send the SMS template `template` to `to`, the customer's number when empty; then the brain is asked again."""

    template: str
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveEntities(_Move):
    """Keep values for the entities of the current default step, by name, each as the customer gave it.

    The engine validates them; the result says which passed. Then the brain is asked again.
    """

    values: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCondition(_Move):
    """Leave the current default step by its condition `name`; then the brain is asked again at the new position."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp(_Move):
    """The brain cannot answer because something failed: the customer gets the apology."""


Move = Speak | CallFunction | CallHandoff | SendTemplate | SaveEntities | TakeCondition | GiveUp


class Brain(Protocol):
    """Turns a customer's message into moves. One brain serves one version of one project."""

    async def next_move(self, situation: Situation) -> Move:
        """Choose the next move of the turn."""
        ...
