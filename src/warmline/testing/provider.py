"""A contact centre that answers by script: the far side, and a provider that speaks to it."""

import asyncio
import hashlib
import hmac
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from warmline.domain import commands as c
from warmline.domain.messages import LiveAgent
from warmline.handoff.contract import (
    ConversationGone,
    Limits,
    OpenRefused,
    OpenRequest,
    OpenResult,
    OutgoingMessage,
    Parsed,
    ProviderError,
    Receipt,
    RemoteFile,
    SendResult,
    WebhookRefused,
    WebhookRequest,
    send_guard,
)
from warmline.ports import Clock, Connection, InboxRow, Link

SIGNATURE = "x-scripted-signature"
"""Header with the hexadecimal HMAC-SHA256 of the body."""


@dataclass(slots=True)
class RemoteConversation:
    """A conversation as the far side has it. `messages` has each message once, `sends` counts them by id."""

    id: str
    request: OpenRequest
    messages: list[OutgoingMessage] = field(default_factory=list)
    sends: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    closed: str | None = None

    @property
    def texts(self) -> list[str]:
        """What the live agent reads, without the brief's first part."""
        return [message.text for message in self.messages]


@dataclass(frozen=True, slots=True)
class After:
    """The call takes effect, then its answer gets lost as `error`."""

    error: ProviderError


Fault = ProviderError | After | None


class Platform:
    """The far side. It outlives the providers that speak to it, as a platform outlives our crashes.

    `recognises` False: like many platforms it does not know a message id it has seen, and shows the text again.
    """

    def __init__(self, clock: Clock, *, recognises: bool = True) -> None:
        self.conversations: dict[str, RemoteConversation] = {}
        self.calls: list[tuple[str, str]] = []
        """(operation, conversation or handoff id) in the order of arrival, failed ones included."""
        self.agents: dict[str, str] = {"agent-1": "Ada"}
        self.in_flight: dict[str, int] = defaultdict(int)
        self.most_in_flight: dict[str, int] = defaultdict(int)
        """How many sends of one conversation ran at once at most."""
        self._clock = clock
        self._recognises = recognises
        self._scripts: dict[str, deque[Fault]] = defaultdict(deque)
        self._ids = itertools.count(1)
        self.fault: Callable[[str], Fault] = lambda operation: None
        """Asked for every call the script says nothing about."""
        self.delay_s: Callable[[str], float] = lambda operation: 0.0
        self.on_open: Callable[[RemoteConversation], None] = lambda conversation: None
        """Called when a conversation came about, before the answer."""
        self.on_message: Callable[[RemoteConversation, OutgoingMessage], None] = lambda conversation, message: None
        """Called when a message is shown to the live agent, before the answer."""

    def script(self, operation: str, *outcomes: Fault) -> None:
        """What the next calls of "open", "send" or "close" come to; None is success."""
        self._scripts[operation].extend(outcomes)

    def of(self, session_id: str) -> RemoteConversation:
        """The only conversation of a session."""
        (found,) = (r for r in self.conversations.values() if r.request.session_id == session_id)
        return found

    def news(self, remote_id: str, kind: str, *, at: int | None = None, **fields: object) -> bytes:
        """A webhook's body. `kind` is one of those `ScriptedProvider.parse` knows; a repeat is the same bytes."""
        at = self._clock.now() if at is None else at
        body = {"key": f"news-{next(self._ids)}", "remote_id": remote_id, "at": at, "kind": kind, **fields}
        return msgspec.json.encode(body)

    async def open(self, request: OpenRequest) -> str:
        """Create a conversation; returns its id."""
        lost = await self._arrive("open", request.handoff_id)
        remote_id = f"remote-{next(self._ids)}"
        conversation = self.conversations[remote_id] = RemoteConversation(remote_id, request)
        self.on_open(conversation)
        _answer(lost)
        return remote_id

    async def send(self, remote_id: str, message: OutgoingMessage) -> None:
        """Take a message."""
        self.in_flight[remote_id] += 1
        self.most_in_flight[remote_id] = max(self.most_in_flight[remote_id], self.in_flight[remote_id])
        try:
            lost = await self._arrive("send", remote_id)
            conversation = self.conversations.get(remote_id)
            if conversation is None or conversation.closed is not None:
                raise ConversationGone("conversation_gone")
            conversation.sends[message.message_id] += 1
            if not self._recognises or conversation.sends[message.message_id] == 1:
                conversation.messages.append(message)
                self.on_message(conversation, message)
            _answer(lost)
        finally:
            self.in_flight[remote_id] -= 1

    async def close(self, remote_id: str, reason: str) -> None:
        """End a conversation."""
        lost = await self._arrive("close", remote_id)
        conversation = self.conversations.get(remote_id)
        if conversation is None or conversation.closed is not None:
            raise ConversationGone("conversation_gone")
        conversation.closed = reason
        _answer(lost)

    async def _arrive(self, operation: str, about: str) -> ProviderError | None:
        """Record the call and play its fault; returns the error with which the answer gets lost."""
        send_guard.get()()
        self.calls.append((operation, about))
        script = self._scripts[operation]
        fault = script.popleft() if script else self.fault(operation)
        delay = self.delay_s(operation)
        if delay:
            await self._clock.sleep(delay)
        else:
            await asyncio.sleep(0)
        if isinstance(fault, After):
            return fault.error
        if fault is not None:
            raise fault
        return None


def _answer(lost: ProviderError | None) -> None:
    if lost is not None:
        raise lost


class ScriptedProvider:
    """Implements `handoff.contract.Provider`, `ClaimsConversations` and `NamesAgents` over a `Platform`.

    `proven` and `confirmed` say what its results claim; `not_ready` is what `ready` answers.
    """

    def __init__(
        self,
        platform: Platform,
        secret: bytes = b"a webhook secret",
        *,
        max_chars: int = 2000,
        proven: bool = False,
        confirmed: bool = False,
    ) -> None:
        self.limits = Limits(max_chars=max_chars)
        self.not_ready: ProviderError | None = None
        self._platform = platform
        self._secret = secret
        self._proven = proven
        self._confirmed = confirmed

    async def start(self) -> None:
        """Nothing to register."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def ready(self) -> ProviderError | None:
        """What the test set."""
        return self.not_ready

    async def open(self, request: OpenRequest) -> OpenResult:
        """Create a conversation on the platform."""
        return OpenResult(remote_id=await self._platform.open(request), proven=self._proven)

    async def send(self, link: Link, message: OutgoingMessage) -> SendResult:
        """Send a message to the platform."""
        await self._platform.send(link.remote_id, message)
        return SendResult(confirmed=self._confirmed)

    async def close(self, link: Link, reason: str) -> None:
        """End the conversation; one that has ended is success."""
        try:
            await self._platform.close(link.remote_id, reason)
        except ConversationGone:
            return

    def sign(self, body: bytes) -> dict[str, str]:
        """The headers that make `body` a genuine webhook."""
        return {SIGNATURE: hmac.new(self._secret, body, hashlib.sha256).hexdigest()}

    def verify(self, request: WebhookRequest) -> Receipt | None:
        """Check the signature. News of kind "foreign" are not for us."""
        signature = hmac.new(self._secret, request.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, request.headers.get(SIGNATURE, "")):
            raise WebhookRefused("bad_signature", 401)
        try:
            news = msgspec.json.decode(request.body, type=dict[str, Any])
            kind = news["kind"]
            if kind == "foreign":
                return None
            return Receipt(
                key=news["key"],
                remote_id=news["remote_id"],
                event_at=news["at"],
                hold=kind not in ("confirmed", "undeliverable"),
                terminal=kind in ("ended", "refused"),
            )
        except (msgspec.DecodeError, KeyError) as error:
            raise WebhookRefused("malformed", 400) from error

    def parse(self, row: InboxRow, link: Link, now: int) -> Parsed:
        """What the news mean."""
        news = msgspec.json.decode(row.body, type=dict[str, Any])
        kind = news["kind"]
        about = {"at": now, "handoff_id": link.handoff_id, "provider_at": news["at"]}
        dedup_key = news.get("fact", f"{kind}/{row.remote_id}/{news['at']}/{news.get('message_id', '')}")
        if kind == "refused":
            return Parsed(
                refused=OpenRefused(
                    reason=news.get("reason", "refused"),
                    retry_after=news.get("retry_after"),
                    adopt=news.get("adopt", ""),
                    busy=news.get("busy", False),
                )
            )
        make = _COMMANDS.get(kind)
        if make is None:
            return Parsed()
        files = tuple(RemoteFile(**file) for file in news.get("files", ()))
        return Parsed(command=make(news, about), dedup_key=dedup_key, files=files)

    def claims(self, row: InboxRow, request: OpenRequest) -> bool:
        """The news tell the first message's id."""
        news = msgspec.json.decode(row.body, type=dict[str, Any])
        return bool(news.get("opened_by") == request.message_id)

    def link_data(self, request: OpenRequest) -> Mapping[str, object]:
        """Nothing has to be remembered."""
        return {}

    async def agent(self, agent_id: str) -> LiveAgent:
        """The platform's name of an agent."""
        return LiveAgent(id=agent_id, name=self._platform.agents.get(agent_id, ""))


_COMMANDS: dict[str, Callable[[dict[str, Any], dict[str, Any]], c.ProviderCommand]] = {
    "opened": lambda news, about: c.ConversationOpened(**about),
    "queued": lambda news, about: c.ConversationQueued(**about, queue_name=news.get("queue")),
    "agent_joined": lambda news, about: c.AgentJoined(**about, agent=LiveAgent(id=news["agent_id"])),
    "agent_left": lambda news, about: c.AgentLeft(**about),
    "agent_message": lambda news, about: c.AgentMessage(
        **about, message_id=news["message_id"], text=news["text"], agent=LiveAgent(id=news["agent_id"])
    ),
    "confirmed": lambda news, about: c.MessageConfirmed(**about, message_id=news["message_id"]),
    "undeliverable": lambda news, about: c.MessageUndeliverable(**about, message_id=news["message_id"]),
    "ended": lambda news, about: c.ConversationEnded(**about, reason=news.get("reason", "")),
}


class ScriptedProviders:
    """Connections and their providers, as the registry would keep them."""

    def __init__(self, providers: Mapping[str, ScriptedProvider]) -> None:
        self.providers = dict(providers)
        self.keys = dict.fromkeys(providers, "scripted")
        self.state = dict.fromkeys(providers, "connected")
        self._watchers: list[Callable[[Connection], None]] = []

    def get(self, connection_id: str) -> ScriptedProvider | None:
        """The provider of a connection."""
        return self.providers.get(connection_id)

    def connection(self, connection_id: str) -> Connection | None:
        """The connection as it is now."""
        if connection_id not in self.providers:
            return None
        return Connection(
            id=connection_id,
            provider=self.keys[connection_id],
            name=connection_id,
            project_id="project",
            values={},
            state=self.state[connection_id],
        )

    def watch(self, callback: Callable[[Connection], None]) -> None:
        """Call `callback` when a connection is mended."""
        self._watchers.append(callback)

    async def set_state(self, connection_id: str, state: str, reason: str) -> None:
        """Note the state, and tell whoever watches."""
        self.state[connection_id] = state
        connection = self.connection(connection_id)
        if connection is not None:
            for watcher in self._watchers:
                watcher(connection)
