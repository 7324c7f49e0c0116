"""The inbox worker: stored webhooks become commands, per conversation in order, each exactly once."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from warmline.conversation.service import Conversations
from warmline.delivery.agent_files import AgentFiles
from warmline.delivery.alarms import Alarms
from warmline.delivery.backoff import STORE_BACKOFF
from warmline.delivery.calls import Providers
from warmline.delivery.holding import Held, HoldSettings
from warmline.delivery.lines import Line, Lines
from warmline.delivery.links import Links, Refusal, progress, with_progress
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.reconcile import Reconciler
from warmline.delivery.recovery import SecondThoughts
from warmline.delivery.transcripts import Transcripts
from warmline.delivery.views import SessionViews, handoff_in, last_words
from warmline.domain.commands import (
    AgentJoined,
    AgentMessage,
    ConversationEnded,
    DeliveryDelayed,
    MessageConfirmed,
    ProviderCommand,
)
from warmline.domain.effects import provider_stream
from warmline.domain.errors import RuleViolation, StoreUnavailable
from warmline.handoff.contract import NamesAgents, OpenRefused, Parsed, Provider, Receipt
from warmline.ports import TEXTS_ENDPOINT, Change, Clock, InboxRow, Link, Store

_log = structlog.get_logger(__name__)

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
        transcripts: Transcripts,
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
        self._transcripts = transcripts
        self._lines = Lines(links, views, clock, alarms, metrics, self._settings.hold, self._begin)
        self._finished: set[int] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._prune_at = 0.0
        links.watch(self._linked)
        metrics.gauge("warmline_inbox_depth", "Webhooks stored and not processed; parked ones included.", self._depth)
        metrics.gauge("warmline_inbox_oldest_seconds", "Age of the oldest one that is not parked.", self._oldest_s)

    async def start(self) -> None:
        """Take up what was left unprocessed. Raises StoreUnavailable."""
        self._lines.distrust(await self._store.last_webhooks())
        await self._take_up(age_s=0.0)
        self._lines.open()
        self._sweeper = asyncio.create_task(self._sweep(), name="inbox-sweeper")

    async def stop(self) -> None:
        """Stop where it is: rows stay in the store."""
        self._stopping = True
        tasks = [line.task for line in self._lines if line.task is not None]
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
        with self._lines.arriving(row):
            row_id = await self._store.accept(row)
            if row_id is None:
                return False
            self._lines.add(replace(row, id=row_id), receipt)
        return True

    # --- processing ------------------------------------------------------------------------------------------

    def _linked(self, link: Link) -> None:
        """A conversation over there is known now: its parked news go on."""
        line = self._lines.get((link.connection_id, link.remote_id))
        if line is not None and line.task is None:
            self._unpark(line)

    def _unpark(self, line: Line) -> None:
        """Put the parked news in front. Not while the line's task is at the first one of them."""
        parked, line.parked = line.parked, []
        parked.sort(key=lambda item: item.place)
        line.ready.extendleft(reversed(parked))
        self._begin(line)

    def _begin(self, line: Line) -> None:
        if line.task is None and line.ready and not self._stopping:
            line.task = asyncio.create_task(self._run(line))

    async def _run(self, line: Line) -> None:
        again_s = None
        try:
            while line.ready:
                link = await self._links.by_remote(*line.key)
                if link is None:
                    await self._park(line)
                    break
                if line.parked:
                    self._unpark(line)
                await self._process(line.ready[0], link)
                line.ready.popleft()
                line.failures = 0
        except StoreUnavailable:
            line.failures += 1
            again_s = STORE_BACKOFF.delay(line.failures, 0.5)
            _log.warning("inbox.store_unavailable", failures=line.failures)
        except Exception:
            _log.exception("inbox.failed", connection_id=line.connection_id)
            again_s = await self._failed(line)
        finally:
            line.task = None
        if again_s is not None:
            self._alarms.after(again_s, partial(self._begin, line))
            return
        if self._links.known(*line.key) is not None:
            self._unpark(line)
        self._begin(line)
        self._lines.forget_if_idle(line)

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
        elif parsed.transcript:
            await self._transcripts.ready(link)
            await self._finish(row, "done", "transcript")
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
        if refused.busy and not now.refusals:
            busy = DeliveryDelayed(at=self._clock.now(), handoff_id=link.handoff_id, busy=True)
            await self._conversations.apply(link.session_id, busy, inbox_done=row.id, link=noted)
        else:
            await self._store.transact(Change(session_id=link.session_id, link=noted, inbox_done=row.id))
        self._note(row, "refusal")
        self._links.saved(noted)
        self._wake(provider_stream(link.connection_id, link.session_id))

    async def _park(self, line: Line) -> None:
        """Its link is not known: it may be on its way, or the conversation is none of ours."""
        while line.ready:
            item = line.ready[0]
            if not item.row.parked:
                await self._store.finish_inbox(item.row.id, state="parked", attempts=item.row.attempts)
                item = replace(item, row=replace(item.row, parked=True))
                self._metrics.inbox_rows.labels("parked").inc()
            line.ready.popleft()
            line.parked.append(item)
        line.look_at = self._clock.monotonic() + line.look_wait_s

    async def _failed(self, line: Line) -> float | None:
        """Count a failure of the first row against it; returns when to try again, None: at once (it is dead)."""
        item = line.ready[0]
        attempts = item.row.attempts + 1
        dead = attempts >= self._settings.crashes
        line.ready[0] = replace(item, row=replace(item.row, attempts=attempts))
        with contextlib.suppress(StoreUnavailable):
            if dead:
                await self._finish(item.row, "dead")
                line.ready.popleft()
                return None
            await self._store.finish_inbox(item.row.id, state="new", attempts=attempts)
        return STORE_BACKOFF.delay(attempts, 0.5)

    async def _finish(self, row: InboxRow, state: str, result: str = "") -> None:
        await self._store.finish_inbox(row.id, state=state, attempts=row.attempts)
        self._note(row, result or state)

    def _note(self, row: InboxRow, result: str) -> None:
        self._lines.ids.discard(row.id)
        self._finished.add(row.id)
        self._metrics.inbox_rows.labels(result).inc()

    # --- looking after what waits ------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(self._settings.sweep_s)
            try:
                await self._take_up(age_s=self._settings.adopt_after_s)
                for line in [line for line in self._lines if line.parked and line.task is None]:
                    await self._look_again(line)
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

    async def _look_again(self, line: Line) -> None:
        oldest_allowed = self._clock.now() - round(self._settings.park_for_s * 1000)
        for item in [item for item in line.parked if item.row.received_at <= oldest_allowed]:
            await self._finish(item.row, "dead")
            line.parked.remove(item)
        if line.parked and self._clock.monotonic() >= line.look_at:
            # Another node may have saved the link.
            line.look_wait_s = min(line.look_wait_s * 2, 60.0)
            line.look_at = self._clock.monotonic() + line.look_wait_s
            if await self._links.by_remote(*line.key) is not None and line.task is None:
                self._unpark(line)
        self._lines.forget_if_idle(line)

    def _depth(self) -> float:
        return len(self._lines.ids)

    def _oldest_s(self) -> float:
        waiting = (item.row.received_at for line in self._lines for item in (*line.ready, *line.hold.items))
        oldest = min(waiting, default=None)
        return 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / 1000)
