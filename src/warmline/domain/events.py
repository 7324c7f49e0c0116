"""Facts of a session, past tense. Every event has a form on the customer's wire (messaging-protocol.md §6).

Fields that the wire does not show (such as `handoff_id` or `answers`) are there so that folding the log gives
the whole session back. Add fields with defaults only: old logs must stay readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from warmline.domain.line import Line
from warmline.domain.messages import Attachment, CallAction, FileRules, LiveAgent

Custom = Mapping[str, object]
"""`metadata.custom` of the client event that caused this one, echoed as it came (messaging-protocol.md §4.5)."""


class EndReason(StrEnum):
    """Why a session ended (messaging-protocol.md §6.1)."""

    USER_END = "REASON_USER_END"
    USER_ABANDONED = "REASON_USER_ABANDONED"
    NATURAL_END = "REASON_NATURAL_END"


class NoticeLevel(StrEnum):
    """How serious a system notice is."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class OnFailure(StrEnum):
    """What follows a handoff that reached nobody: back to the virtual agent, or the end of the session."""

    RESUME = "resume"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """SESSION_START: the first event of every log."""

    channel: str
    streaming: bool = False
    heartbeat_seconds: int = 30
    max_reconnect_attempts: int = 20
    max_message_bytes: int = 131072
    line: Line | None = None
    """Where the session's texts go, on SMS."""
    context_id: str = ""
    """Under what the customer's page may vouch for facts (messaging-protocol.md §12)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequested(Event):
    """REQUEST_POLY_AGENT_JOIN: the customer's client asked for the virtual agent."""

    custom: Custom | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAgentJoined(Event):
    """POLY_AGENT_JOINED: from here the virtual agent answers.

    `greeted`: somebody else has said the first words for it, so that it does not greet.
    """

    agent_name: str = ""
    agent_avatar_url: str = ""
    greeted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage(Event):
    """USER_MESSAGE: the customer wrote; its echo means that it is accepted."""

    message_id: str
    text: str
    custom: Custom | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAgentMessage(Event):
    """POLY_AGENT_MESSAGE. `answers` is the sequence up to which customer messages are answered by it (0: none)."""

    message_id: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    suggestions: tuple[str, ...] = ()
    call_actions: tuple[CallAction, ...] = ()
    answers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAgentChunk(Event):
    """POLY_AGENT_MESSAGE_CHUNK: a piece of one message, `index` from 1 (messaging-protocol.md §7)."""

    message_id: str
    text: str
    index: int
    complete: bool = False
    attachments: tuple[Attachment, ...] = ()
    suggestions: tuple[str, ...] = ()
    answers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffTriggered(Event):
    """POLY_AGENT_TRIGGERED_HANDOFF. What the handoff needs later is frozen here."""

    handoff_id: str
    connection_id: str
    provider: str
    queue_timeout_s: int
    on_failure: OnFailure = OnFailure.RESUME
    return_after_live: bool = False
    reason: str = ""
    destination: str = ""
    options: Mapping[str, object] | None = None
    answers: int = 0
    deadline: int = 0
    """When the contact centre must have it, milliseconds since the epoch."""
    files: FileRules | None = None
    """Which files the contact centre takes; None: none."""
    by_client: bool = False
    """The customer's own app takes it from here; we have no part in it."""


class ClientHandoffReason(StrEnum):
    """Why the customer's app is asked to bring a human (messaging-protocol.md §6.4)."""

    COMPLEX_QUERY = "COMPLEX_QUERY"
    AGENT_DECISION = "AGENT_DECISION"
    POLICY = "POLICY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHandoffRequired(Event):
    """CLIENT_HANDOFF_REQUIRED: the customer's own app must bring the human."""

    reason: ClientHandoffReason
    queue_name: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAgentLeft(Event):
    """POLY_AGENT_LEFT: from here the virtual agent is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffAccepted(Event):
    """HANDOFF_ACCEPTED: the contact centre has the conversation.

    `deadline` is when a live agent must have it, milliseconds since the epoch (0: never). `files` are the
    customer's files that can be sent from now on; None: none.
    """

    deadline: int = 0
    files: FileRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatusChanged(Event):
    """HANDOFF_QUEUE_STATUS. None means that the platform does not tell."""

    queue_name: str | None = None
    position: int | None = None
    wait_seconds: int | None = None
    provider_at: int = 0
    requeued: bool = False
    """A live agent had it before: the conversation went back to a queue."""
    deadline: int = 0
    """When the next live agent must have it, milliseconds since the epoch (0: as before)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAgentJoined(Event):
    """LIVE_AGENT_JOINED."""

    agent: LiveAgent
    provider_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAgentMessage(Event):
    """LIVE_AGENT_MESSAGE. `agent` is None for texts of the contact centre's own flow."""

    message_id: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    agent: LiveAgent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReceived(Event):
    """LIVE_AGENT_RECEIVED_MESSAGE: the contact centre has this customer message.

    `stored_text` replaces our copy where the platform masked something (webex-byoc.md §14); None: unchanged.
    """

    message_id: str
    stored_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAgentLeft(Event):
    """LIVE_AGENT_LEFT: only right before the end or the return, never on transfers (messaging-protocol.md §8.5)."""

    agent_id: str = ""
    reason: str = ""
    by_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffFailed(Event):
    """HANDOFF_FAILED: nobody was reached. `returned` are customer messages that go back to the virtual agent."""

    reason: str = ""
    returned: tuple[str, ...] = ()
    by_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffTimedOut(Event):
    """HANDOFF_TIMEOUT: nobody took it in time."""

    reason: str = ""
    returned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemNotice(Event):
    """SYSTEM_MESSAGE, shown to the customer verbatim.

    `undelivered` names the customer message that did not arrive, `retried` one that is on its way again.
    """

    level: NoticeLevel
    text: str
    custom: Custom | None = None
    undelivered: str = ""
    retried: str = ""
    start_failed: bool = False
    answers: int = 0
    still_there: bool = False
    """It asks a silent customer whether they are still there; without an answer the session ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageChanged(Event):
    """LANGUAGE_CHANGED: BCP-47 code, absolute."""

    language_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEndRequested(Event):
    """USER_END_SESSION: the customer ended the session."""

    custom: Custom | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """SESSION_END: the last event of every log."""

    reason: EndReason


EVENT_TYPES: tuple[type[Event], ...] = (
    SessionStarted,
    JoinRequested,
    VirtualAgentJoined,
    UserMessage,
    VirtualAgentMessage,
    VirtualAgentChunk,
    HandoffTriggered,
    ClientHandoffRequired,
    VirtualAgentLeft,
    HandoffAccepted,
    QueueStatusChanged,
    LiveAgentJoined,
    LiveAgentMessage,
    MessageReceived,
    LiveAgentLeft,
    HandoffFailed,
    HandoffTimedOut,
    SystemNotice,
    LanguageChanged,
    UserEndRequested,
    SessionEnded,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event in its place: `sequence` from 1 without gaps, `id` unique, `at` in milliseconds since the epoch."""

    sequence: int
    id: str
    at: int
    event: Event
