"""What the inside needs from the outside, as Protocols. Implementations live at the edges; `app` names them."""

from warmline.ports.bus import EVERYTHING, LOOK, Bus, Ephemeral, Poke, Signal, Wake
from warmline.ports.catalog import CatalogStore, Milestones, Wanted
from warmline.ports.contexts import ContextStore
from warmline.ports.customers import CustomerStore
from warmline.ports.dead_letters import DeadLetterStore
from warmline.ports.delivery import Done, GiveUp, Handler, Outcome, Retry, Settled, Waiting
from warmline.ports.engine import TurnEngine
from warmline.ports.erasing import ErasingStore, Erasure
from warmline.ports.event_hooks import Backlog, EventQueueStore, EventSender, QueuedEvent, Receiver, Tried
from warmline.ports.files import MAX_FILE_BYTES, FileStore, StoredFile
from warmline.ports.findings import Finding, Level, LooksAfterSystem
from warmline.ports.health import Backlogs, DatabaseFacts, HealthStore, Trouble, Unfinished
from warmline.ports.people import ApiKey, AuditEntry, PeopleStore, Role, SignIn, User
from warmline.ports.project_secrets import ProjectSecretStore
from warmline.ports.records import (
    PARTITIONS,
    TEST_CHAT,
    TEST_CHAT_ALONE,
    Change,
    Committed,
    Connection,
    Connector,
    InboxRow,
    LateDelivery,
    Link,
    OutboxRow,
    SessionInfo,
    Settlement,
    StoredSession,
    Timer,
    TurnRecord,
    TurnStart,
    inbox_partition,
    partition_of,
)
from warmline.ports.statistics import (
    COUNTED_DAYS,
    HOUR_MS,
    Column,
    Leg,
    Period,
    RelayCount,
    Spread,
    Statistics,
    StatisticsStore,
)
from warmline.ports.store import HOLD_S, Store
from warmline.ports.system import Clock, Ids, SecretBox
from warmline.ports.texts import TEXTS_ENDPOINT, LineState, SentText, TextStore
from warmline.ports.transcripts import Transcript, TranscriptStore
from warmline.ports.uses import TopicUses, UseStore

__all__ = [
    "COUNTED_DAYS",
    "EVERYTHING",
    "HOLD_S",
    "HOUR_MS",
    "LOOK",
    "MAX_FILE_BYTES",
    "PARTITIONS",
    "TEST_CHAT",
    "TEST_CHAT_ALONE",
    "TEXTS_ENDPOINT",
    "ApiKey",
    "AuditEntry",
    "Backlog",
    "Backlogs",
    "Bus",
    "CatalogStore",
    "Change",
    "Clock",
    "Column",
    "Committed",
    "Connection",
    "Connector",
    "ContextStore",
    "CustomerStore",
    "DatabaseFacts",
    "DeadLetterStore",
    "Done",
    "Ephemeral",
    "ErasingStore",
    "Erasure",
    "EventQueueStore",
    "EventSender",
    "FileStore",
    "Finding",
    "GiveUp",
    "Handler",
    "HealthStore",
    "Ids",
    "InboxRow",
    "LateDelivery",
    "Leg",
    "Level",
    "LineState",
    "Link",
    "LooksAfterSystem",
    "Milestones",
    "OutboxRow",
    "Outcome",
    "PeopleStore",
    "Period",
    "Poke",
    "ProjectSecretStore",
    "QueuedEvent",
    "Receiver",
    "RelayCount",
    "Retry",
    "Role",
    "SecretBox",
    "SentText",
    "SessionInfo",
    "Settled",
    "Settlement",
    "SignIn",
    "Signal",
    "Spread",
    "Statistics",
    "StatisticsStore",
    "Store",
    "StoredFile",
    "StoredSession",
    "TextStore",
    "Timer",
    "TopicUses",
    "Transcript",
    "TranscriptStore",
    "Tried",
    "Trouble",
    "TurnEngine",
    "TurnRecord",
    "TurnStart",
    "Unfinished",
    "UseStore",
    "User",
    "Waiting",
    "Wake",
    "Wanted",
    "inbox_partition",
    "partition_of",
]
