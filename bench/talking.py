"""The scripted customers and live agents of a soak."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from warmline.testing.messaging_client import Draft, MessagingClient, Refused

AGENT = "agent-1"
_PATIENCE_S = 300.0
"""What has not arrived after so long is lost."""
_ASK_AGAIN_S = (2.0, 10.0)
"""Shortest and longest time until a customer whose handoff was refused asks for a human again."""


class Budget(Protocol):
    """What is left of the soak."""

    @property
    def over(self) -> bool:
        """The time is used up: what was begun comes to its end."""
        ...

    async def note(self, messages: int) -> None:
        """So many more were said."""
        ...

    def take(self, messages: int) -> int:
        """How many of the `messages` may still be said."""
        ...


class Service(Protocol):
    """Warmline as its customers see it: one server, or several nodes behind a load balancer."""

    connector_token: str

    def door(self) -> str:
        """Where to connect, this time."""
        ...


@dataclass(slots=True)
class Talk:
    """One conversation between a customer and a live agent, as it was and as it should have been.

    `customer_said` is in the order in which the server accepted the messages: it is what the customer sees.
    """

    name: str
    session_id: str = ""
    task_id: str = ""
    customer_said: list[str] = field(default_factory=list)
    agent_heard: list[str] = field(default_factory=list)
    agent_said: list[str] = field(default_factory=list)
    customer_saw: list[str] = field(default_factory=list)


class Desk:
    """The live agent's hands: the emulator's control plane."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._of_session: dict[str, list[str]] = {}
        self._known: set[str] = set()
        self._looking = asyncio.Lock()

    async def task_of(self, session_id: str) -> str:
        """Wait for the task that the agent has for a session."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                async with self._looking:
                    await self._look()
                if session_id in self._of_session:
                    return self._of_session[session_id][-1]
                await asyncio.sleep(0.3)

    async def _look(self) -> None:
        agents = (await self._get("/agents"))["agents"]
        (agent,) = (agent for agent in agents if agent["id"] == AGENT)
        for task_id in set(agent["tasks"]) - self._known:
            self._known.add(task_id)
            task = await self.task(task_id)
            self._of_session.setdefault(task["globalVariables"]["reason"], []).append(task_id)

    def tasks_of(self, session_id: str) -> list[str]:
        """All tasks that the agent ever had for a session."""
        return self._of_session.get(session_id, [])

    async def task(self, task_id: str) -> dict[str, Any]:
        """A task as the emulator knows it to be."""
        task = await self._get(f"/tasks/{task_id}")
        assert isinstance(task, dict)
        return task

    async def heard(self, task_id: str) -> list[str]:
        """What the customer said since the brief."""
        task = await self.task(task_id)
        return [message["text"] for message in task["transcript"] if message["direction"] == "INBOUND"][1:]

    async def say(self, task_id: str, text: str) -> None:
        """Write to the customer."""
        await self._act("say", taskId=task_id, text=text)

    async def end(self, task_id: str) -> None:
        """End the conversation."""
        await self._act("end", taskId=task_id)

    async def deliveries(self) -> list[dict[str, Any]]:
        """All webhooks about messages that the contact centre tried to deliver, oldest first."""
        deliveries = (await self._get("/deliveries?event=task-message:appended"))["deliveries"]
        assert isinstance(deliveries, list)
        return deliveries

    async def appends(self) -> list[dict[str, Any]]:
        """All requests with words of customers that the contact centre got, in the order of their answers."""
        requests = (await self._get("/requests?endpoint=append"))["requests"]
        assert isinstance(requests, list)
        return requests

    async def _act(self, action: str, **body: object) -> None:
        async with self._http.post(f"/__sim/v1/agents/{AGENT}/{action}", json=body) as answer:
            assert answer.status == 200, (action, answer.status, await answer.text())

    async def _get(self, path: str) -> Any:
        async with self._http.get(f"/__sim/v1{path}") as answer:
            assert answer.status == 200, (path, answer.status)
            return await answer.json()


class Party:
    """A customer with a live agent, who have one conversation after the other until the budget is used up."""

    def __init__(
        self,
        number: int,
        service: Service,
        desk: Desk,
        budget: Budget,
        chance: random.Random,
        talk: tuple[int, int],
        pause_s: tuple[float, float],
        begins_s: float = 0.0,
    ) -> None:
        self._begins_s = begins_s
        self._number = number
        self._service = service
        self._desk = desk
        self._budget = budget
        self._chance = chance
        self._length = talk
        self._pause_s = pause_s
        self.talks: list[Talk] = []
        self.refused = 0
        self.problems: list[str] = []

    async def run(self) -> None:
        """Talk, after `begins_s`; what goes wrong is noted, not raised."""
        await asyncio.sleep(self._begins_s)
        while planned := self._budget.take(self._chance.randint(*self._length)):
            talk = Talk(f"{self._number}.{len(self.talks) + 1}")
            self.talks.append(talk)
            try:
                async with self._customer() as customer:
                    await self._converse(customer, talk, planned)
                    self.problems += [f"{talk.name}: {violation}" for violation in customer.violations]
            except (OSError, TimeoutError, AssertionError, aiohttp.ClientError) as error:
                self.problems.append(f"{talk.name}: {type(error).__name__}: {error}"[:600])

    async def _converse(self, customer: MessagingClient, talk: Talk, planned: int) -> None:
        talk.session_id = customer.session_id
        talk.task_id = task_id = await self._reach_an_agent(customer)
        try:
            await self._exchange(customer, talk, task_id, planned)
            await self._end(customer, talk, task_id)
        finally:
            talk.agent_heard = await self._desk.heard(task_id)
            talk.customer_saw = _texts(customer, "LIVE_AGENT_MESSAGE")
        for other in set(self._desk.tasks_of(customer.session_id)) - {task_id}:
            if (await self._desk.task(other))["status"] not in ("ended", "failed"):
                self.problems.append(f"{talk.name}: a second conversation was left open")

    # --- the customer's app ----------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _customer(self) -> AsyncIterator[MessagingClient]:
        async with contextlib.AsyncExitStack() as stack:
            while True:
                client = MessagingClient(self._service.door(), token=self._service.connector_token, resend_s=2.0)
                await stack.enter_async_context(client)
                try:
                    await client.start()
                    break
                except (aiohttp.ClientError, OSError, TimeoutError, Refused):
                    await asyncio.sleep(0.2)
            keeper = asyncio.create_task(self._keep_connected(client))
            try:
                yield client
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)

    async def _keep_connected(self, client: MessagingClient) -> None:
        """Come back whenever the connection is lost, as SDKs do, until the session is over."""
        while client.ended is None:
            await client.connections[-1].closed.wait()
            while client.ended is None:
                client.base_url = self._service.door()
                try:
                    await client.reconnect()
                    break
                except Refused as refused:
                    if refused.status == 404:
                        # It ended while we were away (messaging-protocol.md, W24): an app starts a new one.
                        client.ended = "gone"
                        return
                    await asyncio.sleep(0.1)
                except (aiohttp.ClientError, OSError, TimeoutError):
                    await asyncio.sleep(0.1)

    async def _said(self, client: MessagingClient, drafts: Iterable[Draft]) -> None:
        """Wait until the server has accepted the messages; tap on those that failed."""
        for draft in drafts:
            async with asyncio.timeout(_PATIENCE_S):
                while draft.state != "sent":
                    if draft.state == "failed":
                        await client.send_again(draft)
                    await asyncio.sleep(0.05)

    async def _reach_an_agent(self, client: MessagingClient) -> str:
        """Ask for a human, again after an apology or a refusal. Returns the agent's task."""
        async with asyncio.timeout(3 * _PATIENCE_S):
            while True:
                before, failures = len(_answers(client)), len(client.all("HANDOFF_FAILED"))
                await self._said(client, [await client.say("I want to talk to a human")])
                await _until(lambda before=before: len(_answers(client)) > before)
                if _answers(client)[-1] == "POLY_AGENT_TRIGGERED_HANDOFF":
                    await _until(
                        lambda failures=failures: (
                            bool(client.all("LIVE_AGENT_JOINED")) or len(client.all("HANDOFF_FAILED")) > failures
                        )
                    )
                    if client.all("LIVE_AGENT_JOINED"):
                        return await self._desk.task_of(client.session_id)
                    self.refused += 1
                    await asyncio.sleep(self._chance.uniform(*_ASK_AGAIN_S))

    # --- the talk --------------------------------------------------------------------------------------------

    async def _exchange(self, client: MessagingClient, talk: Talk, task_id: str, planned: int) -> None:
        said = 0
        drafts: list[Draft] = []
        while said < planned and not self._budget.over:
            await asyncio.sleep(self._chance.uniform(*self._pause_s))
            spoken = min(self._chance.randint(1, 3), planned - said)
            for _ in range(spoken):
                said += 1
                if self._chance.random() < 0.5:
                    drafts.append(await client.say(f"{talk.name} customer {said}"))
                else:
                    text = f"{talk.name} agent {said}"
                    talk.agent_said.append(text)
                    await self._desk.say(task_id, text)
            await self._budget.note(spoken)
        await self._said(client, drafts)
        accepted = {draft.text for draft in drafts}
        talk.customer_said = [text for text in _texts(client, "USER_MESSAGE") if text in accepted]

    async def _end(self, client: MessagingClient, talk: Talk, task_id: str) -> None:
        """One of them ends it, when the customer has seen everything; the agent also when they have heard it."""
        await _until(lambda: len(_texts(client, "LIVE_AGENT_MESSAGE")) >= len(talk.agent_said))
        if self._chance.random() < 0.5:
            while client.ended is None:
                with contextlib.suppress(ConnectionError, AssertionError):
                    await client.end()
                with contextlib.suppress(TimeoutError):
                    await _until(lambda: client.ended is not None, within_s=5.0)
        else:
            await _until(lambda: self._all_heard(task_id, talk), every_s=0.4)
            await self._desk.end(task_id)
            await _until(lambda: client.ended is not None)
        await _until(lambda: self._over(task_id, talk), every_s=0.4)
        # Doubles would come now.
        await asyncio.sleep(1.0)

    async def _all_heard(self, task_id: str, talk: Talk) -> bool:
        return set(await self._desk.heard(task_id)) >= set(talk.customer_said)

    async def _over(self, task_id: str, talk: Talk) -> bool:
        return (await self._desk.task(task_id))["status"] == "ended" and await self._all_heard(task_id, talk)


def _texts(client: MessagingClient, kind: str) -> list[str]:
    return [str(event.payload["text"]) for event in client.all(kind)]


def _answers(client: MessagingClient) -> list[str]:
    """What came of asking for a human: handoffs, and apologies of the virtual agent."""
    return [
        event.type
        for event in client.events
        if event.type == "POLY_AGENT_TRIGGERED_HANDOFF"
        or (event.type == "SYSTEM_MESSAGE" and "trouble responding" in str(event.payload.get("message")))
    ]


async def _until(
    condition: Callable[[], bool | Awaitable[bool]], *, every_s: float = 0.05, within_s: float = _PATIENCE_S
) -> None:
    """Wait until it holds. Raises TimeoutError when patience is at its end."""
    async with asyncio.timeout(within_s):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(every_s)
