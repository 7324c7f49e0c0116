"""What lies in the store, and the one transaction that changes it."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from warmline.domain.decide import Decision
from warmline.domain.effects import Effect
from warmline.domain.events import Recorded
from warmline.domain.session import Session

PARTITIONS = 64
"""Work is owned in this many parts; a part belongs to one node at a time (design.md §6)."""


@lru_cache(maxsize=10_000)
def partition_of(key: str) -> int:
    """The part that owns `key`: the key of a stream, of a line of the inbox, or the id of a session. Never changes."""
    return zlib.crc32(key.encode()) % PARTITIONS


@lru_cache(maxsize=10_000)
def inbox_partition(connection_id: str, remote_id: str) -> int:
    """The part that owns the news of a conversation over there; texts, which have no `remote_id`, are one line."""
    return partition_of(f"{connection_id}/{remote_id}")


TEST_CHAT = "test-chat"
"""The connector's id of sessions that somebody began in the Studio to try a project."""
TEST_CHAT_ALONE = "test-chat-alone"
"""The same, but no contact centre hears of it."""


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
    context_id: str = ""
    """Under what the customer's page may vouch for facts (messaging-protocol.md §12); "": it may not."""
    integration_attributes: Mapping[str, str] = field(default_factory=dict)
    """What the program that began it told of the customer (messaging-protocol.md §16)."""

    @property
    def is_test_chat(self) -> bool:
        """Whether its customer is somebody who tries the project in the Studio."""
        return self.connector_id in (TEST_CHAT, TEST_CHAT_ALONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A session as it lies in the store."""

    session: Session
    info: SessionInfo
    created_at: int
    updated_at: int


LONGEST_WAIT_S = 150.0
"""No attempt is put off for longer: by backoff for 72 s, because a contact centre asks for it for 120 s at most."""


def seconds_until(due: int, now: int) -> float:
    """Seconds from `now` until an attempt is `due` (milliseconds since the epoch); not positive when it is.

    It is also when it seems to be further away than attempts are ever put off: the clock was set back since, or
    another node's goes ahead of this one's.
    """
    seconds = (due - now) / 1000
    return seconds if seconds <= LONGEST_WAIT_S else 0.0


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

    def early_s(self, now: int) -> float:
        """Seconds until its next attempt is due; not positive when it is."""
        return seconds_until(self.next_at, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateDelivery:
    """An effect that was delivered after failed attempts; those that succeed at once leave no trace of their own.

    `attempts` counts the failed ones, `error` is the last one's. `message_id` is the customer's message that it was
    for, "" for none. Times are milliseconds since the epoch; `delivered_at`: when the attempt that succeeded began.
    """

    row_id: int
    kind: str
    message_id: str
    attempts: int
    error: str
    created_at: int
    delivered_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a row of the outbox is settled, in the transaction of what came of it.

    Fenced: if this node no longer holds the row's partition at `epoch`, or the row is settled already, the
    whole change is refused with LeaseLost. `dead` keeps it as a dead letter with `error`. What is delivered `late` is
    remembered as that.
    """

    row_id: int
    partition: int
    epoch: int
    dead: bool = False
    error: str = ""
    late: LateDelivery | None = None


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
    """What a finished turn leaves behind: the project's memory and the record for the review (JSON bytes).

    A turn with a `topic` counts as a use of that topic of the project.
    """

    turn_id: str
    memory: bytes
    record: bytes
    project_id: str = ""
    topic: str = ""


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
    """A stored webhook that it settles."""
    inbox_row: "InboxRow | None" = None
    """A webhook that is stored with it, as settled: not when the change was seen before."""
    link: Link | None = None
    turn: TurnRecord | None = None
    fence: tuple[int, int] | None = None
    """(partition, epoch): refused with LeaseLost unless the partition is held in that epoch."""


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
    """A webhook that was verified and is not processed. `key` is unique per connection for 7 days.

    `rank`, `hold` and `terminal` are what its receipt says about its place (`handoff.contract.Receipt`).
    """

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
    rank: int = 0
    hold: bool = True
    terminal: bool = False

    @property
    def partition(self) -> int:
        """The part that owns it."""
        return inbox_partition(self.connection_id, self.remote_id)


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
