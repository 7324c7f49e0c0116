"""A contact centre in trouble, at the whole server: refusals, throttling, outages, cut lines, nonsense (webex §15.3).

Every handoff comes to a defined outcome, nothing is lost, doubled or reordered, and whoever talks with the virtual
agent meanwhile notices nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.bystander import bystander
from support.desk import Desk
from support.installation import DISPUTE, ServerProcess, customer, emulator, installation
from support.server_log import ServerLog
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient

QUESTION = "What are your opening hours?"
FAILED = "Sorry, we could not connect you to an agent. Please try again."

ONCE: dict[str, dict[str, object]] = {
    "401": {"status": 401, "times": 1},
    "429": {"status": 429, "retry_after": 2, "times": 1},
    "503": {"status": 503, "times": 1},
    "reset": {"drop": True, "times": 1},
    "reset after": {"drop": True, "when": "after", "times": 1},
    "hang": {"delay_ms": 11_000, "when": "after", "times": 1},
    "nonsense": {"nonsense": True, "times": 1},
}
"""What passes after a while."""


@dataclass
class Site:
    server: ServerProcess
    desk: Desk
    log: ServerLog

    async def fault(self, effect: dict[str, object], endpoint: str, task_id: str = "*") -> str:
        match = {"endpoint": endpoint, "taskId": task_id}
        rule = await self.desk.call("POST", "/faults", {"match": match, "effect": effect})
        return str(rule["id"])

    async def struck(self, fault_id: str) -> None:
        """Wait until a fault has applied."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                faults = (await self.desk.call("GET", "/faults"))["faults"]
                if next(fault["applied"] for fault in faults if fault["id"] == fault_id):
                    return
                await asyncio.sleep(0.02)

    async def about(self, visitor: MessagingClient) -> list[dict[str, Any]]:
        """The tasks of that customer, told apart by their first message."""
        wish = visitor.all("USER_MESSAGE")[0].payload["text"]
        return [t for t in await self.desk.tasks() if t["transcript"] and wish in t["transcript"][0]["text"]]


@contextlib.asynccontextmanager
async def site(tmp_path: Path, **settings: Any) -> AsyncIterator[Site]:
    log = ServerLog(tmp_path / "server.log")
    options: dict[str, Any] = {"log": log.path, "log_format": "json", "log_level": 20}
    async with emulator(**settings) as sim, installation(f"sqlite:///{tmp_path}/w.db", sim, **options) as server:
        async with Desk(sim.url) as desk, customer(server) as first:
            await first.start()
            await first.expect("POLY_AGENT_MESSAGE")
            await first.say_and_wait(QUESTION)
            answer = (await first.expect("POLY_AGENT_MESSAGE", 2)).payload["text"]
            async with bystander(server, QUESTION, answer):
                yield Site(server, desk, log)


async def asks_for_a_human(visitor: MessagingClient, case: str) -> None:
    await visitor.start()
    await visitor.expect("POLY_AGENT_MESSAGE")
    await visitor.say_and_wait(f"{DISPUTE} (case {case})")
    await visitor.expect("POLY_AGENT_LEFT")


async def test_A15_A16_troubled_creates_open_one_conversation_each(tmp_path: Path) -> None:
    async with site(tmp_path, auto_accept=True) as here, contextlib.AsyncExitStack() as stack:
        await here.desk.ready()
        visitors: dict[str, MessagingClient] = {}
        # An order in which never five calls fail one after the other: that would be an outage.
        for case in ("hang", "503", "401", "reset after", "nonsense", "429", "reset"):
            fault = await here.fault(ONCE[case], "create")
            visitor = visitors[case] = await stack.enter_async_context(customer(here.server))
            await asks_for_a_human(visitor, case)
            await here.struck(fault)
            await visitor.say("one")
            await visitor.say("two")
        async with Desk(here.desk.url.removesuffix("/__sim/v1"), "agent-2") as second:
            await second.ready()
            await asyncio.gather(*(_is_served(here, case, visitor) for case, visitor in visitors.items()))


async def _is_served(here: Site, case: str, visitor: MessagingClient) -> None:
    await visitor.expect("LIVE_AGENT_JOINED")
    tasks = [task for task in await here.about(visitor) if task["status"] != "failed"]
    assert len(tasks) == 1, case
    task_id, agent = tasks[0]["id"], tasks[0]["agentId"]
    await here.desk.until_heard(task_id, ["one", "two"])
    await here.desk.call("POST", f"/agents/{agent}/say", {"taskId": task_id, "text": "hello"})
    await visitor.expect("LIVE_AGENT_MESSAGE")
    await visitor.say_and_wait("three")
    await here.desk.until_heard(task_id, ["one", "two", "three"])
    await here.desk.call("POST", f"/agents/{agent}/end", {"taskId": task_id})
    await visitor.expect("SESSION_END")
    for once in ("HANDOFF_ACCEPTED", "LIVE_AGENT_JOINED", "LIVE_AGENT_MESSAGE", "SESSION_END"):
        assert len(visitor.all(once)) == 1, (case, once)
    assert visitor.all("SYSTEM_MESSAGE") == [], case
    assert visitor.violations == [], case


async def test_A17_A18_troubled_appends_and_ends_lose_and_double_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, auto_accept=True) as here, contextlib.AsyncExitStack() as stack:
        await here.desk.ready()
        async with Desk(here.desk.url.removesuffix("/__sim/v1"), "agent-2") as second:
            await second.ready()
            visitors = {case: await stack.enter_async_context(customer(here.server)) for case in ONCE}
            for case, visitor in visitors.items():
                await asks_for_a_human(visitor, case)
            await asyncio.gather(*(_writes_and_leaves(here, case, visitor) for case, visitor in visitors.items()))


async def _writes_and_leaves(here: Site, case: str, visitor: MessagingClient) -> None:
    await visitor.expect("LIVE_AGENT_JOINED")
    (task,) = await here.about(visitor)
    task_id = task["id"]
    fault = await here.fault(ONCE[case], "append", task_id)
    texts = ["one", "two", "three"]
    for text in texts:
        await visitor.say(text)
    await here.struck(fault)
    await here.desk.until_heard(task_id, texts, 30)
    await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE", 3)
    # A call that hangs has been tried; it takes ten seconds.
    fault = await here.fault(ONCE["reset" if case == "hang" else case], "end", task_id)
    await visitor.end()
    await visitor.expect("SESSION_END")
    await here.struck(fault)
    over = await here.desk.until(lambda t: t["id"] == task_id and t["status"] == "ended", "the end", 20)
    assert over["terminatingParty"] == "Customer", case
    assert await here.desk.heard(task_id) == texts
    assert visitor.all("SYSTEM_MESSAGE") == [], case
    assert visitor.violations == [], case


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_end_the_handoff_stop_the_connection_and_tell_the_operator(
    tmp_path: Path, status: int
) -> None:
    async with site(tmp_path) as here, customer(here.server) as visitor:
        await here.fault({"status": status}, "create")
        await asks_for_a_human(visitor, "refused")
        await visitor.expect("HANDOFF_FAILED")
        told = await visitor.expect("SYSTEM_MESSAGE")
        assert told.payload["message"] == FAILED
        await visitor.expect("POLY_AGENT_JOINED", 2)
        await visitor.say_and_wait(QUESTION)
        await visitor.expect("POLY_AGENT_MESSAGE", 3)
        await here.log.wait("opening.failed", level="error", session_id=visitor.session_id)
        state = await here.log.wait("registry.connection_state")
        assert state["state"] == "auth_failed"
        assert await here.desk.tasks() == []

        # While it is stopped, the next wish fails at once instead of keeping the customer waiting.
        await visitor.say_and_wait(DISPUTE)
        await visitor.expect("HANDOFF_FAILED", 2)
        await visitor.say_and_wait(QUESTION)
        await visitor.expect("POLY_AGENT_MESSAGE", 5)
        assert visitor.violations == []


async def test_A71_a_final_no_by_webhook_brings_the_virtual_agent_back(tmp_path: Path) -> None:
    reasons = ("CHANNEL_ASSET_UNDEFINED", "ENTRY_POINT_NOT_FOUND", "FEATURE_FLAG_DISABLED")
    async with site(tmp_path) as here:
        for reason in reasons:
            async with customer(here.server) as visitor:
                await here.fault({"reason": reason, "times": 1}, "create")
                await asks_for_a_human(visitor, reason)
                await visitor.say(QUESTION)
                await visitor.expect("HANDOFF_FAILED")
                # What was typed meanwhile is answered by whom the conversation returned to.
                await visitor.expect("POLY_AGENT_MESSAGE", 3)
                refused = await here.log.wait("handoff.refused", reason=reason)
                assert refused["hint"]
                await visitor.end()
                await visitor.expect("SESSION_END")
                assert visitor.violations == []
