"""Delivery put together: everything between the store and the contact centres."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry

from warmline.conversation.service import Conversations
from warmline.delivery.agent_files import AgentFiles
from warmline.delivery.alarms import Alarms
from warmline.delivery.calls import ProviderCalls, Providers
from warmline.delivery.handoff_counts import HandoffCounts
from warmline.delivery.handoffs import BriefRest, Close, Forward, HandoffSettings, Tools
from warmline.delivery.health import Health, HealthSettings
from warmline.delivery.hooks import Hooks
from warmline.delivery.inbox import Inbox, InboxSettings
from warmline.delivery.leases import Leases
from warmline.delivery.links import Links
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.opening import Opening
from warmline.delivery.outbox import Outbox, OutboxSettings
from warmline.delivery.reconcile import Reconciler, ReconcileSettings
from warmline.delivery.relay_times import RelayTimes
from warmline.delivery.report import DailyReports
from warmline.delivery.transcripts import Transcripts
from warmline.delivery.views import SessionViews
from warmline.domain.effects import (
    CloseConversation,
    Effect,
    ForwardMessage,
    OpenConversation,
    SendBriefRest,
)
from warmline.domain.errors import WarmlineError
from warmline.ports import EVERYTHING, Bus, Clock, Connection, Handler, Leg, Link, Poke, Store, Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """All settings of delivery. A lease lasts `lease_ttl_s` and is trusted until `lease_margin_s` before its end."""

    lease_ttl_s: float = 5.0
    lease_margin_s: float = 1.0
    outbox: OutboxSettings = field(default_factory=OutboxSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    handoffs: HandoffSettings = field(default_factory=HandoffSettings)
    reconcile: ReconcileSettings = field(default_factory=ReconcileSettings)


class Delivery:
    """The outbox worker, the inbox worker, the webhook endpoint and the health of destinations.

    Args:
        providers: the running providers (`handoff.registry.Registry`); started before, stopped after delivery.
        bus: to the other nodes.
        registry: where metrics go.
        files: shows what live agents send; stopped with delivery.
        handlers: who carries out the effects that are not for contact centres.
        node: names this process among those on the same database, and is the same after a restart: then it
            takes over at once what its predecessor had, instead of waiting until those leases run out.
        chance: random in [0, 1), for jitter.
    """

    def __init__(
        self,
        store: Store,
        providers: Providers,
        conversations: Conversations,
        clock: Clock,
        bus: Bus,
        registry: CollectorRegistry,
        handlers: Mapping[type[Effect], Handler],
        *,
        files: AgentFiles,
        node: str = "main",
        settings: DeliverySettings | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        settings = settings or DeliverySettings()
        metrics = DeliveryMetrics(registry)
        self._times = RelayTimes(store, clock)

        def relayed(connection_id: str, leg: Leg, since: int) -> None:
            metrics.took(connection_id, leg, clock.now() - since)
            self._times.note(connection_id, leg, since)

        metrics.relayed = relayed
        self.metrics = metrics
        self._alarms = Alarms(clock)
        self.leases = Leases(store, clock, node, ttl_s=settings.lease_ttl_s, margin_s=settings.lease_margin_s)
        links = Links(store, lambda: self.leases.alone)
        views = SessionViews(store, lambda: self.leases.alone)
        self._links, self._views, self._bus = links, views, bus
        self.leases.watch(self._moved)
        self._stop_watching = bus.watch(self._hear)
        metrics.gauges(
            "warmline_handoffs",
            "Handoffs under way that changed while this process ran, by state. When queued is high: more live agents, "
            "or the routing; when requested is: the contact centre does not answer.",
            "state",
            views.states,
        )
        metrics.gauge(
            "warmline_partitions_held",
            "Partitions of the work that this node owns; 64 over all nodes. When the sum is less: a node is gone and "
            "the others have not taken over yet; for more than 15 s look at the database and at the nodes' clocks.",
            lambda: len(self.leases.held),
        )
        self.health = Health(clock, self._alarms, metrics, settings.health)
        calls = self.calls = ProviderCalls(providers, self.health, self.leases, metrics)
        tools = Tools(conversations, calls, links, views, clock, settings.handoffs, chance)
        speaking: dict[type[Effect], Handler] = {
            OpenConversation: Opening(tools, store),
            SendBriefRest: BriefRest(tools),
            ForwardMessage: Forward(tools, store),
            CloseConversation: Close(tools),
        }
        self.outbox = Outbox(
            store,
            clock,
            {**speaking, **handlers},
            self.leases,
            self._alarms,
            metrics,
            bus,
            settings=settings.outbox,
            chance=chance,
        )
        self._reconciler = Reconciler(
            store, providers, conversations, links, views, clock, metrics, self.leases, settings.reconcile
        )
        self._transcripts = Transcripts(store, providers, files.fetcher, clock, self.leases)
        self._reports = DailyReports(store, providers, clock, self.leases)
        self._reconciler.on_over(self._transcripts.want)
        self.health.on_up(self._up)
        self.health.on_down(lambda connection_id: bus.send(Wake("down", (connection_id,))))
        self.inbox = Inbox(
            store,
            providers,
            conversations,
            links,
            views,
            clock,
            self._alarms,
            metrics,
            self.outbox.wake,
            self._reconciler,
            files,
            self._transcripts,
            self.leases,
            bus,
            settings.inbox,
        )
        self._hooks = Hooks(self.inbox, providers, clock, metrics)
        self.health.on_ready(self.outbox.wake)
        links.watch(self._linked)
        conversations.watch(HandoffCounts(metrics, views.known).observe)
        conversations.watch(views.observe)
        conversations.watch(self.outbox.offer)
        providers.watch(self._connection_changed)

    def routes(self, app: web.Application) -> None:
        """Mount the webhook endpoint."""
        app.add_routes(self._hooks.routes())

    async def start(self) -> None:
        """Take up what was left undone, then work. Raises StoreUnavailable."""
        await self.outbox.start()
        await self.inbox.start()
        self._hooks.ready = True
        await self._reconciler.start()
        self._transcripts.start()
        self._reports.start()
        self._times.start()

    async def stop(self) -> None:
        """Finish what is in flight, give the leases back."""
        self._stop_watching()
        await self._reconciler.stop()
        await self._reports.stop()
        await self._transcripts.stop()
        # While calls come to their end here, the news of the partitions that are kept for them are nobody else's.
        await self.outbox.stop()
        await self.inbox.stop()
        self._alarms.stop()
        await self._times.stop()

    async def check(self) -> None:
        """Raises WarmlineError when nothing can be delivered from here. A destination that is down is no reason."""
        if not self.leases.certain:
            raise WarmlineError("delivery_stalled", "the leases of this node could not be renewed")

    def _moved(self, gained: set[int], lost: set[int]) -> None:
        """Partitions came or went: what is in memory may be older than what their last owners wrote."""
        self._links.forget()
        self._views.forget()

    def _linked(self, link: Link) -> None:
        self._bus.send(Wake("links", (link.handoff_id,)))

    def _up(self, connection_id: str) -> None:
        self._reconciler.soon(connection_id)
        self._bus.send(Wake("up", (connection_id,)))

    def _hear(self, signal: Poke | Wake) -> None:
        """Another node told something."""
        if isinstance(signal, Poke):
            self._views.changed(signal.session_id)
            self._reconciler.changed(signal.session_id)
        elif signal.topic == "links":
            self._reconciler.linked(signal.keys)
        elif signal.topic == "down":
            if reached := tuple(filter(self.health.answers, signal.keys)):
                self._bus.send(Wake("up", reached))
        elif signal.topic == "up":
            for connection_id in signal.keys:
                self.health.reached(connection_id)
        elif signal.topic == EVERYTHING:
            self._views.forget()
            self._reconciler.look_around()

    def _connection_changed(self, connection: Connection) -> None:
        """It was started, replaced or mended: what waits for it may go on."""
        if connection.state == "connected":
            self.health.resume(connection.id)
