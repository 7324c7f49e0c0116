"""What the outside world must do. Each effect becomes an outbox row in the transaction of its cause."""

from collections.abc import Mapping
from dataclasses import dataclass

from warmline.domain.line import line_key
from warmline.domain.messages import Attachment
from warmline.domain.turn import TurnKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Base of all effects. Effects of one `stream` happen one after the other, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTurn(Effect):
    """Let the virtual agent take a turn. `sequence` is the customer message it is for (0: none).

    `turn_id` is unique among the session's turns that run: the message's id, "start-<n>" or "end". `attempt` counts
    the starts that had failed when it was asked for (see `Session.wants`).
    """

    turn_id: str
    kind: TurnKind
    sequence: int = 0
    text: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEffect(Effect):
    """Base of what goes out over a connection."""

    connection_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEffect(ConnectionEffect):
    """Base of what a contact centre must be told."""

    handoff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendText(ConnectionEffect):
    """Send one SMS or, with `media` (addresses of files), one MMS from `number` to `customer`.

    `number` may be a messaging service (`MG…`). `always`: also to a customer who has unsubscribed.
    """

    number: str
    customer: str
    text: str
    media: tuple[str, ...] = ()
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConversation(ProviderEffect):
    """Create the conversation there; the first message is the brief.

    The brief tells the log up to `through`, without the customer messages after `answered`: those follow as
    messages of their own.
    """

    through: int
    answered: int
    reason: str = ""
    destination: str = ""
    options: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBriefRest(ProviderEffect):
    """Send the parts of the brief that did not fit into the first message.

    `part` (from 1): only that one, again after a failure, not before `not_before` (milliseconds); 0: what is left.
    """

    through: int
    answered: int
    reason: str = ""
    part: int = 0
    not_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardMessage(ProviderEffect):
    """Give the live agent a customer message; `at` is when it was written, milliseconds.

    Sent again after a failure: not before `not_before` (milliseconds), under the id `alias` if there is one, and
    with `smaller` in shorter pieces and without its files.
    """

    message_id: str
    text: str
    at: int
    attachments: tuple[Attachment, ...] = ()
    not_before: int = 0
    alias: str = ""
    smaller: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseConversation(ProviderEffect):
    """End it on their side."""

    reason: str


EFFECT_TYPES: tuple[type[Effect], ...] = (
    RunTurn,
    OpenConversation,
    SendBriefRest,
    ForwardMessage,
    CloseConversation,
    SendText,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Set the session's deadline `kind` to `due` (milliseconds since the epoch), replacing an earlier one."""

    kind: str
    due: int
    handoff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarm:
    """Forget the session's deadline `kind`."""

    kind: str


TimerChange = Arm | Disarm


def stream_key(session_id: str, effect: Effect) -> str:
    """The stream an effect belongs to (design.md §6): the session's turns, connection + session, or a line."""
    if isinstance(effect, SendText):
        return f"sms/{line_key(effect.connection_id, effect.number, effect.customer)}"
    if isinstance(effect, ProviderEffect):
        return provider_stream(effect.connection_id, session_id)
    return f"turn/{session_id}"


def provider_stream(connection_id: str, session_id: str) -> str:
    """The stream of what a session's contact centre must be told."""
    return f"{connection_id}/{session_id}"
