"""An emulated language model and the agents that talk through it."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from warmline.agent.models.access import LanguageModel, open_model
from warmline.agent.models.endpoint import Endpoint
from warmline.emulators.llm import RunningLlm, Script, start
from warmline.emulators.llm.faults import Effect, FaultRequest
from warmline.emulators.llm.script import Answer


class HurriedClock:
    """Implements `ports.Clock`: whoever sleeps wakes at once, with the time gone by. `slept` lists the pauses."""

    def __init__(self) -> None:
        """Begin now."""
        self.slept: list[float] = []

    def now(self) -> int:
        """Wall clock, milliseconds since the epoch."""
        return round((time.time() + sum(self.slept)) * 1000)

    def monotonic(self) -> float:
        """Seconds that never jump back."""
        return time.monotonic() + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        """Skip that time."""
        self.slept.append(seconds)


class LlmLab:
    """A running emulator and a model that speaks to it."""

    def __init__(self, llm: RunningLlm, http: aiohttp.ClientSession) -> None:
        """Use `llm` through `http`."""
        self.llm = llm
        self.http = http
        self.clock = HurriedClock()
        self.registry = CollectorRegistry()

    def endpoint(self, **settings: Any) -> Endpoint:
        """Give the endpoint of the emulator."""
        return Endpoint(**{"base_url": f"{self.llm.url}/v1", "model": "default-model", **settings})

    def model(self, **settings: Any) -> LanguageModel:
        """Connect to the emulator; the numbers of the newest connection are in `registry`."""
        self.registry = CollectorRegistry()
        return open_model(
            self.endpoint(**settings),
            self.http,
            self.clock,
            registry=self.registry,
        )

    def play(self, *answers: Any, **settings: Any) -> None:
        """Answer by a script; answers are `Answer`s, and texts for whatever is asked, one after the other."""
        made = [a if isinstance(a, Answer) else Answer(say=a, times=1) for a in answers]
        self.llm.emulator.play(Script(answers=tuple(made), **settings))

    def spoil(self, *, times: int | None = 1, **effect: Any) -> None:
        """Let something go wrong."""
        self.llm.emulator.faults.add(FaultRequest(effect=Effect(**effect), times=times))

    @property
    def asked(self) -> Sequence[Any]:
        """The bodies of all chat requests."""
        return [request["body"] for request in self.llm.emulator.requests if request["endpoint"] == "chat"]

    @property
    def last(self) -> Any:
        """The body of the last chat request."""
        return self.asked[-1]

    @property
    def systems(self) -> list[str]:
        """The system messages of the last request."""
        return [message["content"] for message in self.last["messages"] if message["role"] == "system"]

    @property
    def tools(self) -> list[str]:
        """The tools that the last request offered."""
        return [tool["function"]["name"] for tool in self.last.get("tools", ())]


@asynccontextmanager
async def llm_lab() -> AsyncIterator[LlmLab]:
    """Run an emulator."""
    llm = await start()
    try:
        async with aiohttp.ClientSession() as http:
            yield LlmLab(llm, http)
    finally:
        await llm.stop()
