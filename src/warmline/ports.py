"""What the inside needs from the outside, as Protocols. Implementations live at the edges; `app` names them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from warmline.domain.decide import Decision
from warmline.domain.effects import Effect
from warmline.domain.events import Recorded
from warmline.domain.session import Session
from warmline.domain.turn import TurnInput, TurnOutcome
from warmline.ports_files import FileStore
from warmline.ports_transcripts import TranscriptStore

PARTITIONS = 64
"""The outbox is owned in this many parts; a part belongs to one node at a time (design.md §6)."""


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch (UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class Ids(Protocol):
    """The only source of new identifiers."""

    def uuid(self) -> str:
        """A new UUID in its 36-character form."""
        ...

    def secret(self, size: int = 32) -> str:
        """`size` random bytes, URL-safe base64 without padding; never predictable outside tests."""
        ...


class SecretBox(Protocol):
    """Encrypts what must not lie on disk in the clear."""

    def seal(self, plain: bytes) -> bytes:
        """Encrypt with the current key."""
        ...

    def open(self, sealed: bytes) -> bytes:
        """Decrypt with the current or a previous key. Raises ConfigError when no key fits."""
        ...


# --- the store -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """What is known about a session besides its log; fixed when it is created."""

    connector_id: str
    project_id: str
    subject: str
    """The user identity of the token it was created with."""
    environment: str = "live"
    variant: str = ""
    platform: str = "web"
    device_type: str = ""
    language: str = ""
    caller_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session as it lies in the store."""

    session: Session
    info: SessionInfo
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """An effect that waits for its turn. `attempts` counts those that failed; `epoch` is the lease's."""

    id: int
    partition: int
    stream_key: str
    session_id: str
    effect: Effect
    created_at: int
    attempts: int = 0
    next_at: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a row of the outbox is settled, in the transaction of what came of it.

    Fenced: if this node no longer holds the row's partition at `epoch`, or the row is settled already, the
    whole change is refused with LeaseLost. `dead` keeps it as a dead letter with `error`.
    """

    row_id: int
    partition: int
    epoch: int
    dead: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The tie between a handoff and the conversation on the contact centre's side.

    `remote_id` is unique per connection. `data` is the provider's own small record (JSON-able).
    """

    handoff_id: str
    session_id: str
    connection_id: str
    remote_id: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRecord:
    """What a finished turn leaves behind: the project's memory and the record for the review (JSON bytes)."""

    turn_id: str
    memory: bytes
    record: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One transaction. Everything in it happens, or nothing.

    `decide` is pure and may be called more than once. A change with a `dedup_key` that this session has seen
    writes nothing except its settlements and returns the events of the first one. `create` makes the
    session. `decide` None: only settlements and records. Raises SessionNotFound when there is no such session.
    """

    session_id: str
    decide: Callable[[Session], Decision] | None = None
    at: int = 0
    dedup_key: str = ""
    create: SessionInfo | None = None
    settle: Settlement | None = None
    inbox_done: int | None = None
    link: Link | None = None
    turn: TurnRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a change came to. With `duplicate`, `events` are those of the first time and nothing was written."""

    session: Session
    events: tuple[Recorded, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    timers: tuple["Timer | str", ...] = ()
    """Timers armed, and keys of timers disarmed."""
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """A point in time at which a session must be looked at. `key` is unique: "<session>/<kind>"."""

    key: str
    session_id: str
    kind: str
    due: int
    handoff_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """A webhook that was verified and is not processed. `key` is unique per connection for 7 days."""

    id: int
    connection_id: str
    endpoint: str
    key: str
    remote_id: str
    received_at: int
    event_at: int
    body: bytes
    attempts: int = 0
    parked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A provider configured with values and secrets. `secrets` are in the clear only in memory."""

    id: str
    provider: str
    name: str
    project_id: str
    values: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    state: str = "connected"
    """connected | auth_failed | misconfigured | disconnected."""
    state_reason: str = ""
    created_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """What a connector token identifies (design.md §2). `host` "" refuses every request until it is set."""

    id: str
    token: str
    project_id: str
    host: str
    variant: str = ""
    environment: str = "live"
    agent_name: str = ""
    agent_avatar_url: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStart:
    """What a turn begins with: memory of the last one, and whether an earlier try had started functions."""

    memory: bytes
    functions_started: bool


class Store(FileStore, TranscriptStore, Protocol):
    """Where everything lies that must not be lost. One contract suite for every implementation."""

    async def start(self) -> None:
        """Open, migrate; raises ConfigError when the schema is newer than this program understands."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store cannot be read."""
        ...

    async def transact(self, change: Change) -> Committed:
        """Apply a change; the only way to change a session. Returns after the commit is on disk.

        Raises: SessionNotFound, LeaseLost, StoreUnavailable, and whatever `decide` raises.
        """
        ...

    async def session(self, session_id: str) -> StoredSession | None:
        """The session as of its last commit."""
        ...

    async def events(self, session_id: str, after: int, limit: int = 1000) -> list[Recorded]:
        """Events with a sequence above `after`, in order."""
        ...

    async def turn_start(self, session_id: str, turn_id: str) -> TurnStart:
        """What the turn begins with."""
        ...

    async def mark_functions_started(self, session_id: str, turn_id: str) -> None:
        """Remember durably that this turn's functions began."""
        ...

    async def turn_records(self, session_id: str) -> list[tuple[str, bytes]]:
        """(turn id, record) of the session's finished turns, in order."""
        ...

    # outbox
    async def claim(self, node: str, ttl_ms: int, now: int) -> Mapping[int, int]:
        """Renew this node's leases and take free ones up to its share; returns {partition: epoch} now held.

        Concurrent nodes never hold a partition at the same time; SQLite has one node that holds all 64.
        """
        ...

    async def release(self, node: str) -> None:
        """Give all leases back (orderly stop)."""
        ...

    async def nodes(self, now: int) -> list[str]:
        """Names of the nodes that hold or want leases at `now`: of those that run."""
        ...

    async def pending(self, partitions: Iterable[int]) -> list[OutboxRow]:
        """Unsettled rows of these partitions, oldest first."""
        ...

    async def reschedule(self, row_id: int, *, attempts: int, next_at: int, error: str) -> None:
        """Note a failed attempt."""
        ...

    async def dead(self, limit: int = 100) -> list[OutboxRow]:
        """Dead letters, newest first."""
        ...

    async def revive(self, row_id: int) -> OutboxRow | None:
        """Make a dead letter pending again; None when it is not dead."""
        ...

    # inbox
    async def accept(self, row: InboxRow) -> int | None:
        """Store a webhook (its `id` is ignored). Returns the new row's id, or None for a duplicate."""
        ...

    async def inbox_pending(self) -> list[InboxRow]:
        """Rows neither done nor dead, oldest first."""
        ...

    async def finish_inbox(self, row_id: int, *, state: str, attempts: int = 0) -> None:
        """Set a row's state without a session change: "done", "parked", "new" or "dead"."""
        ...

    async def last_webhooks(self) -> Mapping[tuple[str, str], int]:
        """When the newest stored webhook came, by (connection id, endpoint); forgotten ones do not count."""
        ...

    # timers
    async def timers(self) -> list[Timer]:
        """All armed timers."""
        ...

    async def arm(self, timer: Timer) -> None:
        """Arm or replace a timer outside of a change."""
        ...

    async def disarm(self, key: str) -> None:
        """Forget a timer."""
        ...

    # links
    async def link(self, handoff_id: str) -> Link | None:
        """The link of a handoff."""
        ...

    async def link_by_remote(self, connection_id: str, remote_id: str) -> Link | None:
        """The link of a conversation on the contact centre's side."""
        ...

    async def open_links(self) -> list[Link]:
        """The links of all handoffs of sessions that have not ended, those that are over included."""
        ...

    async def save_link(self, link: Link) -> None:
        """Insert or replace."""
        ...

    # connections, connectors, settings
    async def connections(self) -> list[Connection]:
        """All, secrets opened."""
        ...

    async def save_connection(self, connection: Connection) -> None:
        """Insert or replace; secrets are sealed."""
        ...

    async def save_secrets(self, connection_id: str, secrets: Mapping[str, str]) -> None:
        """Replace single secrets; durable when this returns."""
        ...

    async def delete_connection(self, connection_id: str) -> None:
        """Remove it and its secrets."""
        ...

    async def connectors(self) -> list[Connector]:
        """All."""
        ...

    async def save_connector(self, connector: Connector) -> None:
        """Insert or replace."""
        ...

    async def delete_connector(self, connector_id: str) -> None:
        """Remove it."""
        ...

    async def setting(self, key: str, default: Callable[[], str]) -> str:
        """A value made once per installation: the stored one, else `default()` stored atomically."""
        ...

    async def prune(self, *, inbox_before: int) -> int:
        """Forget finished inbox rows received before that time; returns how many."""
        ...


# --- the bus ---------------------------------------------------------------------------------------------------


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


class TurnEngine(Protocol):
    """Runs turns of one project. Knows no store and no provider."""

    async def run(self, turn: TurnInput, before_functions: Callable[[], Awaitable[None]]) -> TurnOutcome:
        """Run one turn to its end.

        `before_functions` is awaited once, before the first function of this turn starts: a turn that was
        interrupted after it is not run again (design.md §8). Never raises for anything the project does:
        that comes as an outcome with `failed` and findings.
        """
        ...

    async def close(self) -> None:
        """Stop workers."""
        ...


# --- delivery --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """The effect has happened, or is not wanted any more; delivery settles the row."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The handler settled the row in a change of its own."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do until the stream is woken; looked at again after `recheck_s` at the latest."""

    recheck_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not work now. `after` seconds, or None for the usual backoff. `certain`: it did not take effect.

    When it may have taken effect, waking the stream asks the handler before the time is up (the row's `next_at`
    is still in the future then), so that it can see whether a confirmation came.
    """

    error: str
    after: float | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It will never work: a dead letter."""

    error: str


Outcome = Done | Settled | Waiting | Retry | GiveUp

Handler = Callable[[OutboxRow, Settlement], Awaitable[Outcome]]
"""Makes an effect happen. Called for one row of a stream at a time, oldest first; may be called again."""
