"""The inbox worker: stored webhooks become commands, per conversation in order, each exactly once."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from warmline.conversation.service import Conversations
from warmline.delivery.agent_files import AgentFiles
from warmline.delivery.alarms import Alarms
from warmline.delivery.backoff import STORE_BACKOFF
from warmline.delivery.cache import Cache
from warmline.delivery.calls import Providers
from warmline.delivery.holding import Held, Hold, HoldSettings, held
from warmline.delivery.links import Links, Refusal, progress, with_progress
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.reconcile import Reconciler
from warmline.delivery.recovery import SecondThoughts
from warmline.delivery.views import SessionViews, handoff_in, last_words
from warmline.domain.commands import AgentJoined, AgentMessage, ConversationEnded, MessageConfirmed, ProviderCommand
from warmline.domain.effects import provider_stream
from warmline.domain.errors import RuleViolation, StoreUnavailable
from warmline.domain.handoff import HandoffState
from warmline.handoff.contract import NamesAgents, OpenRefused, Parsed, Provider, Receipt
from warmline.ports import TEXTS_ENDPOINT, Change, Clock, InboxRow, Link, Store

_log = structlog.get_logger(__name__)

_REMEMBERED = 20_000
_HOLD = HoldSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSettings:
    """Seconds and counts of the inbox worker."""

    sweep_s: float = 5.0
    """How often parked rows and rows of a node that died are looked for."""
    adopt_after_s: float = 10.0
    park_for_s: float = 600.0
    """News of a conversation that nobody knows are dropped after so long (webex-byoc.md §16.4)."""
    remember_s: float = 8 * 24 * 3600.0
    """How long a delivery is recognised when it comes again; at least seven days (webex-byoc.md §11.4)."""
    name_within_s: float = 2.0
    files_within_s: float = 10.0
    """How long the end of a conversation waits for files that its live agent sent before."""
    crashes: int = 5
    """Attempts of a row whose processing raises what nobody expected; then it is dead."""
    hold: HoldSettings = _HOLD


@dataclass(slots=True)
class _Conversation:
    """The webhooks of one conversation over there, on their way."""

    connection_id: str
    remote_id: str
    hold: Hold
    ready: deque[Held] = field(default_factory=deque)
    parked: list[Held] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    failures: int = 0
    look_at: float = 0.0
    """When its link is looked for again, monotonic seconds."""
    look_wait_s: float = 1.0

    @property
    def key(self) -> tuple[str, str]:
        return (self.connection_id, self.remote_id)


class Inbox:
    """Takes verified webhooks in durably, then turns them into commands.

    Args:
        wake: wakes a stream of the outbox.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        conversations: Conversations,
        links: Links,
        views: SessionViews,
        clock: Clock,
        alarms: Alarms,
        metrics: DeliveryMetrics,
        wake: Callable[[str], None],
        reconciler: Reconciler,
        files: AgentFiles,
        settings: InboxSettings | None = None,
    ) -> None:
        self._settings = settings or InboxSettings()
        self._store = store
        self._providers = providers
        self._conversations = conversations
        self._links = links
        self._views = views
        self._clock = clock
        self._alarms = alarms
        self._metrics = metrics
        self._wake = wake
        self._reconciler = reconciler
        self._second_thoughts = SecondThoughts(clock, reconciler.doubted)
        self._files = files
        self._open: dict[tuple[str, str], _Conversation] = {}
        self._ids: set[int] = set()
        self._finished: set[int] = set()
        self._newest: Cache[tuple[str, str], int] = Cache(_REMEMBERED)
        self._distrusted: dict[str, float] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._prune_at = 0.0
        links.watch(self._linked)
        metrics.gauge("warmline_inbox_depth", "Webhooks stored and not processed; parked ones included.", self._depth)
        metrics.gauge("warmline_inbox_oldest_seconds", "Age of the oldest one that is not parked.", self._oldest_s)

    async def start(self) -> None:
        """Take up what was left unprocessed. Raises StoreUnavailable."""
        await self._distrust_after_a_pause()
        await self._take_up(age_s=0.0)
        self._sweeper = asyncio.create_task(self._sweep(), name="inbox-sweeper")

    async def stop(self) -> None:
        """Stop where it is: rows stay in the store."""
        self._stopping = True
        tasks = [c.task for c in self._open.values() if c.task is not None]
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._files.stop()

    async def accept(self, connection_id: str, endpoint: str, receipt: Receipt, body: bytes) -> bool:
        """Store a verified webhook; durable on return. False: it is here already. Raises StoreUnavailable."""
        row = InboxRow(
            id=0,
            connection_id=connection_id,
            endpoint=endpoint,
            key=receipt.key,
            remote_id=receipt.remote_id,
            received_at=self._clock.now(),
            event_at=receipt.event_at,
            body=body,
        )
        row_id = await self._store.accept(row)
        if row_id is None:
            return False
        row = replace(row, id=row_id)
        if row_id not in self._ids:
            self._arrived(row, receipt)
        return True

    # --- putting in order --------------------------------------------------------------------------------------

    def _arrived(self, row: InboxRow, receipt: Receipt) -> None:
        conversation = self._conversation(row)
        self._ids.add(row.id)
        item = held(row, receipt)
        if not receipt.hold:
            conversation.ready.append(item)
            self._begin(conversation)
            return
        if not receipt.terminal:
            self._compare(conversation, row)
        self._hold(conversation, item, fresh=self._fresh(conversation, row))

    def _compare(self, conversation: _Conversation, row: InboxRow) -> None:
        """Notice news that are older than what came before them."""
        newest = self._newest.get(conversation.key) or 0
        if row.event_at < newest:
            self._distrusted[row.connection_id] = self._clock.monotonic() + self._settings.hold.distrust_s
            self._metrics.reordered.labels(row.connection_id).inc()
        else:
            self._newest.put(conversation.key, row.event_at)

    async def _distrust_after_a_pause(self) -> None:
        """What came while nobody listened is delivered again, out of its order; what was seen before is forgotten."""
        distrust_s = self._settings.hold.distrust_s
        since = self._clock.now() - round(distrust_s * 1000)
        for (connection_id, _), at in (await self._store.last_webhooks()).items():
            if at >= since:
                self._distrusted[connection_id] = self._clock.monotonic() + distrust_s

    def _fresh(self, conversation: _Conversation, row: InboxRow) -> bool:
        if self._clock.now() - row.event_at >= self._settings.hold.fresh_age_ms:
            return False
        if self._clock.monotonic() < self._distrusted.get(row.connection_id, 0.0):
            return False
        link = self._links.known(*conversation.key)
        if link is None:
            return False
        handoff = handoff_in(self._views.known(link.session_id), link.handoff_id)
        return handoff is not None and handoff.state is HandoffState.LIVE

    def _hold(self, conversation: _Conversation, item: Held, *, fresh: bool) -> None:
        now = self._clock.monotonic()
        conversation.hold.add(item, now, fresh=fresh)
        self._alarms.after(conversation.hold.due - now, partial(self._release, conversation))

    def _release(self, conversation: _Conversation) -> None:
        hold = conversation.hold
        if hold.items and self._clock.monotonic() >= hold.due:
            conversation.ready.extend(hold.take())
            self._begin(conversation)

    def _linked(self, link: Link) -> None:
        """A conversation over there is known now: its parked news go on."""
        conversation = self._open.get((link.connection_id, link.remote_id))
        if conversation is not None and conversation.task is None:
            self._unpark(conversation)

    def _unpark(self, conversation: _Conversation) -> None:
        """Put the parked news in front. Not while the conversation's task is at the first one of them."""
        parked, conversation.parked = conversation.parked, []
        parked.sort(key=lambda item: item.place)
        conversation.ready.extendleft(reversed(parked))
        self._begin(conversation)

    # --- processing ------------------------------------------------------------------------------------------

    def _conversation(self, row: InboxRow) -> _Conversation:
        key = (row.connection_id, row.remote_id)
        conversation = self._open.get(key)
        if conversation is None:
            conversation = self._open[key] = _Conversation(*key, Hold(self._settings.hold))
        return conversation

    def _begin(self, conversation: _Conversation) -> None:
        if conversation.task is None and conversation.ready and not self._stopping:
            conversation.task = asyncio.create_task(self._run(conversation))

    async def _run(self, conversation: _Conversation) -> None:
        again_s = None
        try:
            while conversation.ready:
                link = await self._links.by_remote(*conversation.key)
                if link is None:
                    await self._park(conversation)
                    break
                if conversation.parked:
                    self._unpark(conversation)
                await self._process(conversation.ready[0], link)
                conversation.ready.popleft()
                conversation.failures = 0
        except StoreUnavailable:
            conversation.failures += 1
            again_s = STORE_BACKOFF.delay(conversation.failures, 0.5)
            _log.warning("inbox.store_unavailable", failures=conversation.failures)
        except Exception:
            _log.exception("inbox.failed", connection_id=conversation.connection_id)
            again_s = await self._failed(conversation)
        finally:
            conversation.task = None
        if again_s is not None:
            self._alarms.after(again_s, partial(self._begin, conversation))
            return
        if self._links.known(*conversation.key) is not None:
            self._unpark(conversation)
        self._begin(conversation)
        if not (conversation.task or conversation.hold.items or conversation.parked):
            self._open.pop(conversation.key, None)

    async def _process(self, item: Held, link: Link) -> None:
        row = item.row
        provider = self._providers.get(row.connection_id)
        if provider is None:
            await self._finish(row, "dead")
            _log.error("inbox.not_connected", connection_id=row.connection_id, row=row.id)
            return
        parsed = self._parse(provider, row, link)
        if parsed is None:
            await self._finish(row, "dead")
        elif parsed.refused is not None:
            await self._refuse(row, link, parsed.refused)
        elif parsed.command is None:
            await self._finish(row, "done", "meaningless")
        else:
            command, noted = await self._second_thoughts.about(provider, row, link, parsed)
            if command is None:
                await self._finish(row, "done", "doubted")
            else:
                await self._apply(provider, row, link, command, parsed, noted)

    def _parse(self, provider: Provider, row: InboxRow, link: Link) -> Parsed | None:
        try:
            return provider.parse(row, link, self._clock.now())
        except Exception:
            # The same row gives the same answer: trying again is no use.
            _log.exception("inbox.not_understood", connection_id=row.connection_id, row=row.id)
            return None

    async def _apply(
        self,
        provider: Provider,
        row: InboxRow,
        link: Link,
        command: ProviderCommand,
        parsed: Parsed,
        noted: Link | None,
    ) -> None:
        command = await self._named(provider, command)
        if isinstance(command, AgentMessage) and parsed.files:
            await self._show_files(provider, row, link, command, parsed)
            return
        if isinstance(command, MessageConfirmed):
            noted = await self._after_the_end(noted or link, command.message_id) or noted
        if isinstance(command, ConversationEnded):
            await self._files.settled(link.session_id, within_s=self._settings.files_within_s)
        try:
            committed = await self._conversations.apply(
                link.session_id, command, dedup_key=parsed.dedup_key, inbox_done=row.id, link=noted
            )
        except RuleViolation as error:
            _log.info("inbox.not_allowed", session_id=link.session_id, row=row.id, code=error.code)
            await self._finish(row, "done", "meaningless")
            return
        if noted is not None and not committed.duplicate:
            self._links.saved(noted)
            self._wake(provider_stream(link.connection_id, link.session_id))
        self._reconciler.heard(link, command)
        self._note(row, "repeated" if committed.duplicate else "applied")

    async def _after_the_end(self, link: Link, message_id: str) -> Link | None:
        """A session that has ended changes no more: the handler of the message finds its confirmation in the link."""
        if handoff_in(self._views.known(link.session_id), link.handoff_id) is not None:
            return None
        waiting = last_words(await self._views.fresh(link.session_id), link.handoff_id)
        if not any(message.message_id == message_id for message in waiting):
            return None
        now = progress(link)
        return with_progress(link, replace(now, confirmed=(*now.confirmed, message_id)))

    async def _show_files(
        self, provider: Provider, row: InboxRow, link: Link, message: AgentMessage, parsed: Parsed
    ) -> None:
        """The words first and at once; the files follow when they are here (webex-byoc.md §13.2)."""
        if message.text:
            with contextlib.suppress(RuleViolation):
                await self._conversations.apply(link.session_id, message, dedup_key=parsed.dedup_key)
        finished = partial(self._note, row, "applied")
        self._files.take(provider, row, link, message, parsed.files, parsed.dedup_key, finished)

    async def _named(self, provider: Provider, command: ProviderCommand) -> ProviderCommand:
        """Fill in the live agent's name if the platform tells it in time."""
        if not isinstance(command, AgentJoined | AgentMessage):
            return command
        agent = command.agent
        if agent is None or agent.name or not agent.id or not isinstance(provider, NamesAgents):
            return command
        try:
            async with asyncio.timeout(self._settings.name_within_s):
                return replace(command, agent=await provider.agent(agent.id))
        except TimeoutError:
            return command

    async def _refuse(self, row: InboxRow, link: Link, refused: OpenRefused) -> None:
        """Leave a note that the handler of the handoff's open row finds, also after a crash."""
        now = progress(link)
        if now.refused is not None:
            await self._finish(row, "done", "repeated")
            return
        final = refused.retry_after is None and not (refused.adopt or refused.older)
        tell = _log.error if final else _log.warning
        tell("handoff.refused", session_id=link.session_id, reason=refused.reason, hint=refused.operator_hint)
        if refused.misconfigured:
            await self._providers.set_state(link.connection_id, "misconfigured", refused.operator_hint)
        refusal = Refusal(
            reason=refused.reason,
            at=self._clock.now(),
            retry_after=refused.retry_after,
            adopt=refused.adopt,
            older=refused.older,
            shorten=refused.shorten,
        )
        noted = with_progress(link, replace(now, refused=refusal, refusals=now.refusals + 1))
        await self._store.transact(Change(session_id=link.session_id, link=noted, inbox_done=row.id))
        self._note(row, "refusal")
        self._links.saved(noted)
        self._wake(provider_stream(link.connection_id, link.session_id))

    async def _park(self, conversation: _Conversation) -> None:
        """Its link is not known: it may be on its way, or the conversation is none of ours."""
        while conversation.ready:
            item = conversation.ready[0]
            if not item.row.parked:
                await self._store.finish_inbox(item.row.id, state="parked", attempts=item.row.attempts)
                item = replace(item, row=replace(item.row, parked=True))
                self._metrics.inbox_rows.labels("parked").inc()
            conversation.ready.popleft()
            conversation.parked.append(item)
        conversation.look_at = self._clock.monotonic() + conversation.look_wait_s

    async def _failed(self, conversation: _Conversation) -> float | None:
        """Count a failure of the first row against it; returns when to try again, None: at once (it is dead)."""
        item = conversation.ready[0]
        attempts = item.row.attempts + 1
        dead = attempts >= self._settings.crashes
        conversation.ready[0] = replace(item, row=replace(item.row, attempts=attempts))
        with contextlib.suppress(StoreUnavailable):
            if dead:
                await self._finish(item.row, "dead")
                conversation.ready.popleft()
                return None
            await self._store.finish_inbox(item.row.id, state="new", attempts=attempts)
        return STORE_BACKOFF.delay(attempts, 0.5)

    async def _finish(self, row: InboxRow, state: str, result: str = "") -> None:
        await self._store.finish_inbox(row.id, state=state, attempts=row.attempts)
        self._note(row, result or state)

    def _note(self, row: InboxRow, result: str) -> None:
        self._ids.discard(row.id)
        self._finished.add(row.id)
        self._metrics.inbox_rows.labels(result).inc()

    # --- looking after what waits ------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(self._settings.sweep_s)
            try:
                await self._take_up(age_s=self._settings.adopt_after_s)
                for conversation in [c for c in self._open.values() if c.parked and c.task is None]:
                    await self._look_again(conversation)
                await self._prune()
            except StoreUnavailable:
                _log.warning("inbox.sweep_failed")
            except Exception:
                _log.exception("inbox.sweep_failed")

    async def _prune(self) -> None:
        """Forget, once an hour, by what duplicates of long ago would be recognised."""
        if self._clock.monotonic() < self._prune_at:
            return
        self._prune_at = self._clock.monotonic() + 3600
        await self._store.prune(inbox_before=self._clock.now() - round(self._settings.remember_s * 1000))

    async def _take_up(self, *, age_s: float) -> None:
        """Take rows that nobody in this process has: left by a crash, here or on another node."""
        self._finished.clear()
        before = self._clock.now() - round(age_s * 1000)
        for row in await self._store.inbox_pending():
            if row.endpoint == TEXTS_ENDPOINT:
                continue
            if row.received_at <= before and row.id not in self._lines.ids and row.id not in self._finished:
                self._lines.take_up(row)

    async def _look_again(self, conversation: _Conversation) -> None:
        oldest_allowed = self._clock.now() - round(self._settings.park_for_s * 1000)
        for item in [item for item in conversation.parked if item.row.received_at <= oldest_allowed]:
            await self._finish(item.row, "dead")
            conversation.parked.remove(item)
        if conversation.parked and self._clock.monotonic() >= conversation.look_at:
            # Another node may have saved the link.
            conversation.look_wait_s = min(conversation.look_wait_s * 2, 60.0)
            conversation.look_at = self._clock.monotonic() + conversation.look_wait_s
            if await self._links.by_remote(*conversation.key) is not None and conversation.task is None:
                self._unpark(conversation)
        if not (conversation.task or conversation.ready or conversation.hold.items or conversation.parked):
            self._open.pop(conversation.key, None)

    def _depth(self) -> float:
        return len(self._ids)

    def _oldest_s(self) -> float:
        waiting = (item.row.received_at for c in self._open.values() for item in (*c.ready, *c.hold.items))
        oldest = min(waiting, default=None)
        return 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / 1000)
