"""The bus."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from warmline.domain.events import Recorded

LOOK = sys.maxsize
"""`Poke.upto` when nobody knows how far the log reaches: signals may have been lost, look into the store."""

EVERYTHING = "all"
"""`Wake.topic` when nobody knows what was missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poke:
    """A hint that the session's log reaches `upto` now (or LOOK). May be lost, doubled or late.

    `events` may carry the news themselves to spare a read; they may be missing, and are when it came from another
    node: no customer's words leave a node but for the store.
    """

    session_id: str
    upto: int
    events: Sequence[Recorded] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """Something worth showing only now: never stored, never replayed.

    `kind` is "thinking" (the virtual agent), "typing" (the live agent: `started`, `agent_id`, `agent_name`) or
    "customer_typing" (`started`), which is for the live agent only. The payload must be JSON.
    """

    session_id: str
    kind: str
    payload: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wake:
    """A hint for the other nodes: something that concerns them too has changed or waits. May be lost, doubled or late.

    `topic` is "outbox", "inbox" or "timers" (`keys`: numbers of partitions), "streams" of the outbox (their keys),
    "leases" (some are free, or wanted), "links" (ids of handoffs), "unordered" (ids of connections that swap their
    news), "arriving" (news that another node takes long to store: connection, conversation and key, a line each),
    "outage" (a node does not get through to the store), "down" and "up" (ids of connections that a node does
    not, and does, get through to), "connections" or another kind of thing that nodes keep in memory (`keys`: ids; none:
    any of them), or EVERYTHING. Whoever acts on it looks by itself now and then.
    """

    topic: str
    keys: tuple[str, ...] = ()


Signal = Poke | Ephemeral | Wake


class Bus(Protocol):
    """Carries hints between whoever writes and whoever watches a session, on this node and on others."""

    async def start(self) -> None:
        """Reach the other nodes. Raises ConfigError when that is refused; what cannot be reached is tried again."""
        ...

    async def stop(self) -> None:
        """Send what waits, if that is quick, and let go."""
        ...

    async def check(self) -> None:
        """Raises WarmlineError while other nodes cannot be reached."""
        ...

    def send(self, signal: Signal) -> None:
        """Hand it to every listener of the session at once, and soon to other nodes; never blocks, never raises."""
        ...

    def listen(self, session_id: str, sink: Callable[[Signal], None]) -> Callable[[], None]:
        """Call `sink` for each signal of the session, in order of sending; returns the function that stops it.

        After signals of other nodes were lost, or may have been, it gets a Poke with LOOK.
        """
        ...

    def watch(self, sink: Callable[[Poke | Wake], None]) -> Callable[[], None]:
        """Call `sink` for each Poke and Wake that another node sent; returns the function that stops it.

        After some were lost, or may have been, it gets Wake(EVERYTHING).
        """
        ...
