"""Delivery on a real store with a contact centre that answers by script; nodes that die without a word."""

import asyncio
import contextlib
import contextvars
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from warmline.bus.memory import MemoryBus
from warmline.conversation.service import Conversations
from warmline.delivery import Delivery, DeliverySettings
from warmline.delivery.agent_files import AgentFiles
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain.effects import RunTurn
from warmline.domain.messages import Say
from warmline.domain.session import Session
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome
from warmline.files import Fetcher, FileRelay
from warmline.ports import Bus, Clock, Connector, Done, Ids, OutboxRow, Outcome, SessionInfo, Settlement, Store
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemClock, SystemIds
from warmline.testing.clock import ManualClock
from warmline.testing.provider import Platform, ScriptedProvider, ScriptedProviders

T = TypeVar("T")

CONNECTION = "connection-1"
INFO = SessionInfo(connector_id="connector", project_id="project", subject="user")
CONNECTOR = Connector(id="connector", token="token", project_id="project", host="localhost")

_owner: contextvars.ContextVar["Node | None"] = contextvars.ContextVar("owner", default=None)
_tasks: "weakref.WeakKeyDictionary[asyncio.Task[Any], Node]" = weakref.WeakKeyDictionary()


_nodes: "list[weakref.ref[Node]]" = []


def _busy() -> bool:
    """Some node waits for its store."""
    _nodes[:] = [node for node in _nodes if node() is not None]
    return any(node.busy for ref in _nodes if (node := ref()) is not None)


def _remember_owner(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **more: Any) -> asyncio.Task[T]:
    task = asyncio.Task(coro, loop=loop, **more)
    context: contextvars.Context | None = more.get("context")
    owner = context.get(_owner) if context is not None else _owner.get()
    if owner is not None:
        _tasks[task] = owner
    return task


async def _no_turns(_: OutboxRow, __: Settlement) -> Outcome:
    return Done()


class _MortalStore:
    """A node's way to the store; after its death nothing goes through any more."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.dead = False
        self.busy = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                await asyncio.Event().wait()
            self.busy += 1
            try:
                return await method(*args, **kwargs)
            finally:
                self.busy -= 1

        return call


@dataclass
class Node:
    """A process's worth of conversations and delivery; several may follow each other on one store."""

    store: Any
    providers: ScriptedProviders
    clock: Clock
    ids: Ids
    settings: DeliverySettings
    name: str = "node"
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    bus: Bus | None = None

    def __post_init__(self) -> None:
        _nodes.append(weakref.ref(self))
        self._context = contextvars.copy_context()
        self._context.run(_owner.set, self)
        self._store = _MortalStore(self.store)
        self.bus = self.bus or MemoryBus()
        self.conversations = Conversations(self._store, self.bus, self.clock, self.ids)  # type: ignore[arg-type]
        self.delivery = Delivery(
            self._store,  # type: ignore[arg-type]
            self.providers,
            self.conversations,
            self.clock,
            self.bus,
            self.metrics,
            {RunTurn: _no_turns},
            files=AgentFiles(self.conversations, self._relay(), Fetcher(relaxed=True), self.clock),
            node=self.name,
            settings=self.settings,
            chance=lambda: 0.5,
        )
        app = web.Application(client_max_size=1024)
        self.delivery.routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self.url = ""

    def _relay(self) -> FileRelay:
        self.files = FileRelay(self._store, self.clock, self.ids, [b"a key of the tests only"], "https://w.example")  # type: ignore[arg-type]
        return self.files

    async def start(self) -> None:
        """Listen for webhooks and work."""
        asyncio.get_running_loop().set_task_factory(_remember_owner)  # type: ignore[arg-type]
        await self.within(self._start())

    async def _start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        await self.delivery.start()

    async def stop(self) -> None:
        """An orderly stop."""
        await self.delivery.stop()
        await self._runner.cleanup()

    async def crash(self) -> None:
        """Die at whatever instruction it is at: nothing is finished, given back or written any more."""
        self._store.dead = True
        # Ending one task may start another, which a dead process would not do.
        while tasks := [task for task, owner in _tasks.items() if owner is self and not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=5)
        await self._runner.cleanup()

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something as this node."""
        return await asyncio.get_running_loop().create_task(work, context=self._context.copy())

    async def hand_off(
        self,
        *,
        reason: str = "",
        options: Mapping[str, object] | None = None,
        says: tuple[str, ...] = (),
        caller: str = "",
        **plan: Any,
    ) -> str:
        """A new session (of the customer with the number `caller`) that asks for a human; returns its id."""
        return await self.within(self._hand_off(reason, options, says, caller, plan))

    async def _hand_off(
        self,
        reason: str,
        options: Mapping[str, object] | None,
        says: tuple[str, ...],
        caller: str,
        plan: dict[str, Any],
    ) -> str:
        session_id = await self.conversations.start(replace(INFO, caller_number=caller))
        await self.conversations.join(session_id, CONNECTOR)
        await self._ask_for_human(session_id, reason, options, says, plan)
        return session_id

    async def hand_off_again(self, session_id: str) -> None:
        """The customer asks for a human once more."""
        await self.within(self._ask_for_human(session_id, "", None, (), {}))

    async def _ask_for_human(
        self,
        session_id: str,
        reason: str,
        options: Mapping[str, object] | None,
        says: tuple[str, ...],
        plan: dict[str, Any],
    ) -> None:
        outcome = TurnOutcome(
            says=tuple(Say(text=text) for text in says), handoff=HandoffRequest(integration="scripted_integration")
        )
        handoff = c.HandoffPlan(
            **{
                "handoff_id": self.ids.uuid(),
                "connection_id": CONNECTION,
                "provider": "scripted",
                "queue_timeout_s": 900,
                "reason": reason,
                "options": options,
                **plan,
            }
        )
        command = c.ApplyTurn(
            at=self.clock.now(),
            kind=TurnKind.START,
            outcome=outcome,
            message_ids=tuple(self.ids.uuid() for _ in says),
            plan=handoff,
        )
        await self.conversations.apply(session_id, command)

    async def post(self, session_id: str, text: str, *, ref: str = "") -> str:
        """The customer writes; returns the message's id."""
        committed = await self.within(self.conversations.post(session_id, text, client_ref=ref))
        (event,) = (r.event for r in committed.events if isinstance(r.event, e.UserMessage))
        return event.message_id

    async def end_by_user(self, session_id: str) -> None:
        """The customer ends the session."""
        await self.within(self.conversations.end_by_user(session_id))

    @property
    def way(self) -> Store:
        """Its way to the store: a manual clock stands still while somebody waits there."""
        return self._store  # type: ignore[return-value]

    @property
    def busy(self) -> bool:
        """It waits for the store."""
        return self._store.busy > 0 and not self._store.dead

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric now."""
        return self.metrics.get_sample_value(name, labels) or 0.0


@dataclass
class Site:
    """A store, a contact centre, and the node that works now."""

    store: Store
    clock: Clock
    ids: Ids
    platform: Platform
    provider: ScriptedProvider
    providers: ScriptedProviders
    settings: DeliverySettings
    node: Node
    http: aiohttp.ClientSession

    async def restart(self, *, name: str = "node") -> Node:
        """The node dies; another one takes its place."""
        await self.node.crash()
        self.node = Node(self.store, self.providers, self.clock, self.ids, self.settings, name)
        await self.node.start()
        return self.node

    async def hook(self, body: bytes, *, headers: Mapping[str, str] | None = None, path: str = "") -> int:
        """Deliver a webhook; returns the HTTP status."""
        url = self.node.url + (path or f"/hooks/scripted/{CONNECTION}/events")
        signed = self.provider.sign(body) if headers is None else dict(headers)
        async with self.http.post(url, data=body, headers=signed) as answer:
            await answer.read()
            return answer.status

    async def news(self, session_id: str, kind: str, **fields: Any) -> int:
        """The contact centre tells news of a session's conversation."""
        return await self.hook(self.platform.news(self.platform.of(session_id).id, kind, **fields))

    async def live(self, session_id: str) -> None:
        """Wait until the conversation is open, let a live agent take it, wait until the session knows."""
        await self.until(lambda: self._opened(session_id))
        await self.news(session_id, "agent_joined", agent_id="agent-1")
        await self.until(lambda: self.state_is(session_id, "live"))

    def _opened(self, session_id: str) -> bool:
        return any(r.request.session_id == session_id for r in self.platform.conversations.values())

    async def session(self, session_id: str) -> Session:
        """The session as it lies in the store."""
        stored = await self.store.session(session_id)
        assert stored is not None
        return stored.session

    async def state_is(self, session_id: str, state: str) -> bool:
        """The session's handoff is in that state."""
        handoff = (await self.session(session_id)).handoff
        return handoff is not None and handoff.state.value == state

    async def log(self, session_id: str) -> list[e.Event]:
        """The session's events."""
        return [recorded.event for recorded in await self.store.events(session_id, 0, 1_000_000)]

    async def of_type(self, session_id: str, kind: type[T]) -> list[T]:
        """The session's events of one type."""
        return [event for event in await self.log(session_id) if isinstance(event, kind)]

    async def pending(self) -> list[OutboxRow]:
        """Unsettled rows of the outbox."""
        return await self.store.pending(range(64))

    async def settled(self) -> None:
        """Wait until nothing is left in the outbox."""

        async def empty() -> bool:
            return not await self.pending()

        await self.until(empty)

    async def pass_time(self, seconds: float) -> None:
        """Let time go by, in small steps so that real work keeps up with a manual clock."""
        if not isinstance(self.clock, ManualClock):
            await asyncio.sleep(seconds)
            return
        steps = max(1, round(seconds / 0.1))
        for _ in range(steps):
            await self._work_is_done()
            await self.clock.advance(seconds / steps)
        await self._work_is_done()

    async def _work_is_done(self) -> None:
        """Time stands still while the store works: it takes real time, and none of the manual clock's."""
        quiet = 0
        while quiet < 20:
            busy = _busy()
            await asyncio.sleep(0.001 if busy else 0)
            quiet = 0 if busy else quiet + 1

    async def until(self, reached: Callable[[], bool | Awaitable[bool]], *, within_s: float = 30.0) -> None:
        """Let time go by until `reached`; fails after `within_s` seconds of the site's clock."""
        end = self.clock.monotonic() + within_s
        while True:
            answer = reached()
            if await answer if isinstance(answer, Awaitable) else answer:
                return
            assert self.clock.monotonic() < end, "it did not come to that"
            if isinstance(self.clock, ManualClock):
                await self._work_is_done()
                await self.clock.advance(0.1)
            else:
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def site(
    where: Path | str,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    settings: DeliverySettings | None = None,
    platform: Platform | None = None,
    bus: Bus | None = None,
    wrap: Callable[[Store], Any] = lambda store: store,
    **provider: Any,
) -> AsyncIterator[Site]:
    """A site on the database URL or folder `where`."""
    clock, ids = clock or SystemClock(), ids or SystemIds()
    url = where if isinstance(where, str) else f"sqlite:///{where / 'warmline.db'}"
    store = wrap(open_store(url, ids, AesSecretBox("a key of the tests only")))
    await store.start()
    platform = platform or Platform(clock)
    scripted = ScriptedProvider(platform, **provider)
    providers = ScriptedProviders({CONNECTION: scripted})
    settings = settings or DeliverySettings()
    node = Node(store, providers, clock, ids, settings, bus=bus)
    async with aiohttp.ClientSession() as http:
        made = Site(store, clock, ids, platform, scripted, providers, settings, node, http)
        try:
            await node.start()
            yield made
        finally:
            await made.node.stop()
            await store.close()
