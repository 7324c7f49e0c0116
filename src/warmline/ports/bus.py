"""The bus."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from warmline.domain.events import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Poke:
    """A hint that the session's log reaches `upto` now. May be lost, doubled or late.

    `events` may carry the news themselves to spare a read; they may be missing.
    """

    session_id: str
    upto: int
    events: Sequence[Recorded] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """Something worth showing only now: never stored, never replayed.

    `kind` is "thinking" (the virtual agent), "typing" (the live agent: `started`, `agent_id`, `agent_name`) or
    "customer_typing" (`started`), which is for the live agent only.
    """

    session_id: str
    kind: str
    payload: Mapping[str, object] = field(default_factory=dict)


Signal = Poke | Ephemeral


class Bus(Protocol):
    """Carries hints between whoever writes and whoever watches a session."""

    def send(self, signal: Signal) -> None:
        """Hand it to every listener of the session; never blocks the writer, never raises."""
        ...

    def listen(self, session_id: str, sink: Callable[[Signal], None]) -> Callable[[], None]:
        """Call `sink` for each signal, in order of sending; returns the function that stops it."""
        ...
