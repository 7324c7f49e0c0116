"""Agents that act by themselves: a script that runs for every conversation (§20.7, scenarios)."""

import asyncio
import functools
from collections.abc import Callable
from typing import Literal

import msgspec

from warmline.emulators.webex.publisher import Publisher
from warmline.emulators.webex.routing import Routing
from warmline.emulators.webex.state import OVER, Agent, Message, Slot, Task, World

Deed = Literal[
    "accept", "decline", "say", "attach", "transfer", "end", "wrapup", "end_too", "pretend_ended", "lose_subscriptions"
]  # fmt: skip


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step, taken `after_ms` after it became possible.

    `end_too`: end as the agent once the customer asked for the end. `pretend_ended`: publish `task:ended` while the
    task goes on. `lose_subscriptions`: every subscription becomes inactive.
    """

    do: Deed
    text: str = ""
    to: str = ""
    after_ms: int = 0


_NEEDS: dict[Deed, Slot] = {
    "accept": Slot.OFFERED,
    "decline": Slot.OFFERED,
    "say": Slot.CONNECTED,
    "attach": Slot.CONNECTED,
    "transfer": Slot.CONNECTED,
    "end": Slot.CONNECTED,
    "end_too": Slot.CONNECTED,
    "pretend_ended": Slot.CONNECTED,
    "lose_subscriptions": Slot.CONNECTED,
    "wrapup": Slot.WRAPUP,
}


class Director:
    """Lets agents follow a script, step by step, in every new conversation."""

    def __init__(self, world: World, routing: Routing, publisher: Publisher) -> None:
        self._world = world
        self._routing = routing
        self._publisher = publisher
        self._script: tuple[Step, ...] = ()
        self._followed: set[str] = set()
        self._changed = asyncio.Event()

    def follow(self, script: tuple[Step, ...]) -> None:
        """Use `script` for every conversation that starts from now on."""
        self._script = script
        self._world.observers.append(self._notice)

    def _notice(self, task: Task, message: Message | None) -> None:
        if task.id not in self._followed:
            self._followed.add(task.id)
            self._world.background.spawn(self._play(task))
        self._changed.set()
        self._changed = asyncio.Event()

    async def _play(self, task: Task) -> None:
        for step in self._script:
            if await self._ready(task, step) and step.after_ms:
                await self._pause(step.after_ms)
            agent = await self._ready(task, step)
            if agent is None:
                return
            self._take(task, agent, step)

    async def _ready(self, task: Task, step: Step) -> Agent | None:
        """Wait until a step is possible and return the agent who takes it; None when it never will be."""
        while True:
            changed = self._changed
            agent = self._world.agents.get(task.agent_id or "")
            slot = agent.slots.get(task.id) if agent else None
            if slot is _NEEDS[step.do] and (step.do != "end_too" or task.end_asked):
                return agent
            if task.status in OVER and slot is None:
                return None
            await changed.wait()

    async def _pause(self, delay_ms: int) -> None:
        done = asyncio.Event()
        self._world.clock.after(delay_ms, done.set)
        await done.wait()

    def _take(self, task: Task, agent: Agent, step: Step) -> None:
        routing = self._routing
        deeds: dict[Deed, Callable[[], None]] = {
            "accept": functools.partial(routing.accept, agent, task),
            "decline": functools.partial(routing.decline, agent, task),
            "say": functools.partial(routing.say, agent, task, step.text),
            "attach": functools.partial(
                routing.attach, agent, task, step.text, [("note.txt", "text/plain", b"For your records.\n")]
            ),
            "transfer": functools.partial(self._transfer, agent, task, step.to),
            "end": functools.partial(routing.end, agent, task),
            "end_too": functools.partial(routing.end, agent, task),
            "wrapup": functools.partial(routing.wrap_up, agent, task),
            "pretend_ended": functools.partial(
                self._publisher.lifecycle, task, "ended", reason="Agent Left", terminatingParty="Agent"
            ),
            "lose_subscriptions": self._lose_subscriptions,
        }
        deeds[step.do]()

    def _transfer(self, agent: Agent, task: Task, to: str) -> None:
        kind, _, name = to.partition(":")
        if kind == "queue":
            self._routing.transfer_to_queue(agent, task, name)
        else:
            self._routing.transfer_to_agent(agent, task, self._world.agents[name])

    def _lose_subscriptions(self) -> None:
        for subscription in self._world.subscriptions.values():
            subscription.status = "inactive"
