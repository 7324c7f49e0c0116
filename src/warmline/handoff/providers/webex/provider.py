"""Webex Contact Center, Bring Your Own Custom Messaging Channel (webex-byoc.md)."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence

import structlog

from warmline.domain import commands as c
from warmline.domain.messages import Attachment, LiveAgent
from warmline.handoff import http
from warmline.handoff.brief import split
from warmline.handoff.contract import (
    AttachmentDecryptor,
    CallUse,
    ConversationGone,
    Limits,
    OpenRequest,
    OpenResult,
    OutgoingMessage,
    Parsed,
    ProviderAuthFailed,
    ProviderEnvironment,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    Receipt,
    RemoteState,
    SendResult,
    WebhookRequest,
)
from warmline.handoff.providers.webex import mapping, wire
from warmline.handoff.providers.webex.agents import Agents
from warmline.handoff.providers.webex.check import check as check
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.crowding import LimitWatch
from warmline.handoff.providers.webex.encryption import KeyServerDecryptor
from warmline.handoff.providers.webex.expiry import ExpiryWatch
from warmline.handoff.providers.webex.inspect import inspect as inspect
from warmline.handoff.providers.webex.memory import Memory
from warmline.handoff.providers.webex.paths import PathWatch
from warmline.handoff.providers.webex.probe import probe as probe
from warmline.handoff.providers.webex.subscriptions import Subscriptions
from warmline.handoff.providers.webex.tokens import Tokens
from warmline.handoff.providers.webex.webhook import retired, verify
from warmline.ports import Connection, InboxRow, Link

_log = structlog.get_logger(__name__)

_RECHECK_S = 15 * 60
_BACKOFF_MAX_S = 60.0
_FIRST_CHECK_S = 1.5
"""How long a start waits for the first look at the subscriptions; a slow Webex must not hold up the server."""

_CLAIMING = ("task:new", "task:parked", "task:connect", "task:connected")
_CUSTOMER_LEFT = "The customer has left the chat."


class WebexProvider:
    """One Webex connection: calls, webhooks, and the upkeep of token and subscriptions."""

    def __init__(self, connection: Connection, environment: ProviderEnvironment) -> None:
        self._config = WebexConfig.read(connection.values)
        self._secrets = dict(connection.secrets)
        self._environment = environment
        self._connection_id = connection.id
        self._tokens = Tokens(self._config, connection.secrets, environment)
        self._client = WebexClient(self._config, self._tokens, environment)
        self._events_url = f"{environment.public_url}/hooks/webex/{connection.id}/events"
        secret = self._secrets.get("subscription_secret", "")
        self._subscriptions = Subscriptions(
            self._client, connection.id, self._events_url, secret, answers=self._endpoint_answers
        )
        self._agents = Agents(self._client, environment.clock, self._config.agent_label)
        self._decryptor = KeyServerDecryptor(self._client) if environment.relaxed else None
        self._memory = Memory()
        self._parts_sent: dict[str, int] = {}
        self._can_end = True
        self._doubted_at = 0
        self._refusal: ProviderError | None = ProviderUnavailable("not_started", "the connection is being started")
        self._upkeep: asyncio.Task[None] | None = None
        self._expiry = ExpiryWatch(connection.id)
        self._paths = PathWatch(connection.id)
        self._limit = LimitWatch(connection.id)
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def decryptor(self) -> AttachmentDecryptor | None:
        """Opens encrypted files of agents where the keys can be had: from an emulator's key server only (§13.3)."""
        return self._decryptor

    @property
    def limits(self) -> Limits:
        """Bounds of one message."""
        return Limits(max_chars=self._config.max_chars, files=self._config.files)

    # -- life

    async def start(self) -> None:
        """Look after token and subscriptions from now on; waits a moment for the first result."""
        await self._stop_upkeep()
        first = asyncio.Event()
        self._upkeep = asyncio.create_task(self._keep_up(first))
        waiting = asyncio.create_task(first.wait())
        await asyncio.wait([waiting], timeout=_FIRST_CHECK_S)
        waiting.cancel()

    async def stop(self) -> None:
        """Stop background work; the subscriptions stay."""
        await self._stop_upkeep()
        await self._agents.stop()
        await self._tokens.stop()

    async def unregister(self) -> None:
        """Delete our subscriptions."""
        await self._stop_upkeep()
        await self._subscriptions.remove()

    def ready(self) -> ProviderError | None:
        """Why no handoff may be opened now: without active subscriptions we would not hear what becomes of it."""
        return self._tokens.failure or self._refusal

    # -- calls

    async def open(self, request: OpenRequest) -> OpenResult:
        """Create a task with the brief as its first message."""
        refusal = self.ready()
        if refusal is not None:
            raise refusal
        task, left_out = mapping.create_task(self._config, request, self._environment.install_secret)
        if left_out:
            _log.warning("webex.options_left_out", handoff_id=request.handoff_id, names=left_out)
        task_id = await self._client.create_task(task)
        self._memory.created(task_id, request.handoff_id)
        return OpenResult(remote_id=task_id, data=mapping.link_data(request))

    async def send(self, link: Link, message: OutgoingMessage) -> SendResult:
        """Append a customer message; longer than the policy allows, as several, the last one under its id.

        Webex rejects a message with a file too many whole, so what breaks the policy is not sent at all (§13.1).
        """
        if message.attachments and not message.smaller:
            problem = "count" if self._config.files is None else self._config.files.problem(message.attachments)
            if problem:
                raise ProviderRejected(f"policy_{problem}", "a customer's file breaks the channel's messaging policy")
        parts = split(message.text, self._piece(message))
        for number in range(self._parts_sent.get(message.message_id, 0), len(parts)):
            last = number == len(parts) - 1
            alias = message.message_id if last else _part_id(message.message_id, number)
            files = message.attachments if last and not message.smaller else ()
            await self._append(link.remote_id, alias, parts[number], message.at, files)
            if not last:
                self._parts_sent[message.message_id] = number + 1
        self._parts_sent.pop(message.message_id, None)
        return SendResult()

    def _piece(self, message: OutgoingMessage) -> int:
        """How many characters one append may have."""
        if not message.smaller or message.attachments:
            return self._config.max_chars
        return max(1, min(self._config.max_chars, -(-len(message.text) // 2)))

    def calls(self) -> CallUse:
        """How much of the Service App's budget is used (webex-byoc.md §6)."""
        return self._client.use()

    async def close(self, link: Link, reason: str) -> None:
        """End the task. Where the Service App may not, the agent is told that the customer has left."""
        self._memory.ended(link.remote_id)
        if self._can_end:
            try:
                await self._client.end_task(link.remote_id)
                return
            except ConversationGone:
                return
            except ProviderAuthFailed as error:
                if error.status != 403:
                    raise
                self._can_end = False
                _log.error("webex.cannot_end_tasks", connection_id=self._connection_id, hint=error.hint)
        try:
            farewell = _part_id(link.handoff_id, 0)
            await self._append(link.remote_id, farewell, _CUSTOMER_LEFT, self._environment.clock.now())
        except ConversationGone:
            return

    async def agent(self, agent_id: str) -> LiveAgent:
        """The agent with a first name, or the configured label."""
        return await self._agents.get(agent_id)

    # -- webhooks

    def verify(self, request: WebhookRequest) -> Receipt | None:
        """Check a webhook (§11.3)."""
        receipt = verify(self._config, self._secrets, request)
        for name in retired(self._secrets, request):
            self._forget_previous(name)
        return receipt

    def parse(self, row: InboxRow, link: Link, now: int) -> Parsed:
        """What a stored webhook means. Beside the row only what is on its way is looked at (`Memory`)."""
        envelope = wire.envelope_decoder.decode(row.body)
        older = mapping.open_task(str(envelope.body.get("errorMessage") or ""), row.remote_id)
        recall = self._memory.recall(row.remote_id, link.handoff_id, row.key, older)
        parsed = mapping.parse(self._config, envelope, link, recall, now=now, received_at=row.received_at)
        self._note(row, envelope, parsed)
        return parsed

    def claims(self, row: InboxRow, request: OpenRequest) -> bool:
        """Whether a webhook shows the conversation that this request made (§15.3)."""
        if self._memory.owner(row.remote_id) not in (None, request.handoff_id):
            return False
        envelope = wire.envelope_decoder.decode(row.body)
        data = envelope.body
        origin = wire.as_object(data.get("origin")) or {}
        ours = origin.get("id") == mapping.origin_id(self._config, request, self._environment.install_secret)
        if envelope.type == "task-message:appended" and not mapping.is_outbound(data):
            content = wire.content_of(data)
            claimed = content is not None and content.alias_id == request.message_id
        else:
            claimed = ours and envelope.type in _CLAIMING
        if claimed:
            self._memory.created(row.remote_id, request.handoff_id)
        return claimed

    def link_data(self, request: OpenRequest) -> Mapping[str, object]:
        """What has to be known of a handoff when its webhooks are read."""
        return mapping.link_data(request)

    def shares(self, link: Link) -> bool:
        """Other sessions of the same customer may be in this task too."""
        return mapping.shares(self._config, link)

    # -- what became of conversations

    @property
    def doubted_at(self) -> int:
        """When a subscription was found inactive last (§17, race 23)."""
        return self._doubted_at

    async def look_up(self, remote_ids: Sequence[str]) -> Mapping[str, RemoteState]:
        """The tasks as Search has them, some minutes late at times."""
        return await self._client.search(remote_ids)

    async def listed(self, since: int, until: int) -> Sequence[RemoteState]:
        """The tasks that Search has of ours, created in that time."""
        return await self._client.list_tasks(since, until)

    def belongs(self, state: RemoteState, request: OpenRequest) -> bool:
        """The task's origin and destination are what this request would have."""
        origin = mapping.origin_id(self._config, request, self._environment.install_secret)
        return state.customer == origin and state.address == self._config.business_address

    async def transcript(self, remote_id: str) -> str:
        """The signed address of the task's transcript."""
        return await self._client.transcript_url(remote_id)

    # -- inside

    async def _append(
        self, task_id: str, alias_id: str, text: str, at: int, files: tuple[Attachment, ...] = ()
    ) -> None:
        # Remembered first: the confirmation may arrive before the answer (§17, race 3).
        self._memory.sent(task_id, alias_id, text)
        try:
            await self._client.append(task_id, mapping.append_message(alias_id, text, at, files))
        except ProviderError as error:
            if error.certain:
                self._memory.settled(task_id, alias_id)
            raise

    def _note(self, row: InboxRow, envelope: wire.Envelope, parsed: Parsed) -> None:
        if envelope.type == "task-message:appended" and mapping.is_outbound(envelope.body):
            self._paths.spoken(row.remote_id)
        if parsed.refused is not None and parsed.refused.reason == mapping.CONTACT_LIMIT:
            self._limit.refused(row.received_at)
        match parsed.command:
            case c.MessageConfirmed(message_id=alias):
                self._memory.settled(row.remote_id, alias)
            case c.MessageUndeliverable(message_id=alias):
                self._memory.failed(row.remote_id, alias, row.key)
            case c.ConversationEnded():
                self._memory.ended(row.remote_id)
                self._paths.ended(row.remote_id)
            case c.AgentJoined():
                self._paths.connected(row.remote_id)
            case None if envelope.type == "task-message:appended":
                _log.warning("webex.outbound_empty", task_id=row.remote_id)
            case c.AgentMessage():
                content = wire.content_of(envelope.body)
                if content is not None and content.shape != "channelParams.message":
                    _log.info("webex.message_shape", task_id=row.remote_id, shape=content.shape)
            case _:
                pass

    async def _keep_up(self, first: asyncio.Event) -> None:
        backoff = 1.0
        while True:
            try:
                await self._check_up()
                pause, backoff = float(_RECHECK_S), 1.0
            except ProviderError as error:
                self._refusal = error
                _log.warning("webex.not_ready", connection_id=self._connection_id, code=error.code)
                if error.retryable:
                    pause, backoff = backoff, min(backoff * 2, _BACKOFF_MAX_S)
                else:
                    pause = float(_RECHECK_S)
                    await self._report(error)
            except Exception:
                _log.exception("webex.upkeep_failed", connection_id=self._connection_id)
                pause, backoff = backoff, min(backoff * 2, _BACKOFF_MAX_S)
            first.set()
            await self._environment.clock.sleep(pause)

    async def _check_up(self) -> None:
        await self._tokens.token()
        if await self._subscriptions.ensure():
            self._doubted_at = self._environment.clock.now()
        self._refusal = None
        now = self._environment.clock.now()
        dying = self._expiry.look(self._tokens.refresh_expires_at, now)
        warnings = (self._paths.warning, self._limit.warning(now), dying)
        await self._environment.set_state("connected", " ".join(filter(None, warnings)))

    async def _endpoint_answers(self) -> bool:
        try:
            answer = await http.call(self._environment.http, "GET", self._events_url, headers={})
        except ProviderError:
            return False
        return answer.status < 500

    def _forget_previous(self, name: str) -> None:
        """The new secret is in use on both sides."""
        forgotten = {f"{name}_previous": "", f"{name}_previous_until": ""}
        self._secrets |= forgotten
        saving = asyncio.ensure_future(self._environment.save_secrets(forgotten))
        self._retiring.add(saving)
        saving.add_done_callback(self._forgotten)

    def _forgotten(self, saving: "asyncio.Task[None]") -> None:
        self._retiring.discard(saving)
        if not saving.cancelled() and (error := saving.exception()) is not None:
            # Tried again when the provider is made anew: the old secret is still stored then.
            _log.warning("webex.previous_secret_kept", connection_id=self._connection_id, error=type(error).__name__)

    async def _report(self, error: ProviderError) -> None:
        state = "auth_failed" if isinstance(error, ProviderAuthFailed) and error.status != 403 else "misconfigured"
        await self._environment.set_state(state, error.hint)

    async def _stop_upkeep(self) -> None:
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.wait([self._upkeep])
            self._upkeep = None


def _part_id(message_id: str, number: int) -> str:
    """The id of a part of a message: the same at every retry."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{message_id}/{number}"))


def create(connection: Connection, environment: ProviderEnvironment) -> WebexProvider:
    """The provider for a connection. Raises ConfigError when its values are not complete."""
    return WebexProvider(connection, environment)
