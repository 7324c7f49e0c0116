"""A live agent's hands: drives the emulator through its control plane, as outside tools do (design.md §3)."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

import aiohttp

from warmline.testing.messaging_client import PATIENCE_S


class Desk:
    """One agent at the emulated desktop. `agent` is "agent-1" (queue support) or "agent-2"."""

    def __init__(self, sim_url: str, agent: str = "agent-1") -> None:
        self.url = f"{sim_url}/__sim/v1"
        self.agent = agent
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """One call of the control plane; raises on anything but 2xx."""
        assert self._http is not None
        async with self._http.request(method, self.url + path, json=body) as answer:
            data = await answer.json()
            assert answer.status < 300, (method, path, answer.status, data)
            return data

    async def act(self, action: str, **body: object) -> None:
        """An action of this agent."""
        await self.call("POST", f"/agents/{self.agent}/{action}", body)

    async def ready(self) -> None:
        """Log in and become available."""
        await self.act("login")
        await self.act("state", state="Available")

    async def tasks(self) -> list[dict[str, Any]]:
        """All tasks, as the emulator knows them to be."""
        data = await self.call("GET", "/tasks")
        return list(data["tasks"])

    async def task(self, task_id: str) -> dict[str, Any]:
        """One task."""
        data = await self.call("GET", f"/tasks/{task_id}")
        assert isinstance(data, dict)
        return data

    async def until(
        self, condition: Callable[[dict[str, Any]], bool], what: str, timeout: float = PATIENCE_S
    ) -> dict[str, Any]:
        """Wait for a task that fulfils the condition; returns it."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for task in await self.tasks():
                        if condition(task):
                            return task
                    await asyncio.sleep(0.03)
        except TimeoutError:
            states = [(t["status"], [m["text"] for m in t["transcript"]]) for t in await self.tasks()]
            raise TimeoutError(f"waited {timeout} s for {what}; tasks: {states}") from None

    async def take(self, timeout: float = PATIENCE_S) -> str:
        """Wait for an offer, accept it, return the task's id."""
        task = await self.until(lambda t: t["status"] == "offered" and t["agentId"] == self.agent, "an offer", timeout)
        await self.act("accept", taskId=task["id"])
        return str(task["id"])

    async def say(self, task_id: str, text: str) -> None:
        """Write to the customer."""
        await self.act("say", taskId=task_id, text=text)

    async def end(self, task_id: str) -> None:
        """End the conversation and finish the wrap-up."""
        await self.act("end", taskId=task_id)
        await self.act("wrapup", taskId=task_id)

    async def heard(self, task_id: str) -> list[str]:
        """What the customer said since the brief."""
        task = await self.task(task_id)
        return [m["text"] for m in task["transcript"] if m["direction"] == "INBOUND"][1:]

    async def until_heard(self, task_id: str, texts: list[str], timeout: float = PATIENCE_S) -> None:
        """Wait until the customer's words are exactly these."""
        await self.until(
            lambda t: (
                t["id"] == task_id and [m["text"] for m in t["transcript"] if m["direction"] == "INBOUND"][1:] == texts
            ),
            f"the agent to hear {texts}",
            timeout,
        )
