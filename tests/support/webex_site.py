"""The real Webex provider on a real delivery, whose far side is played by the test instead of being called."""

import contextlib
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from support.delivery import CONNECTION, Site, site
from support.webex import ASSET_SECRET, EVENTS_SECRET, SECRETS, VALUES, fixture, raw, signature
from warmline.handoff.contract import (
    ConversationGone,
    ProviderEnvironment,
    ProviderError,
    RemoteState,
    RemoteStatus,
)
from warmline.handoff.providers.webex import wire
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.provider import WebexProvider
from warmline.ports import Connection
from warmline.testing import ManualClock

ADA, BOB = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


async def _nothing(*_: object) -> None:
    return


class FarSide(WebexClient):
    """Webex as far as calls go. Webhooks come only when the test sends them.

    `script` lines up what the next calls of "create", "append", "end" or "search" come to; `on` is awaited inside a
    call that takes effect, before its answer. `states` is what Search knows.
    """

    def __init__(self) -> None:
        self.creates: list[wire.CreateTask] = []
        self.tasks: list[str] = []
        self.appends: list[tuple[str, str, str]] = []
        """(task, alias, text) of those that were taken."""
        self.tried: list[str] = []
        """Texts of all appends that were tried."""
        self.ended: list[str] = []
        self.searched: list[tuple[str, ...]] = []
        self.states: dict[str, RemoteState] = {}
        self.transcripts: dict[str, str] = {}
        self.on: dict[str, Callable[[str], Awaitable[object]]] = {}
        self._scripts: dict[str, deque[ProviderError | None]] = defaultdict(deque)
        self.fault: Callable[[str], ProviderError | None] = lambda call: None

    def script(self, call: str, *outcomes: ProviderError | None) -> None:
        """What the next calls come to; None is success."""
        self._scripts[call].extend(outcomes)

    def _arrive(self, call: str) -> None:
        line = self._scripts[call]
        error = line.popleft() if line else self.fault(call)
        if error is not None:
            raise error

    async def _effect(self, call: str, about: str) -> None:
        if call in self.on:
            await self.on[call](about)

    async def create_task(self, task: wire.CreateTask) -> str:
        self._arrive("create")
        task_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"task {len(self.tasks)}"))
        self.creates.append(task)
        self.tasks.append(task_id)
        await self._effect("create", task_id)
        return task_id

    async def append(self, task_id: str, message: wire.AppendMessage) -> None:
        content = message.channel_params.message
        self.tried.append(content.text)
        self._arrive("append")
        if task_id in self.ended:
            raise ConversationGone("conversation_gone", status=404)
        self.appends.append((task_id, content.alias_id, content.text))
        await self._effect("append", content.alias_id)

    async def end_task(self, task_id: str) -> None:
        self._arrive("end")
        self.ended.append(task_id)
        await self._effect("end", task_id)

    async def transcript_url(self, task_id: str) -> str:
        self._arrive("transcript")
        return self.transcripts.get(task_id, "")

    async def first_name(self, user_id: str) -> str:
        return ""

    async def search(self, task_ids: Any) -> dict[str, RemoteState]:
        self.searched.append(tuple(task_ids))
        self._arrive("search")
        return {task_id: self.states[task_id] for task_id in task_ids if task_id in self.states}

    def knows(self, task_id: str, status: RemoteStatus, **more: Any) -> None:
        """Search knows a task."""
        self.states[task_id] = RemoteState(remote_id=task_id, status=status, **more)

    @property
    def texts(self) -> list[str]:
        """The appended texts, each alias once, in order."""
        return list({alias: text for _, alias, text in self.appends}.values())


class ReadyWebex(WebexProvider):
    """The real provider; token and subscriptions are taken for granted, and a test may say that news got lost."""

    doubts = 0

    def ready(self) -> ProviderError | None:
        return None

    @property
    def doubted_at(self) -> int:
        return self.doubts


class WebexSite:
    """A site with one Webex connection."""

    def __init__(self, s: Site, **values: str) -> None:
        self.s = s
        self.far = FarSide()
        self._values = values
        self.webex = self.fresh_provider()

    def fresh_provider(self) -> ReadyWebex:
        """A provider that remembers nothing, as after a restart."""
        connection = Connection(
            id=CONNECTION,
            provider="webex",
            name="Webex",
            project_id="project",
            values={**VALUES, "agent_label": "Agent", **self._values},
            secrets=SECRETS,
        )
        environment = ProviderEnvironment(
            http=self.s.http,
            clock=self.s.clock,
            ids=self.s.ids,
            public_url="https://warmline.example.org",
            install_secret=b"install",
            save_secrets=_nothing,
            set_state=_nothing,
        )
        webex = ReadyWebex(connection, environment)
        webex._client = self.far
        webex._agents._client = self.far
        self.s.providers.keys[CONNECTION] = "webex"
        self.s.providers.providers[CONNECTION] = webex  # type: ignore[assignment]
        return webex

    async def restart(self) -> None:
        """The process dies; another one takes its place."""
        self.webex = self.fresh_provider()
        await self.s.restart()

    async def requested(self, session_id: str = "", **plan: Any) -> tuple[str, str]:
        """A session whose handoff was asked for and whose task was created: (session, task)."""
        before = len(self.far.tasks)
        session_id = session_id or await self.s.node.hand_off(**plan)
        await self.s.until(lambda: len(self.far.tasks) > before)
        return session_id, self.far.tasks[-1]

    async def queued(self, **plan: Any) -> tuple[str, str]:
        """The same, in the queue."""
        session_id, task_id = await self.requested(**plan)
        await self.tell("task_new", task_id)
        await self.tell("task_parked", task_id)
        await self.s.until(lambda: self.s.state_is(session_id, "queued"))
        await self.s.pass_time(1)
        return session_id, task_id

    async def live(self, **plan: Any) -> tuple[str, str]:
        """The same, with Ada."""
        session_id, task_id = await self.queued(**plan)
        await self.tell("task_connected", task_id, agentId=ADA)
        await self.s.until(lambda: self.s.state_is(session_id, "live"))
        return session_id, task_id

    def event(self, name: str, task_id: str, *, at: int = 0, **data: Any) -> dict[str, Any]:
        """A fixture of Webex, of this task and time (now)."""
        at = at or self.s.clock.now()
        made: dict[str, Any] = fixture(name)
        made["comciscotimestamp"] = at
        made["id"] = task_id if name.startswith("task_") else str(uuid.uuid4())
        made["data"] |= {"taskId": task_id, "createdTime": at, **data}
        return made

    def message(self, task_id: str, alias: str, text: str, *, agent: str = "", flow: bool = False) -> dict[str, Any]:
        """`task-message:appended`: of an agent, of the flow, or (neither) the echo of ours."""
        params = {"type": "text", "message": {"aliasId": alias, "text": text, "timestamp": self.s.clock.now()}}
        name = "appended_outbound_agent" if agent or flow else "appended_inbound"
        made = self.event(name, task_id, channelParams=params)
        made["id"] = alias
        if agent:
            made["data"]["senderId"] = agent
        if flow:
            made["data"] |= {"senderType": "System"}
            made["data"].pop("senderId", None)
        return made

    async def deliver(self, made: dict[str, Any], *, endpoint: str = "") -> int:
        """Send a webhook where it belongs, signed."""
        outbound = made["data"].get("messageDirection") == "OUTBOUND"
        endpoint = endpoint or ("asset" if outbound else "events")
        body = raw(made)
        secret = ASSET_SECRET if endpoint == "asset" else EVENTS_SECRET
        headers = {"X-WebexCC-Signature": signature(body, secret)}
        return await self.s.hook(body, headers=headers, path=f"/hooks/webex/{CONNECTION}/{endpoint}")

    async def tell(self, name: str, task_id: str, **more: Any) -> None:
        """Send a lifecycle event."""
        assert await self.deliver(self.event(name, task_id, **more)) == 200

    async def says(self, task_id: str, text: str, *, agent: str = ADA) -> None:
        """An agent writes."""
        assert await self.deliver(self.message(task_id, str(uuid.uuid4()), text, agent=agent)) == 200

    async def fails(self, task_id: str, reason: str | None, *, alias: str = "", about: str = "") -> None:
        """An append failed after all."""
        made = self.event("append_failed", task_id, reason=reason, errorMessage=about)
        if alias:
            made["id"] = alias
        assert await self.deliver(made) == 200

    async def view(self, session_id: str) -> list[str]:
        """What the customer sees of the handoff, in order."""
        lines = [f"{type(made).__name__} {getattr(made, 'text', '')}".strip() for made in await self.s.log(session_id)]
        return lines[lines.index("VirtualAgentLeft") + 1 :]

    async def calm(self) -> None:
        """Wait until all webhooks are processed."""

        async def processed() -> bool:
            return not await self.s.store.inbox_pending()

        await self.s.pass_time(1)
        await self.s.until(processed)


@contextlib.asynccontextmanager
async def webex_site(where: Path, clock: ManualClock, **values: str) -> AsyncIterator[WebexSite]:
    """A site with one Webex connection and a clock that moves only when it is told to."""
    async with site(where, clock=clock) as s:
        yield WebexSite(s, **values)
