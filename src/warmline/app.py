"""The composition root: the only module that names concrete stores, buses and brains."""

import asyncio
import contextlib
import hmac
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from warmline import __version__
from warmline.agent import engine_for
from warmline.agent.models.access import open_model
from warmline.agent.project.folders import find_projects
from warmline.agent.services.apis import HttpApis
from warmline.agent.services.customers import StoredMemory
from warmline.agent.services.secrets import ConfiguredSecrets, ProjectSecrets
from warmline.agent.turn.engine import ProjectEngine
from warmline.agent.turn.services import Services
from warmline.bus import open_bus
from warmline.channels import chat_rest, messaging, sms
from warmline.channels.sms import LookSettings, SendSettings, Sms, SmsLimits
from warmline.channels.sms.setup import NumberSetup
from warmline.config import Settings
from warmline.conversation.acts import Acts
from warmline.conversation.catalog import Catalog
from warmline.conversation.erase import Eraser
from warmline.conversation.metrics import TurnMetrics
from warmline.conversation.planning import HandoffPlanner
from warmline.conversation.retention import Retention
from warmline.conversation.service import Conversations
from warmline.conversation.tallies import Tallies
from warmline.conversation.timers import Timers
from warmline.conversation.turns import Turns
from warmline.delivery.agent_files import AgentFiles
from warmline.delivery.event_hooks import EventHooks
from warmline.delivery.service import Delivery, DeliverySettings
from warmline.domain.effects import RunTurn, SendText
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.files import Fetcher, FileRelay
from warmline.handoff.http import GuardedConnector
from warmline.handoff.registry import Registry
from warmline.health import BacklogMetrics, SystemHealth, show_workers
from warmline.ports import Bus, Clock, Ids, Store, TurnEngine
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.studio import Studio, StudioDeps
from warmline.system import SystemClock, SystemIds, node_name
from warmline.web import middleware, openapi, operations
from warmline.web.keys import ApiKeys

_log = structlog.get_logger(__name__)

_BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What tests and emulated installations may put in the place of the real thing."""

    clock: Clock | None = None
    ids: Ids | None = None
    wrap_store: Callable[[Store], Store] | None = None
    wrap_engine: Callable[[TurnEngine], TurnEngine] | None = None
    http_traces: Sequence[aiohttp.TraceConfig] = ()
    trust: ssl.SSLContext | None = None
    """Whose certificates count; None: the system's authorities."""
    messaging_limits: messaging.MessagingLimits | None = None
    idle_s: int = 600
    delivery: DeliverySettings | None = None
    sms_limits: SmsLimits | None = None
    sms_settings: SendSettings | None = None
    sms_looks: LookSettings | None = None


class Server:
    """A running Warmline: one process, all parts. Make it with `start`."""

    def __init__(self, settings: Settings, overrides: Overrides) -> None:
        self.settings = settings
        self.clock = overrides.clock or SystemClock()
        self.ids = overrides.ids or SystemIds()
        self.metrics = CollectorRegistry()
        self._overrides = overrides
        self._parts = contextlib.AsyncExitStack()
        self.project_ids: tuple[str, ...] = ()
        self.port = settings.port
        self.node = node_name(settings)
        self._stopping = False
        self._operators: web.AppRunner | None = None
        self.store: Store
        self.registry: Registry
        self.conversations: Conversations
        self.delivery: Delivery
        self.files: FileRelay
        self.sms: Sms
        self.studio: Studio
        self.catalog: Catalog
        self.acts: Acts
        self.retention: Retention
        self.tallies: Tallies
        self.event_hooks: EventHooks
        self._engines: dict[str, ProjectEngine] = {}
        self._checks: dict[str, operations.Check] = {}
        self._readiness: operations.Readiness
        self._backlog: BacklogMetrics

    @classmethod
    async def start(
        cls,
        settings: Settings,
        *,
        overrides: Overrides | None = None,
        extra_routes: Callable[[web.Application], None] | None = None,
        listens: bool = True,
    ) -> Self:
        """Start everything and listen; without `listens` it only works on what other nodes take in.

        Raises:
            ConfigError: a setting cannot work. OSError: the port is taken. StoreUnavailable: no store.
        """
        server = cls(settings, overrides or Overrides())
        try:
            await server._start(extra_routes, listens)
        except BaseException:
            await server.stop()
            raise
        return server

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.settings.host}:{self.port}"

    async def stop(self) -> None:
        """Stop accepting, tell clients to come back, finish what is in flight, close the store."""
        await self._parts.aclose()

    async def _start(self, extra_routes: Callable[[web.Application], None] | None, listens: bool) -> None:
        projects = find_projects(self.settings.projects)
        self.project_ids = tuple(projects)
        await self._open_store()
        http = await self._open_http()
        await self._start_engines(projects, http)
        install_secret = (await self.store.setting("install_secret", self.ids.secret)).encode()
        bus = open_bus(self.settings.database_url, self.settings.nats, self.ids, install_secret, registry=self.metrics)
        self._parts.push_async_callback(bus.stop)
        await bus.start()
        self.conversations = Conversations(self.store, bus, self.clock, self.ids, idle_s=self._overrides.idle_s)
        self.registry = Registry(
            self.store,
            http,
            self.clock,
            self.ids,
            public_url=self.settings.public_url,
            install_secret=install_secret,
            relaxed=self.settings.relaxed,
        )
        file_keys = [_derived_key(key, b"files") for key in self.settings.secret_keys]
        self.files = FileRelay(self.store, self.clock, self.ids, file_keys, self.settings.public_url)
        self.sms = self._make_sms(projects, http)
        planner = HandoffPlanner(self.registry, self.ids)
        turns = Turns(
            self.store,
            self.conversations,
            self._engine,
            planner,
            self.clock,
            self.ids,
            texter=self.sms.wishes,
            metrics=TurnMetrics(self.metrics),
        )
        fetcher = Fetcher(relaxed=self.settings.relaxed)
        self.delivery = Delivery(
            self.store,
            self.registry,
            self.conversations,
            self.clock,
            bus,
            self.metrics,
            {RunTurn: turns, SendText: self.sms.outgoing},
            files=AgentFiles(self.conversations, self.files, fetcher, self.clock),
            node=self.node,
            settings=self._overrides.delivery,
        )
        self.acts = Acts(self.store, self.conversations, self.clock, self.delivery.outbox.revive)
        self.sms.outgoing.call_by(self.delivery.calls)
        self.sms.share(self.delivery.leases, bus)
        self.sms.connections.mended = self.delivery.health.resume
        timers = Timers(self.store, self.conversations, self.clock, bus, self.delivery.leases.holds)
        self.event_hooks = EventHooks(
            self.store,
            self.delivery.leases,
            self.clock,
            relaxed=self.settings.relaxed,
            counted=lambda result, events: self.delivery.metrics.event_hooks.labels(result).inc(events),
        )
        self.catalog = Catalog(self.store, self.clock, lambda: self.event_hooks.receivers, self.event_hooks.wake)
        self.conversations.watch(self.catalog.observe)
        self.retention = Retention(self.store, self.clock, self.project_ids)
        self.tallies = Tallies(self.store, self.clock, self.project_ids)
        self._checks = {
            "store": self.store.ping,
            "bus": bus.check,
            "delivery": self.delivery.check,
            "migrations": self.store.check_schema,
            "server": self._check_stopping,
        }
        self._readiness = operations.Readiness(self._checks, self.metrics)
        self._backlog = BacklogMetrics(self.store, self.clock, self.metrics)
        show_workers(self.metrics, lambda: [engine.workers() for engine in self._engines.values()])
        self.studio = self._make_studio(projects, http, bus)
        self.catalog.watch(self.studio.saved)
        app = self._web_app(bus, extra_routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        # Webhooks of this very start-up (registrations, early news) find the door open; work begins after that.
        site = web.TCPSite(
            runner,
            self.settings.host,
            self.settings.port,
            backlog=_BACKLOG,
            reuse_port=self.settings.share_port or None,
        )
        self._parts.push_async_callback(self._stop_parts, timers)
        self._parts.push_async_callback(runner.cleanup)
        # Before the clean-up, which stops reading: closing handshakes would never be read.
        self._parts.push_async_callback(runner.shutdown)
        # First of all: whoever comes now is to go to another node.
        self._parts.push_async_callback(self._close_door, site if listens else None)
        if listens:
            await site.start()
            self.port = runner.addresses[0][1]
        await self._answer_operators()
        await self.registry.start()
        self.registry.follow(bus)
        await self.delivery.start()
        await self.sms.start()
        await timers.start()
        await self.event_hooks.start()
        await self.catalog.start()
        self.retention.start()
        self.tallies.start()
        await self.files.start()
        _log.info("server.started", port=self.port, projects=len(projects))

    def _operations(self, app: web.Application) -> None:
        operations.routes(app, self._readiness, self.metrics, (self._backlog.refresh,))

    async def _answer_operators(self) -> None:
        """Listen where only this process answers how it is, if that is wanted."""
        if not self.settings.metrics_port:
            return
        app = web.Application()
        self._operations(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._operators = runner
        await web.TCPSite(runner, self.settings.host, self.settings.metrics_port).start()

    async def _close_door(self, site: web.TCPSite | None) -> None:
        self._stopping = True
        if site is not None:
            await site.stop()

    async def _check_stopping(self) -> None:
        if self._stopping:
            raise WarmlineError("stopping", "this node is about to stop")

    async def _stop_parts(self, timers: Timers) -> None:
        await self.files.stop()
        await self.tallies.stop()
        await self.retention.stop()
        await timers.stop()
        await self.sms.stop()
        await self.delivery.stop()
        await self.registry.stop()
        await self.catalog.stop()
        if self._operators is not None:
            await self._operators.cleanup()
        await self.event_hooks.stop()

    def _make_sms(self, projects: dict[str, Path], http: aiohttp.ClientSession) -> Sms:
        return Sms(
            self.store,
            self.conversations,
            self.files,
            Fetcher(relaxed=self.settings.relaxed),
            http,
            self.clock,
            self.ids,
            projects,
            self.settings.public_url,
            self.metrics,
            limits=self._overrides.sms_limits,
            settings=self._overrides.sms_settings,
            looks=self._overrides.sms_looks,
        )

    async def _open_store(self) -> None:
        keys = self.settings.secret_keys
        if not keys:
            raise ConfigError("WARMLINE_SECRET_KEY", "missing")
        url = self.settings.database_url
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        store = open_store(url, self.ids, AesSecretBox(keys[0], keys[1:]), registry=self.metrics)
        self.store = self._overrides.wrap_store(store) if self._overrides.wrap_store else store
        self._parts.push_async_callback(self.store.close)
        await self.store.start()

    async def _start_engines(self, projects: dict[str, Path], http: aiohttp.ClientSession) -> None:
        llm = self.settings.llm
        model = open_model(llm, http, self.clock, registry=self.metrics) if llm is not None else None
        secrets = ProjectSecrets(ConfiguredSecrets(self.settings.project_secrets), self.store)
        services = Services(secrets=secrets, apis=HttpApis(http, secrets), memory=StoredMemory(self.store, self.clock))
        for project_id, folder in projects.items():
            engine = engine_for(
                folder,
                brain=self.settings.brain,
                watch=self.settings.watch_projects,
                settings=self.settings.functions,
                services=services,
                model=model,
                retrieval=self.settings.retrieval,
            )
            self._engines[project_id] = engine
            self._parts.push_async_callback(engine.close)
        await asyncio.gather(*(engine.start() for engine in self._engines.values()))

    def _engine(self, project_id: str) -> TurnEngine:
        engine: TurnEngine = self._engines[project_id]
        return self._overrides.wrap_engine(engine) if self._overrides.wrap_engine else engine

    async def _open_http(self) -> aiohttp.ClientSession:
        http = aiohttp.ClientSession(
            connector=GuardedConnector(limit=0, limit_per_host=0, ttl_dns_cache=60, ssl=self._overrides.trust or True),
            timeout=aiohttp.ClientTimeout(total=30, connect=5),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=list(self._overrides.http_traces) or None,
        )
        self._parts.push_async_callback(http.close)
        return http

    def _database_folder(self) -> Path | None:
        path = self.settings.database_url.removeprefix("sqlite:///")
        return Path(path).parent if path != self.settings.database_url else None

    def _make_studio(self, projects: dict[str, Path], http: aiohttp.ClientSession, bus: Bus) -> Studio:
        return Studio(
            StudioDeps(
                store=self.store,
                registry=self.registry,
                conversations=self.conversations,
                acts=self.acts,
                eraser=Eraser(
                    self.store,
                    self.conversations,
                    self.clock,
                    lambda i: engine.project if (engine := self._engines.get(i)) else None,
                ),
                engines=self._engines,
                folders=projects,
                configured_secrets=ConfiguredSecrets(self.settings.project_secrets).names,
                text_numbers=NumberSetup(
                    self.store, http, self.clock, self.ids, self.settings.public_url, relaxed=self.settings.relaxed
                ),
                clock=self.clock,
                ids=self.ids,
                sender=self.event_hooks,
                health=SystemHealth(
                    self.store, self.registry, self.delivery, self.clock, self._checks, self._database_folder()
                ),
                bus=bus,
                destinations=lambda: {key: state.value for key, (state, _) in self.delivery.health.states().items()},
                public_url=self.settings.public_url,
                key=_derived_key(self.settings.secret_keys[0], b"studio forms"),
                trusted_proxies=self.settings.trusted_proxies,
            )
        )

    def _web_app(self, bus: Bus, extra_routes: Callable[[web.Application], None] | None) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        middleware.install(app, self.ids)
        limits = self._overrides.messaging_limits or messaging.MessagingLimits(
            trusted_proxies=self.settings.trusted_proxies
        )
        deps = messaging.MessagingDeps(
            conversations=self.conversations,
            bus=bus,
            clock=self.clock,
            ids=self.ids,
            connectors=messaging.ConnectorDirectory(self.store.connectors, self.clock),
            files=self.files,
            contexts=self.store,
            context_keys=[messaging.key_of_installation(key) for key in self.settings.secret_keys],
            jwt_secrets=[_derived_key(key, b"access tokens") for key in self.settings.secret_keys],
            limits=limits,
            registry=self.metrics,
        )
        messaging.routes(app, deps)
        chat_rest.routes(app, self._chat_deps(deps))
        calls = (*chat_rest.OPERATIONS, *messaging.OPERATIONS, *sms.OPERATIONS)
        openapi.routes(app, calls, title="Warmline's REST APIs", version=__version__)
        self.delivery.routes(app)
        self.sms.routes(app)
        self.studio.mount(app)
        app.add_routes(self.files.routes())
        self._operations(app)
        if extra_routes is not None:
            extra_routes(app)
        return app

    def _chat_deps(self, deps: messaging.MessagingDeps) -> chat_rest.ChatDeps:
        return chat_rest.ChatDeps(
            conversations=deps.conversations,
            turn_records=self.store.turn_records,
            bus=deps.bus,
            clock=deps.clock,
            ids=deps.ids,
            connectors=deps.connectors,
            keys=ApiKeys(self.store, deps.clock, deps.ids),
            projects=self.project_ids,
            limits=chat_rest.ChatLimits(trusted_proxies=self.settings.trusted_proxies),
        )


def _derived_key(secret: str, purpose: bytes) -> bytes:
    return hmac.new(secret.encode(), b"warmline " + purpose, "sha256").digest()
