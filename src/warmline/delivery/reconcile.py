"""Asks the contact centre how conversations are when nothing is heard of them (webex-byoc.md §18.2)."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from warmline.conversation.service import Conversations
from warmline.delivery.backoff import until_stored
from warmline.delivery.calls import Providers
from warmline.delivery.leases import Leases
from warmline.delivery.links import Links, progress
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.recovery import companion
from warmline.delivery.views import SessionViews, handoff_in
from warmline.domain.commands import (
    AgentJoined,
    ConversationEnded,
    ConversationOpened,
    ConversationQueued,
    ProviderCommand,
)
from warmline.domain.effects import CloseConversation
from warmline.domain.errors import StoreUnavailable
from warmline.domain.handoff import HandoffState
from warmline.domain.messages import LiveAgent
from warmline.domain.session import Handoff, Session
from warmline.handoff.contract import ProviderError, Reconciles, RemoteState, RemoteStatus
from warmline.ports import Clock, Committed, Link, Store, inbox_partition

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """Seconds without news after which a conversation is looked up, and then again and again."""

    tick_s: float = 5.0
    start_s: float = 6.0
    """After a start: what the platform could not deliver in the pause comes by itself first, last words included."""
    opening_s: float = 30.0
    queued_s: float = 300.0
    live_s: float = 600.0
    soon_s: float = 15.0
    """Between looks while it is being opened or closed, and after one that failed."""
    every_s: float = 300.0
    closing_for_s: float = 120.0
    """So long the end is looked for of a conversation that we have closed."""
    recent_s: float = 3600.0
    """After a start: what ended so short a time before is looked after as if it had ended now."""


@dataclass(slots=True)
class _Watched:
    """A conversation over there; times are monotonic seconds."""

    link: Link
    state: HandoffState
    look_at: float
    closed_at: float = 0.0
    """When it was over for us; 0: it is not."""
    taken_up: bool = False
    """It was over before this process began: its end may be proved already."""


def forward(state: RemoteState, handoff: Handoff, now: int) -> ProviderCommand | None:
    """The news that the platform's state amounts to; it never leads a handoff back."""
    handoff_id = handoff.id
    if state.status is RemoteStatus.ENDED:
        return ConversationEnded(at=now, handoff_id=handoff_id, provider_at=state.ended_at, reason=state.reason)
    waiting = handoff.state in (HandoffState.REQUESTED, HandoffState.QUEUED)
    if waiting and state.status is RemoteStatus.LIVE:
        return AgentJoined(at=now, handoff_id=handoff_id, agent=LiveAgent(id=state.agent_id))
    if handoff.state is not HandoffState.REQUESTED:
        return None
    if state.status is RemoteStatus.QUEUED:
        return ConversationQueued(at=now, handoff_id=handoff_id)
    return ConversationOpened(at=now, handoff_id=handoff_id)


class Reconciler:
    """Looks up the conversations whose news may have got lost, through the same commands as the news themselves.

    Only what the platform says for certain counts: not to be found, or out of reach, changes nothing. Of several nodes
    the one that owns a conversation's news looks.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        conversations: Conversations,
        links: Links,
        views: SessionViews,
        clock: Clock,
        metrics: DeliveryMetrics,
        leases: Leases,
        settings: ReconcileSettings | None = None,
    ) -> None:
        self._store = store
        self._providers = providers
        self._conversations = conversations
        self._links = links
        self._views = views
        self._clock = clock
        self._metrics = metrics
        self._settings = settings or ReconcileSettings()
        self._leases = leases
        self._watched: dict[str, _Watched] = {}
        self._changed: set[str] = set()
        """Sessions that other nodes changed, as far as their conversations are watched here."""
        self._new: set[str] = set()
        """Handoffs whose links other nodes saved."""
        self._take_up_due = False
        self._doubts: dict[str, int] = defaultdict(int)
        self._tell_over: Callable[[Link], None] = lambda link: None
        self._task: asyncio.Task[None] | None = None
        links.watch(self._linked)
        leases.watch(self._moved)
        conversations.watch(self._committed)

    async def start(self) -> None:
        """Look up what was left open by a process before this one, then go on."""
        self._task = asyncio.create_task(self._run(), name="reconciler")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def on_over(self, tell: Callable[[Link], None]) -> None:
        """Call `tell` when a conversation that a live agent was in is over."""
        self._tell_over = tell

    def soon(self, connection_id: str) -> None:
        """News of this connection may have got lost: look all its conversations up."""
        for watched in self._watched.values():
            if watched.link.connection_id == connection_id:
                watched.look_at = self._clock.monotonic()

    def doubted(self, link: Link) -> None:
        """Its end was told and not believed: look again soon."""
        if watched := self._watched.get(link.handoff_id):
            watched.look_at = self._clock.monotonic() + self._settings.soon_s

    def heard(self, link: Link, command: ProviderCommand) -> None:
        """News of a conversation were applied."""
        if isinstance(command, ConversationEnded):
            self._watched.pop(link.handoff_id, None)

    # --- other nodes --------------------------------------------------------------------------------------------

    def changed(self, session_id: str) -> None:
        """Another node changed a session."""
        self._changed.add(session_id)

    def linked(self, handoff_ids: Iterable[str]) -> None:
        """Another node saved links."""
        self._new.update(handoff_ids)

    def look_around(self) -> None:
        """What other nodes did may have gone unnoticed."""
        self._take_up_due = True

    def _moved(self, gained: set[int], lost: set[int]) -> None:
        for handoff_id, watched in list(self._watched.items()):
            if inbox_partition(watched.link.connection_id, watched.link.remote_id) in lost:
                del self._watched[handoff_id]
        self._take_up_due = bool(gained) or self._take_up_due

    def _ours(self, link: Link) -> bool:
        return self._leases.holds(inbox_partition(link.connection_id, link.remote_id))

    async def _catch_up(self) -> None:
        """Learn what other nodes did to what is watched here. Raises StoreUnavailable."""
        if self._take_up_due:
            await self._take_up()
        while self._new:
            handoff_id = next(iter(self._new))
            link = await self._store.link(handoff_id)
            self._new.discard(handoff_id)
            if link is not None and self._ours(link):
                self._linked(link)
                self._changed.add(link.session_id)
        watched = {watched.link.session_id for watched in self._watched.values()}
        self._changed &= watched
        while self._changed:
            session_id = next(iter(self._changed))
            session = await self._views.fresh(session_id)
            self._changed.discard(session_id)
            if session is not None:
                self._compare(session, closing=True)

    # --- who is watched -----------------------------------------------------------------------------------------

    def _linked(self, link: Link) -> None:
        if not self._ours(link):
            return
        watched = self._watched.get(link.handoff_id)
        if watched is None:
            self._watch(link, HandoffState.REQUESTED, self._settings.opening_s)
        else:
            watched.link = link

    def _able(self, connection_id: str) -> Reconciles | None:
        provider = self._providers.get(connection_id)
        return provider if provider is not None and isinstance(provider, Reconciles) else None

    def _watch(self, link: Link, state: HandoffState, after_s: float) -> None:
        if self._able(link.connection_id) is not None:
            self._watched[link.handoff_id] = _Watched(link, state, self._clock.monotonic() + after_s)

    def _committed(self, committed: Committed) -> None:
        closing = any(isinstance(row.effect, CloseConversation) for row in committed.outbox)
        self._compare(committed.session, closing=closing)

    def _compare(self, session: Session, *, closing: bool) -> None:
        """`closing`: if the handoff is over, we have closed the conversation, or may have."""
        handoff = session.handoff
        watched = None if handoff is None else self._watched.get(handoff.id)
        if handoff is None or watched is None or watched.closed_at:
            return
        now = self._clock.monotonic()
        watched.state = handoff.state
        if handoff.state is HandoffState.ENDED and handoff.agent is not None:
            self._tell_over(watched.link)
        if handoff.state is not HandoffState.ENDED:
            watched.look_at = now + self._patience(handoff.state)
        elif closing:
            watched.closed_at, watched.look_at = now, now + self._settings.soon_s
        else:
            del self._watched[handoff.id]

    def _patience(self, state: HandoffState) -> float:
        match state:
            case HandoffState.REQUESTED:
                return self._settings.opening_s
            case HandoffState.QUEUED:
                return self._settings.queued_s
            case _:
                return self._settings.live_s

    # --- looking ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._take_up_due = True
        while True:
            await self._guarded(self._catch_up)
            await self._guarded(self.look)
            await self._clock.sleep(self._settings.tick_s)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StoreUnavailable:
            _log.warning("reconcile.store_unavailable")
        except Exception:
            _log.exception("reconcile.failed")

    async def _take_up(self) -> None:
        self._take_up_due = False
        try:
            for link in await self._store.open_links():
                if not self._ours(link):
                    continue
                handoff = handoff_in(await self._views.fresh(link.session_id), link.handoff_id)
                if handoff is not None and link.handoff_id not in self._watched:
                    self._watch(link, handoff.state, self._settings.start_s)
            since = self._clock.now() - round(self._settings.recent_s * 1000)
            for link in await self._store.recent_links(since):
                if self._ours(link) and link.handoff_id not in self._watched:
                    await self._take_up_ended(link)
        except StoreUnavailable:
            self._take_up_due = True
            raise

    async def _take_up_ended(self, link: Link) -> None:
        """What the process before owed a conversation that is over: that its end is proved, and its transcript."""
        session = await self._views.fresh(link.session_id)
        handoff = None if session is None else session.handoff
        if handoff is None or handoff.id != link.handoff_id or handoff.state is not HandoffState.ENDED:
            return
        if handoff.agent is not None and not await self._store.transcripts(link.session_id):
            self._tell_over(link)
        ended_s = (self._clock.now() - handoff.ended_at) / 1000
        if ended_s < self._settings.closing_for_s and progress(link).refused is None:
            now = self._clock.monotonic()
            look_at = now + self._settings.start_s
            self._watched[link.handoff_id] = _Watched(link, handoff.state, look_at, closed_at=now, taken_up=True)

    async def look(self) -> None:
        """Look up what is due."""
        now = self._clock.monotonic()
        self._heed_doubts()
        due: dict[str, list[_Watched]] = defaultdict(list)
        for watched in self._watched.values():
            # One that they refused to open is over there; for us it is not, it will be tried again.
            mine = self._leases.owns(inbox_partition(watched.link.connection_id, watched.link.remote_id))
            if mine and watched.look_at <= now and progress(watched.link).refused is None:
                due[watched.link.connection_id].append(watched)
        for connection_id, group in due.items():
            await self._look_up(connection_id, group)

    def _heed_doubts(self) -> None:
        for connection_id in {watched.link.connection_id for watched in self._watched.values()}:
            provider = self._able(connection_id)
            if provider is not None and provider.doubted_at > self._doubts[connection_id]:
                self._doubts[connection_id] = provider.doubted_at
                self.soon(connection_id)

    async def _look_up(self, connection_id: str, group: Sequence[_Watched]) -> None:
        provider = self._able(connection_id)
        now = self._clock.monotonic()
        for watched in group:
            opening = watched.state is HandoffState.REQUESTED or watched.closed_at
            watched.look_at = now + (self._settings.soon_s if opening else self._settings.every_s)
        if provider is None:
            return
        try:
            states = await provider.look_up([watched.link.remote_id for watched in group])
        except ProviderError as error:
            _log.warning("reconcile.look_up_failed", connection_id=connection_id, code=error.code, hint=error.hint)
            self._metrics.reconciled.labels(connection_id, "failed").inc(len(group))
            if error.retryable:
                for watched in group:
                    watched.look_at = now + self._settings.soon_s
            return
        for watched in group:
            await self._learned(watched, states.get(watched.link.remote_id))

    async def _learned(self, watched: _Watched, state: RemoteState | None) -> None:
        link = watched.link
        if watched.closed_at:
            await self._closing(watched, state)
            return
        handoff = handoff_in(await self._views.fresh(link.session_id), link.handoff_id)
        if handoff is None:
            self._watched.pop(link.handoff_id, None)
            return
        command = None if state is None else forward(state, handoff, self._clock.now())
        result = "unknown" if state is None else "as_known" if command is None else "news"
        self._metrics.reconciled.labels(link.connection_id, result).inc()
        if command is None:
            return
        _log.warning("reconcile.news_were_lost", session_id=link.session_id, news=type(command).__name__)
        await until_stored(self._clock, partial(self._conversations.apply, link.session_id, command))

    async def _closing(self, watched: _Watched, state: RemoteState | None) -> None:
        """We have closed it: its end is looked for (§16.2, T_end_ack)."""
        link = watched.link
        if state is not None and state.status is RemoteStatus.ENDED:
            self._watched.pop(link.handoff_id, None)
        elif self._clock.monotonic() - watched.closed_at >= self._settings.closing_for_s:
            shared = await companion(self._links, self._views, link) is not None
            if not shared and (state is not None or not watched.taken_up):
                _log.error("reconcile.end_unconfirmed", session_id=link.session_id, known=state is not None)
                self._metrics.reconciled.labels(link.connection_id, "end_unconfirmed").inc()
            self._watched.pop(link.handoff_id, None)
