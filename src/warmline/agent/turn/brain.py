"""What the engine asks of a brain: one move after the other until the turn is over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from warmline.agent.project.model import Project
from warmline.domain.turn import HistoryItem


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResult:
    """What a function call of this turn brought: its content, or why it failed."""

    name: str
    content: str = ""
    error: str = ""
    said: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a brain may know when it chooses its next move.

    `text` is the customer's message ("" on a silent turn); `memory` is what the brain's last move of this
    session left; `results` are the function calls of this turn so far. `render` resolves a text of the project
    for this conversation, `fill_in` does so but keeps references to functions and handoffs.
    """

    project: Project
    text: str
    channel: str
    language: str
    memory: Mapping[str, object]
    history: tuple[HistoryItem, ...] = ()
    results: tuple[FunctionResult, ...] = ()
    pending_content: str = ""
    disabled_topics: frozenset[str] = frozenset()
    fill_in: Callable[[str], str] = field(default=lambda text: text)
    render: Callable[[str], str] = field(default=lambda text: text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speak:
    """Say `text` (may be "") and end the turn. `topic` is where it comes from, `why` what made it match."""

    text: str
    suggestions: tuple[str, ...] = ()
    topic: str = ""
    why: str = ""
    memory: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFunction:
    """Run a function; then the brain is asked again, unless the function ended the turn."""

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    topic: str = ""
    why: str = ""
    memory: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHandoff:
    """Move the session to a human, with `utterance` said before (agent-project.md §3.2)."""

    destination: str
    reason: str = ""
    utterance: str = ""
    topic: str = ""
    why: str = ""
    memory: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The brain cannot answer because something failed: the customer gets the apology."""

    topic: str = ""
    why: str = ""
    memory: Mapping[str, object] = field(default_factory=dict)


Move = Speak | CallFunction | CallHandoff | GiveUp


class Brain(Protocol):
    """Turns a customer's message into moves. One brain serves one version of one project."""

    async def next_move(self, situation: Situation) -> Move:
        """Choose the next move of the turn."""
        ...
