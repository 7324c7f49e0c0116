"""The messaging channel on a real store and a real port, with a scripted virtual agent."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from warmline import __version__
from warmline.bus.memory import MemoryBus
from warmline.channels import chat_rest
from warmline.channels.messaging import (
    ConnectorDirectory,
    MessagingDeps,
    MessagingLimits,
    key_of_installation,
    routes,
)
from warmline.conversation.planning import Planned
from warmline.conversation.service import Conversations
from warmline.conversation.timers import Timers
from warmline.conversation.turns import Planner, Turns
from warmline.delivery.alarms import Alarms
from warmline.delivery.leases import Leases
from warmline.delivery.metrics import DeliveryMetrics
from warmline.delivery.outbox import Outbox, OutboxSettings
from warmline.domain.commands import HandoffPlan
from warmline.domain.effects import EFFECT_TYPES, RunTurn
from warmline.domain.turn import CLIENT, Finding, HandoffRequest
from warmline.files import FileRelay
from warmline.ports import Bus, Clock, Connector, Ids, OutboxRow, Outcome, Settlement, Store, StoredSession, Waiting
from warmline.store.secretbox import AesSecretBox
from warmline.store.sqlite import SqliteStore
from warmline.system import SystemClock, SystemIds
from warmline.testing.engine import ScriptedEngine
from warmline.web import openapi
from warmline.web.keys import ApiKeys
from warmline.web.middleware import install

JWT_SECRET = b"a secret of thirty-two bytes ..."

CONNECTOR = Connector(
    id="connector-1",
    token="demo-connector-token",
    project_id="lumen-energy",
    host="localhost",
    agent_name="Lumi",
    agent_avatar_url="https://example.com/lumi 1.png",
)


@dataclass(kw_only=True)
class MessagingServer:
    """A running server. `url` is its base, e.g. "http://127.0.0.1:40001"."""

    url: str
    port: int
    store: Store
    bus: Bus
    conversations: Conversations
    engine: ScriptedEngine
    clock: Clock
    runner: web.AppRunner

    async def stop_serving(self) -> None:
        """An orderly stop of the HTTP side."""
        await self.runner.cleanup()


async def _left_to_the_test(_: OutboxRow, __: Settlement) -> Outcome:
    """What the contact centre must be told stays where it is: tests speak for the contact centre."""
    return Waiting(recheck_s=3600)


def no_handoff(_: StoredSession, __: HandoffRequest) -> Planned:
    """A planner for servers without a connection."""
    return Planned(plan=None, findings=(Finding(rule="no_connection", text="no contact centre is connected"),))


HANDOFF_ID = "handoff-1"


def one_handoff(_: StoredSession, request: HandoffRequest) -> Planned:
    """A planner that knows one contact centre; the test plays it with provider commands."""
    plan = HandoffPlan(
        handoff_id=HANDOFF_ID,
        connection_id="connection-1",
        provider="webex",
        queue_timeout_s=600,
        reason=request.reason,
        destination=request.destination,
        by_client=request.connection == CLIENT,
    )
    return Planned(plan=plan)


@contextlib.asynccontextmanager
async def messaging_server(
    folder: Path,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    bus: Bus | None = None,
    limits: MessagingLimits | None = None,
    connectors: Sequence[Connector] = (CONNECTOR,),
    planner: Planner = no_handoff,
    idle_s: int = 600,
    port: int = 0,
    wrap: Callable[[Store], Store] = lambda store: store,
    chat_limits: chat_rest.ChatLimits | None = None,
    drain_s: float = 10.0,
) -> AsyncIterator[MessagingServer]:
    """Serve on 127.0.0.1 with the database in `folder`; a second server on the same folder continues it.

    `wrap` may put something around the store; `drain_s` is how long turns may go on when it stops.
    """
    clock, ids, bus = clock or SystemClock(), ids or SystemIds(), bus or MemoryBus()
    store = wrap(SqliteStore(folder / "warmline.db", ids, AesSecretBox("a key of the tests only")))
    engine = ScriptedEngine(clock)
    async with contextlib.AsyncExitStack() as stack:
        await store.start()
        stack.push_async_callback(store.close)
        for connector in connectors:
            await store.save_connector(connector)
        conversations = Conversations(store, bus, clock, ids, idle_s=idle_s)
        turns = Turns(store, conversations, lambda _: engine, planner, clock, ids)
        alarms = Alarms(clock)
        stack.callback(alarms.stop)
        leases = Leases(store, clock, "node-1")
        handlers = dict.fromkeys(EFFECT_TYPES, _left_to_the_test) | {RunTurn: turns}
        settings = OutboxSettings(drain_s=drain_s)
        outbox = Outbox(
            store, clock, handlers, leases, alarms, DeliveryMetrics(CollectorRegistry()), bus, settings=settings
        )
        conversations.watch(outbox.offer)
        await outbox.start()
        stack.push_async_callback(outbox.stop)
        timers = Timers(store, conversations, clock, bus, leases.holds)
        await timers.start()
        stack.push_async_callback(timers.stop)
        app = web.Application()
        install(app, ids)
        relay = FileRelay(store, clock, ids, [b"a key of the tests only"], "https://w.example")
        app.add_routes(relay.routes())
        deps = MessagingDeps(
            conversations=conversations,
            bus=bus,
            clock=clock,
            ids=ids,
            connectors=ConnectorDirectory(store.connectors, clock),
            files=relay,
            contexts=store,
            context_keys=[key_of_installation("a key of the tests only")],
            jwt_secrets=[JWT_SECRET],
            limits=limits or MessagingLimits(),
        )
        routes(app, deps)
        chat = chat_rest.ChatDeps(
            conversations=conversations,
            turn_records=store.turn_records,
            bus=bus,
            clock=clock,
            ids=ids,
            connectors=deps.connectors,
            keys=ApiKeys(store, clock, ids),
            projects={connector.project_id for connector in connectors},
            limits=chat_limits or chat_rest.ChatLimits(),
        )
        chat_rest.routes(app, chat)
        openapi.routes(app, chat_rest.OPERATIONS, title="Chat", version=__version__)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        bound = runner.addresses[0][1]
        yield MessagingServer(
            url=f"http://127.0.0.1:{bound}",
            port=bound,
            store=store,
            bus=bus,
            conversations=conversations,
            engine=engine,
            clock=clock,
            runner=runner,
        )
