"""Requests to change a session, imperative. They carry every id and time they need: the domain makes none."""

from collections.abc import Mapping
from dataclasses import dataclass

from warmline.domain.effects import SendText
from warmline.domain.events import Custom, EndReason, OnFailure
from warmline.domain.line import Line
from warmline.domain.messages import Attachment, FileRules, LiveAgent
from warmline.domain.turn import TurnKind, TurnOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Base of all commands. `at` is the time it is decided, milliseconds since the epoch."""

    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSession(Command):
    """Begin the log."""

    channel: str
    streaming: bool = False
    line: Line | None = None
    context_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestJoin(Command):
    """The customer's client wants the virtual agent. Idempotent while one is there or coming.

    `greeting`: what it says first, in place of its own greeting, as the message `greeting_id`.
    """

    agent_name: str = ""
    agent_avatar_url: str = ""
    custom: Custom | None = None
    greeting: str = ""
    greeting_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostUserMessage(Command):
    """The customer wrote `text`, which is empty only beside `attachments`."""

    message_id: str
    text: str
    custom: Custom | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndByUser(Command):
    """The customer ends the session."""

    custom: Custom | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon(Command):
    """Nobody has been there for too long."""

    reason: EndReason = EndReason.USER_ABANDONED


@dataclass(frozen=True, slots=True, kw_only=True)
class TellCustomer(Command):
    """Warmline itself has something to say; with `end` it is all that this session was for.

    `always`: it goes out by text also to a customer who has unsubscribed.
    """

    text: str
    always: bool = False
    end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence(Command):
    """The customer of a session over SMS may have been silent for too long; whether so is decided here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffPlan:
    """What a handoff request was resolved to: a connection and its rules, frozen for this handoff.

    `by_client`: the customer's own app takes the conversation to a human (messaging-protocol.md §8.2); there is no
    connection then.
    """

    handoff_id: str
    connection_id: str
    provider: str
    queue_timeout_s: int
    accept_timeout_s: int = 120
    on_failure: OnFailure = OnFailure.RESUME
    return_after_live: bool = False
    reason: str = ""
    destination: str = ""
    options: Mapping[str, object] | None = None
    files: FileRules | None = None
    by_client: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAnswer(Command):
    """The next piece of the text with which the turn that answers `answers` is going to answer (see `ApplyTurn`).

    All pieces of a turn have the same `message_id`.
    """

    kind: TurnKind
    answers: int
    message_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyTurn(Command):
    """The virtual agent's turn came to `outcome`.

    `answers` is the sequence of the customer message it answers (0 for START and END turns). `message_ids`
    has one fresh id per `outcome.says`. `plan` is None when no handoff was asked for or none could be planned.
    `texts` are the text messages it asks for, apart from the conversation itself.
    """

    kind: TurnKind
    outcome: TurnOutcome
    message_ids: tuple[str, ...]
    answers: int = 0
    plan: HandoffPlan | None = None
    texts: tuple[SendText, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCommand(Command):
    """Base of what a contact centre tells us.

    `handoff_id` says which handoff it is about: news of an earlier one change nothing. `provider_at` is the
    platform's own time of the fact in milliseconds (0: unknown); late lifecycle news are ignored by it.
    """

    handoff_id: str
    provider_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationOpened(ProviderCommand):
    """The contact centre proved that it has the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationQueued(ProviderCommand):
    """It waits in a queue (again)."""

    queue_name: str | None = None
    position: int | None = None
    wait_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentJoined(ProviderCommand):
    """A live agent took it."""

    agent: LiveAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLeft(ProviderCommand):
    """The live agent left it to others; it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMessage(ProviderCommand):
    """A live agent (or, with `agent` None, the contact centre's flow) wrote."""

    message_id: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    agent: LiveAgent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageConfirmed(ProviderCommand):
    """The contact centre has our message `message_id`.

    `kept` are the addresses of its files that arrived, None when all did; the customer is told which did not.
    """

    message_id: str
    stored_text: str | None = None
    kept: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageUndeliverable(ProviderCommand):
    """Our message `message_id` will not reach the live agent."""

    message_id: str
    text: str = "Failed to forward message to live agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendMessage(ProviderCommand):
    """Our message `message_id` did not arrive: forward it again, not before `not_before` (milliseconds), as `alias`.

    `smaller`: they refused it as it was (see `effects.ForwardMessage`).
    """

    message_id: str
    not_before: int = 0
    alias: str = ""
    smaller: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendBriefPart(ProviderCommand):
    """A later part of the brief did not arrive: send it again, not before `not_before` (milliseconds).

    `through`, `answered` and `reason` are those of the brief (see `effects.OpenConversation`).
    """

    part: int
    through: int
    answered: int
    reason: str = ""
    not_before: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDelayed(ProviderCommand):
    """The contact centre cannot be reached: the customer's messages wait.

    `busy`: it can, and has no room for this conversation yet, which will be asked for again.
    """

    busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFailed(ProviderCommand):
    """The conversation could not be opened."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationEnded(ProviderCommand):
    """The contact centre ended it."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineReached(ProviderCommand):
    """A deadline of the handoff has fired at `at`; whether it still matters is decided here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCommand(Command):
    """Base of what an operator does about a handoff; about one that is over it changes nothing."""

    handoff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndHandoff(OperatorCommand):
    """End it on both sides, and the session with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnToVirtualAgent(OperatorCommand):
    """End it at the contact centre; the virtual agent answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryMessage(OperatorCommand):
    """Forward the customer's message `message_id`, which they were told was not delivered, once more."""

    message_id: str
