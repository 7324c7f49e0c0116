"""A live agent who is played at the emulated Webex, for `warmline verify webex --play-agent`."""

import asyncio
import time
from typing import Any

import aiohttp

from warmline.cli.verify_causes import NO_EMULATOR, NOBODY, StepFailed


class EmulatedAgent:
    """Plays an agent at the emulator, through its control plane (`/__sim/v1`)."""

    def __init__(self, http: aiohttp.ClientSession, url: str, agent_id: str = "agent-1") -> None:
        self._http = http
        self._url = f"{url}/__sim/v1"
        self._agent_id = agent_id
        self._known: set[str] = set()
        self._task_id = ""

    async def begin(self) -> None:
        """Come to the desk; conversations that are open already are not ours."""
        self._known = {task["id"] for task in await self._tasks()}
        await self._act("login")
        await self._act("state", state="Available")

    async def take(self, seconds: float) -> None:
        """Accept the conversation of this test."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for task in await self._tasks():
                if task["id"] not in self._known and task["status"] == "offered":
                    self._agent_id = task["agentId"]
                    self._task_id = task["id"]
                    await self._act("accept", taskId=self._task_id)
                    return
            await asyncio.sleep(0.1)
        raise StepFailed("no offer at the emulated desktop", NOBODY)

    async def say(self, text: str) -> None:
        """Write to the customer."""
        await self._act("say", taskId=self._task_id, text=text)

    async def end(self) -> None:
        """End the conversation."""
        await self._act("end", taskId=self._task_id)
        await self._act("wrapup", taskId=self._task_id)

    async def deliveries(self, event: str, destination: str) -> str:
        """Tell what became of the webhooks of an event of this conversation, to the "asset" or the "subscription"."""
        query = {"event": event, "taskId": self._task_id, "destination": destination}
        async with self._http.get(f"{self._url}/deliveries", params=query) as answer:
            attempts = (await answer.json())["deliveries"] if answer.status == 200 else []
        if not attempts:
            asset, subscription = "the asset has no webhook URL", "nothing is registered for it, or it is inactive"
            return f"The emulator sent no {event}: {asset if destination == 'asset' else subscription}."
        last = attempts[-1]
        if last["outcome"] == "dropped":
            return f"A fault of the emulator dropped {event}."
        answered = f"was answered HTTP {last['status']}" if last["status"] else f"was not answered ({last['error']})"
        return f"The emulator tried {len(attempts)} times to send {event}; the last time it {answered}."

    async def _tasks(self) -> list[dict[str, Any]]:
        async with self._http.get(f"{self._url}/tasks") as answer:
            if answer.status != 200:
                raise StepFailed(f"HTTP {answer.status}", NO_EMULATOR)
            tasks: list[dict[str, Any]] = (await answer.json())["tasks"]
            return tasks

    async def _act(self, action: str, **body: str) -> None:
        async with self._http.post(f"{self._url}/agents/{self._agent_id}/{action}", json=body) as answer:
            if answer.status >= 300:
                raise StepFailed(f"the emulated agent cannot {action} (HTTP {answer.status})", NO_EMULATOR)
