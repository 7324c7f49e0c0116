"""Conversations over a network that breaks every connection of the customers, and what arrived.

A live agent at the emulated contact centre writes while the customer does. Every connection between a customer and
the server is delayed, stalled, half closed or cut at random after at most a second and a half. Afterwards what was said
is compared with what arrived, and each customer's view with a fresh replay of the session.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import uvloop

from judging import Count, judge
from servers import EmulatorProcess, WarmlineServer
from talking import Desk
from warmline.testing.messaging_client import MessagingClient
from warmline.testing.messaging_sdk import SdkClient
from warmline.testing.rough_proxy import RoughProxy

_PACE = 0.05
"""The SDKs' waiting times are shortened by this, so that connections break far more often than they could outside."""
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen. `messages` are those of each side in each conversation."""

    conversations: int = 300
    at_once: int = 15
    messages: int = 8
    seed: int = 1


@dataclass(slots=True)
class Result:
    """What came of it. `different` counts customers whose view was not that of a fresh replay."""

    conversations: int = 0
    up: Count = field(default_factory=Count)
    down: Count = field(default_factory=Count)
    different: int = 0
    fates: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing was lost, doubled, out of order or different."""
        return self.up.clean and self.down.clean and not (self.different or self.problems or self.down.late)


async def torture(plan: Plan) -> Result:
    """Run the plan."""
    result = Result()
    chance = random.Random(plan.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = WarmlineServer(folder, f"sqlite:///{folder}/warmline.db", log=folder / "server.log")
        async with EmulatorProcess().with_server(server) as emulator:
            port = urlsplit(server.url).port or 0
            async with (
                aiohttp.ClientSession(emulator.url, timeout=aiohttp.ClientTimeout(total=60)) as http,
                RoughProxy(port, chance) as proxy,
            ):
                began = time.monotonic()
                places = asyncio.Semaphore(plan.at_once)
                desk = Desk(http)
                await asyncio.gather(
                    *(
                        _guarded(number, plan, server, desk, proxy, places, result)
                        for number in range(plan.conversations)
                    )
                )
                result.seconds = round(time.monotonic() - began, 1)
                result.fates = dict(proxy.fates)
    return result


async def _guarded(
    number: int,
    plan: Plan,
    server: WarmlineServer,
    desk: Desk,
    proxy: RoughProxy,
    places: asyncio.Semaphore,
    result: Result,
) -> None:
    async with places:
        try:
            await _conversation(number, plan, server, desk, proxy, result)
        except (TimeoutError, AssertionError, aiohttp.ClientError) as error:
            result.problems.append(f"{number}: {type(error).__name__}: {error}"[:400])


async def _conversation(
    number: int, plan: Plan, server: WarmlineServer, desk: Desk, proxy: RoughProxy, result: Result
) -> None:
    customer_says = [f"{number} customer {n}" for n in range(plan.messages)]
    agent_says = [f"{number} agent {n}" for n in range(plan.messages)]
    token, pauses = server.connector_token, random.Random(f"{plan.seed}/{number}")
    async with SdkClient(proxy.url, token=token, pace=_PACE, chance=pauses) as customer:
        await customer.live()
        await customer.deliver("I want to talk to a human", _PATIENCE_S)
        await customer.expect("LIVE_AGENT_JOINED", timeout=_PATIENCE_S)
        task_id = await desk.task_of(customer.session_id)

        async def agent() -> None:
            for text in agent_says:
                await desk.say(task_id, text)
                await asyncio.sleep(pauses.uniform(0, 0.6))

        speaking = asyncio.create_task(agent())
        for text in customer_says:
            await customer.deliver(text, _PATIENCE_S)
            await asyncio.sleep(pauses.uniform(0, 0.5))
        await speaking
        await customer.expect("LIVE_AGENT_MESSAGE", plan.messages, timeout=_PATIENCE_S)
        await _heard(desk, task_id, plan.messages)
        await customer.wait(lambda: len(_texts(customer)) > plan.messages, "the last echo", _PATIENCE_S)
        result.conversations += 1
        result.connections += len(customer.connections)
        result.up.add(judge(customer_says, await desk.heard(task_id)))
        result.down.add(judge(agent_says, [event.payload["text"] for event in customer.all("LIVE_AGENT_MESSAGE")]))
        result.different += not await _same_as_fresh(server, customer)
        result.problems += [f"{number}: {violation}" for violation in customer.violations]
        result.problems += [f"{number}: {len(customer.sessions)} sessions"] * (len(customer.sessions) != 1)
        await desk.end(task_id)
        # One who is away then finds no session and begins another, as the SDKs do (W24).
        await customer.wait(lambda: customer.ended is not None or len(customer.sessions) > 1, "the end", _PATIENCE_S)


async def _heard(desk: Desk, task_id: str, messages: int) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while len(await desk.heard(task_id)) < messages:  # noqa: ASYNC110  (the emulator tells nobody)
            await asyncio.sleep(0.2)


def _texts(customer: MessagingClient) -> list[str]:
    return [event.payload["text"] for event in customer.all("USER_MESSAGE")]


async def _same_as_fresh(server: WarmlineServer, customer: SdkClient) -> bool:
    """Whether a client that never lost a connection is shown the same."""
    async with MessagingClient(server.url, token=server.connector_token, auto_join=False) as fresh:
        fresh.access_token, fresh.session_id = customer.access_token, customer.session_id
        await fresh.connect()
        last = fresh.journal()[-1].sequence or 0
        await customer.wait(lambda: customer.cursor >= last, "the last event", _PATIENCE_S)
        return [event.raw for event in fresh.journal()] == [event.raw for event in customer.journal()[:last]]


def show(plan: Plan, result: Result) -> None:
    """A table for people."""
    print(
        f"{result.conversations} conversations, {plan.at_once} at once, over {result.connections} sockets in "
        f"{result.seconds:.0f} s; connections: "
        + ", ".join(f"{number} × {fate}" for fate, number in sorted(result.fates.items()))
    )
    names = ("said", "arrived", "lost", "doubled", "reordered", "late", "stray")
    print("            " + "".join(f"{name:>11}" for name in names))
    for label, count in (("to agents", result.up), ("to customers", result.down)):
        print(f"{label:<12}" + "".join(f"{getattr(count, name):>11}" for name in names))
    print(f"views that differ from a fresh replay: {result.different}")
    for problem in result.problems:
        print(f"! {problem}")
    print("passed" if result.passed else "FAILED", flush=True)


async def main(argv: Sequence[str]) -> int:
    """Parse, run, print; returns the exit code."""
    usual = Plan()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conversations", type=int, default=usual.conversations)
    parser.add_argument("--at-once", type=int, default=usual.at_once)
    parser.add_argument("--messages", type=int, default=usual.messages, help="of each side in each conversation")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--json", type=Path, help="write plan and result here")
    args = parser.parse_args(argv)
    plan = Plan(conversations=args.conversations, at_once=args.at_once, messages=args.messages, seed=args.seed)
    result = await torture(plan)
    show(plan, result)
    if args.json:
        args.json.write_text(json.dumps({"plan": asdict(plan), **asdict(result)}, indent=2) + "\n", encoding="utf-8")
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
