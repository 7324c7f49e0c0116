"""What a contact centre must be able to do, and how it says that it could not.

A provider is a folder `providers/<key>/` with `manifest.toml` and `provider.py`, whose function
`create(connection, environment) -> Provider` makes one object per connection. `Provider` is required; the other
Protocols are optional abilities, which the manifest names too. Providers never touch sessions: they speak to
their platform, and turn what it says into commands of the domain.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import aiohttp

from warmline.domain.commands import ProviderCommand
from warmline.domain.errors import WarmlineError
from warmline.domain.messages import Attachment, FileRules, LiveAgent
from warmline.handoff.verdicts import CheckReport, Verdict
from warmline.ports import Clock, Connection, Ids, InboxRow, Link

# --- outcomes that are not success (design.md §6) --------------------------------------------------------------


class ProviderError(WarmlineError):
    """Base of what a provider's calls raise. `hint` tells the operator what to do, without customer data."""

    def __init__(self, code: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(code, f"{code}: {hint}" if hint else code)
        self.hint = hint
        self.status = status


class ProviderRejected(ProviderError):
    """They will never take this. Final."""


class ContentRefused(ProviderRejected):
    """They will not take this content as it is; shorter pieces of it may be taken."""


class ConversationGone(ProviderRejected):
    """The conversation is not open on their side any more."""


class ProviderThrottled(ProviderError):
    """Too fast; not processed. Come back after `retry_after` seconds."""

    retryable = True

    def __init__(self, code: str, retry_after: float, hint: str = "") -> None:
        super().__init__(code, hint, status=429)
        self.retry_after = retry_after


class ProviderUnavailable(ProviderError):
    """They could not take it now, and certainly did not."""

    retryable = True


class ProviderNotAsked(ProviderUnavailable):
    """Nothing was asked of them, as it would have been of no use now: it says nothing about how they are."""


class ProviderTimeout(ProviderError):
    """No answer, or one that cannot be read: it may have taken effect. Look before sending again."""

    retryable = True
    certain = False


class ProviderAuthFailed(ProviderError):
    """Our credentials are not accepted. The connection stops until somebody mends them."""


class WebhookRefused(WarmlineError):
    """A webhook that must not be stored; `status` is the HTTP answer (401 forged, 403 stale, 400 malformed)."""

    def __init__(self, code: str, status: int, text: str = "") -> None:
        super().__init__(code, text)
        self.status = status


# --- what goes out -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one message, as mirrored from the platform's policy. `max_chars` counts Unicode code points.

    `files` None: the customer's files are not taken.
    """

    max_chars: int
    files: FileRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A conversation to create. `text` is the (first part of the) brief and fits into the limits.

    `attempt` counts from 1; `message_id` stays the same over attempts of one request. `options` is the object
    the project's function gave under the integration's key.
    """

    handoff_id: str
    session_id: str
    project_id: str
    channel: str
    customer_key: str
    """Stable identity of the customer for this connection: the session id, or a phone number on SMS."""
    customer_name: str
    text: str
    message_id: str
    at: int
    attempt: int = 1
    refusals: int = 0
    """How often they had taken it before and then refused it after all (`OpenRefused`)."""
    reason: str = ""
    destination: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenResult:
    """`remote_id` is their id of the conversation. `proven`: it exists for certain, no later verdict comes."""

    remote_id: str
    proven: bool = False
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A customer message for the live agent. `message_id` is a UUID and the same on every retry."""

    message_id: str
    text: str
    at: int
    attachments: tuple[Attachment, ...] = ()
    smaller: bool = False
    """They refused it as it was: send its text in smaller pieces and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """`confirmed`: nothing more will be heard about it, it is delivered. Else a confirmation comes as a command."""

    confirmed: bool = False


# --- what comes in -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """A webhook as it came. Header names are looked up in lower case."""

    endpoint: str
    headers: Mapping[str, str]
    body: bytes
    received_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A verified webhook that is worth keeping.

    `key` is the transport key (the same delivery again has the same). `hold` says whether the order of this
    news matters to the customer: such rows wait a moment and are sorted by `event_at` (webex-byoc.md §11.5).
    `terminal` news wait the full window, so that messages under way come first.
    """

    key: str
    remote_id: str
    event_at: int
    rank: int = 0
    hold: bool = True
    terminal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRefused:
    """The platform took the request to open and then refused it (Webex: `task:failed`).

    `adopt`: the id of the conversation that is ours already. `older`: that of one which is in the way, and of which
    the platform must be asked whose it is (`Reconciles`). Else `retry_after` seconds, None meaning never; `shorten`:
    the next attempt's text must be half as long.
    """

    reason: str
    retry_after: float | None = None
    adopt: str = ""
    older: str = ""
    shorten: bool = False
    busy: bool = False
    """They have no room for one more now: the customer is told."""
    misconfigured: bool = False
    """No handoff will succeed before the operator has done what the hint says."""
    operator_hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Our message `message_id` did not arrive, but may at another try: one after each of `delays` seconds."""

    message_id: str
    delays: tuple[float, ...]
    smaller: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A live agent's file on the platform: fetched at once, never shown by its own address (webex-byoc.md §13.2).

    `encrypted` files cannot be shown without a key that `jwe` and `key_uri` lead to (§13.3).
    """

    url: str = field(repr=False)
    name: str
    mime_type: str = ""
    encrypted: bool = False
    jwe: str = field(default="", repr=False)
    key_uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a stored webhook means for its handoff. No command and no refusal: nothing to do.

    `resend` is tried before the command. `doubtful`: the command is not true while the platform, asked about it
    (`Reconciles`), says that the conversation is open. `dedup_key` is the semantic key: the same fact through
    another path or rebuilt later has the same. `files` belong to an AgentMessage, whose text may then be empty.
    """

    command: ProviderCommand | None = None
    refused: OpenRefused | None = None
    resend: Resend | None = None
    doubtful: bool = False
    dedup_key: str = ""
    files: tuple[RemoteFile, ...] = ()
    transcript: bool = False
    """The platform's own transcript of the conversation can be fetched now (`Transcribes`)."""


def _always() -> None:
    return None


send_guard: ContextVar[Callable[[], None]] = ContextVar("send_guard", default=_always)
"""Called right before a request leaves (`handoff.http`). Raises LeaseLost when another node has taken over while
the call waited for a token, a connection or its turn (design.md §6). Let it pass through."""


# --- the Protocols -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEnvironment:
    """What a provider may use of the outside.

    `save_secrets` is durable when it returns; `load_secrets` gives what is stored now, which another process may have
    renewed (None: nothing is stored), and `alone` is held while they are renewed: by one process at a time (None: no
    other process knows them). `set_state(state, reason)` reports the connection's health.
    `public_url` has no trailing slash; webhooks arrive at `{public_url}/hooks/{provider}/{connection}/{endpoint}`.
    `install_secret` keys hashes that must be stable for the installation. `relaxed` permits http and private
    addresses (emulators).
    """

    http: aiohttp.ClientSession
    clock: Clock
    ids: Ids
    public_url: str
    install_secret: bytes = field(repr=False)
    save_secrets: Callable[[Mapping[str, str]], Awaitable[None]]
    set_state: Callable[[str, str], Awaitable[None]]
    load_secrets: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    alone: Callable[[], AbstractAsyncContextManager[None]] | None = None
    relaxed: bool = False


class Provider(Protocol):
    """Required of every provider. Calls raise ProviderError; nothing else means anything to delivery."""

    @property
    def limits(self) -> Limits:
        """Bounds of one message."""
        ...

    async def start(self) -> None:
        """Get ready to receive (register webhooks, open streams). Must not start handoffs. May be called again."""
        ...

    async def stop(self) -> None:
        """Stop background work. Leaves registrations in place."""
        ...

    def ready(self) -> ProviderError | None:
        """Why no handoff may be opened now, or None. No I/O."""
        ...

    async def open(self, request: OpenRequest) -> OpenResult:
        """Create the conversation, with the brief as its first message. Must not retry by itself."""
        ...

    async def send(self, link: Link, message: OutgoingMessage) -> SendResult:
        """Give the live agent one message. Called for one message at a time per conversation."""
        ...

    async def close(self, link: Link, reason: str) -> None:
        """End the conversation on their side; one that has ended already is success."""
        ...

    def verify(self, request: WebhookRequest) -> Receipt | None:
        """Check a webhook; None means genuine but not for us (answer 200, keep nothing). No I/O.

        Raises: WebhookRefused.
        """
        ...

    def parse(self, row: InboxRow, link: Link, now: int) -> Parsed:
        """What a stored webhook means. Pure; the same row gives the same answer."""
        ...


@runtime_checkable
class ClaimsConversations(Protocol):
    """Can tell from a webhook of an unknown conversation that it is the one whose opening was left uncertain."""

    def claims(self, row: InboxRow, request: OpenRequest) -> bool:
        """True when the row's conversation was created by this request."""
        ...

    def link_data(self, request: OpenRequest) -> Mapping[str, object]:
        """What `OpenResult.data` would have been for this request."""
        ...


class RemoteStatus(StrEnum):
    """How the platform says that a conversation is."""

    OPEN = "open"
    QUEUED = "queued"
    LIVE = "live"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteState:
    """A conversation as the platform knows it when it is asked. Times are milliseconds, 0 where it does not tell.

    What it knows may be some minutes old. `customer` and `address` are the platform's names of both ends.
    """

    remote_id: str
    status: RemoteStatus
    ended_at: int = 0
    reason: str = ""
    agent_id: str = ""
    customer: str = ""
    address: str = ""


@runtime_checkable
class Reconciles(Protocol):
    """Can ask the platform how conversations are, for when its news got lost."""

    @property
    def doubted_at(self) -> int:
        """When it was last noticed that news may have got lost, milliseconds since the epoch; 0: never."""
        ...

    async def look_up(self, remote_ids: Sequence[str]) -> Mapping[str, RemoteState]:
        """The states by id; the platform does not know (yet) those that are missing. Raises ProviderError."""
        ...

    def belongs(self, state: RemoteState, request: OpenRequest) -> bool:
        """The conversation is of this request's customer, at this connection's address."""
        ...


@runtime_checkable
class SharesConversations(Protocol):
    """Has one conversation at a time with a customer, whichever of their sessions it began in."""

    def shares(self, link: Link) -> bool:
        """Other sessions of the same customer may be in this conversation too."""
        ...


@runtime_checkable
class ListsConversations(Protocol):
    """Can list the conversations that the platform had from this connection."""

    async def listed(self, since: int, until: int) -> Sequence[RemoteState]:
        """Those created in that time (milliseconds since the epoch). Raises ProviderError."""
        ...


@runtime_checkable
class Transcribes(Protocol):
    """Can fetch the platform's own transcript of a conversation that is over."""

    async def transcript(self, remote_id: str) -> str:
        """The address it can be fetched from without credentials, "" while there is none. Raises ProviderError."""
        ...


@runtime_checkable
class NamesAgents(Protocol):
    """Can look up a live agent's name."""

    async def agent(self, agent_id: str) -> LiveAgent:
        """The agent, with the configured label when the platform does not tell. Cached; never raises."""
        ...


class AttachmentDecryptor(Protocol):
    """Opens files that the platform encrypted for its agents' organization (webex-byoc.md §13.3)."""

    async def decrypt(self, file: RemoteFile, content: bytes) -> bytes:
        """The file behind `content`. Raises ProviderError: retryable when the key could not be had now."""
        ...


@runtime_checkable
class DecryptsFiles(Protocol):
    """May be able to open encrypted files."""

    @property
    def decryptor(self) -> AttachmentDecryptor | None:
        """None: it cannot, and the customer is told so."""
        ...


@runtime_checkable
class ForwardsTyping(Protocol):
    """Can show the live agent that the customer types."""

    async def typing(self, link: Link, started: bool) -> None:
        """Ephemeral: failures are ignored."""
        ...


@runtime_checkable
class RemovesRegistrations(Protocol):
    """Has registrations on the platform that a disconnect must remove."""

    async def unregister(self) -> None:
        """Remove what `start` registered, and nothing else."""
        ...


@runtime_checkable
class InspectsConnections(Protocol):
    """A provider's module that can look at a stored connection without changing anything."""

    async def inspect(
        self, connection: Connection, environment: ProviderEnvironment, heard: Mapping[str, int]
    ) -> tuple[Verdict, ...]:
        """What is found; a verdict that is `ok` and has a remedy is a warning. Must not renew or register anything.

        `heard` tells when the last webhook came (epoch ms), by endpoint.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUse:
    """Calls made in the last minute, how many are allowed, and for how long the platform wants none (seconds)."""

    made: int
    allowed: int
    held_s: int = 0


@runtime_checkable
class CountsCalls(Protocol):
    """A provider that keeps to a limit of calls."""

    def calls(self) -> CallUse:
        """How much of the limit is used, by everything that shares it in this process."""
        ...


class ProviderModule(Protocol):
    """What `providers/<key>/provider.py` offers."""

    def create(self, connection: Connection, environment: ProviderEnvironment) -> Provider:
        """The provider for a connection."""
        ...

    async def check(
        self, values: Mapping[str, str], secrets: Mapping[str, str], environment: ProviderEnvironment
    ) -> CheckReport:
        """Test values against the real system, in order, before anything is saved."""
        ...
