"""A turn of the virtual agent as data: what goes in, what comes out. The engine that runs it is at the edge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from warmline.domain.messages import Say


class TurnKind(StrEnum):
    """Why a turn runs."""

    START = "start"
    """The customer joined: run the start function and greet."""
    MESSAGE = "message"
    """The customer wrote something."""
    END = "end"
    """The session is over: run the end function; nothing may be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One line of the conversation so far. `role` is "user", "agent" (virtual) or "live_agent"."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnInput:
    """All a turn may know.

    `memory` is what the previous turn of this session returned (b"" before the first): the project's state,
    opaque to everyone but the function workers. `history` ends with the current user input on MESSAGE turns.
    `channel` is a channel type such as "webchat.polyai" (messaging-protocol.md §17.4). `at` is when the turn runs, in
    milliseconds since the epoch (UTC); None for the present moment. `context` is what the customer's page vouches for.
    `callee_number` is the number that the customer texted, `started_at` when the session began, in milliseconds since
    the epoch; both are None where nobody knows.
    """

    turn_id: str
    session_id: str
    kind: TurnKind
    text: str = ""
    channel: str = "webchat.polyai"
    environment: str = "live"
    language: str | None = None
    variant: str | None = None
    caller_number: str | None = None
    callee_number: str | None = None
    started_at: int | None = None
    integration_attributes: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, object] = field(default_factory=dict)
    history: tuple[HistoryItem, ...] = ()
    memory: bytes = b""
    at: int | None = None


CLIENT = "client"
"""The connection's name by which a route leaves the handoff to the customer's own app (messaging-protocol.md §8.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffRequest:
    """A wish to move the session to a human.

    `integration` is a handoff key such as "webex_integration", or None when only a destination is known
    (`conv.call_handoff`). `options` is the object found under the key, as given by the function and the project's
    route. `connection` is the name or id of the connection that the route prefers, `CLIENT`, or "" for any. `file` and
    `line` say where the project asks for it, as in `Finding`.
    """

    integration: str | None
    destination: str = ""
    reason: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    connection: str = ""
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsRequest:
    """A text message that the virtual agent wants sent (messaging-protocol.md §17.5), on any channel.

    `to` and `from_number` are E.164 numbers; `from_number` may be a messaging service (`MG…`), "" leaves the choice
    to the project's connection. `template` names the template it was made from, for the review.
    """

    to: str
    text: str
    from_number: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """The record of one function run, for the conversation review (agent-project.md §7.3)."""

    name: str
    duration_ms: int
    error: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    logs: tuple[Mapping[str, object], ...] = ()
    state_changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the state's keys under "added", "updated" and "removed"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something the operator or the project's author must know. `file` is relative to the project; line 1-based."""

    rule: str
    text: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One thing that happened inside a turn, `at_ms` milliseconds after it began.

    `kind` is retrieved, prompt, tool, returned, state, moved, said, handoff, text or error; `data` is plain data. A
    trace is for the author who is trying a project: it is never logged, and stored only with the turns of a test chat.
    """

    at_ms: int
    kind: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOutcome:
    """What a turn decided, in the order in which it takes effect: says, then handoff, then end.

    `failed` means that the customer must get the apology of messaging-protocol.md §10 ("Sorry, I'm having trouble
    responding right now. Please try again."); `findings` then says why. A handoff whose key or payload is
    wrong comes as `handoff=None` with `handoff_error=True` and a finding (the customer is told
    "Sorry, handoff could not be initiated.").
    """

    says: tuple[Say, ...] = ()
    handoff: HandoffRequest | None = None
    handoff_error: bool = False
    end: bool = False
    failed: bool = False
    memory: bytes = b""
    language: str | None = None
    variant: str | None = None
    topic: str = ""
    why: str = ""
    """What made the topic match, in the brain's words; for the conversation review."""
    calls: tuple[FunctionCall, ...] = ()
    metrics: tuple[tuple[str, object], ...] = ()
    findings: tuple[Finding, ...] = ()
    sms: tuple[SmsRequest, ...] = ()
    """Text messages to send; those of a failed turn are not sent."""
    trace: tuple[TraceEntry, ...] = field(default=(), compare=False, repr=False)
