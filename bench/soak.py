"""Soaks the relay: scripted customers and live agents talk while everything fails that may.

Real servers, the full emulator and PostgreSQL run in processes of their own. A judge knows every message that either
side sent, and counts what was lost, doubled, out of order or late. The same seed gives the same talk and the same
faults, as far as real processes can repeat themselves.

    python bench/soak.py [--seconds S] [--messages N] [--conversations N] [--nodes N] [--bus notify|nats]
                         [--store sqlite|postgres] [--seed N] [--pause S] [--ramp S] [--keep DIR] [--json FILE]

What is asked of the contact centre: it delivers a webhook again until it is taken (here: after ¼, ½, then every
second for a minute), and what it carried out it confirms within a few seconds. A webhook whose every attempt is
lost is the contact centre's loss. See docs/guarantees.md.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from chaos import Chaos
from judging import Count, judge
from receipts import Receipts, read, watch
from servers import EmulatorProcess, WarmlineServer
from soak_nodes import NodeChaos, started
from talking import Desk, Party, Service, Talk

_REPORT_S = 30.0

_OF_THE_DATABASE = ("asyncpg.exceptions.", "warmline.domain.errors.StoreUnavailable", "ConnectionError")
"""Errors in a log that say no more than that the database was taken away."""

RETRIES_MS = (250, 500, *[1000] * 60)

EMULATOR = {
    "createDelayMs": 50,
    "webhookRetriesMs": RETRIES_MS,
    "accessTokenTtlS": 20,
    "recordLimit": 1_000_000,
    "noiseEvents": True,
    # What a fault holds back goes on in time: confirmations are asked for within two seconds.
    "reorderHoldMs": 1000,
}


LEASE_S = 5.0


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a soak does. It ends when so many messages were said, or after so many seconds."""

    messages: int = 1_000_000
    seconds: float = 1800.0
    seed: int = 1
    store: str = "postgres"
    nodes: int = 3
    nats: bool = False
    conversations: int = 300
    pause_s: tuple[float, float] = (2.0, 38.0)
    """Shortest and longest time between what is said in a conversation: one to three messages, by either side."""
    every_s: tuple[float, float] = (4.0, 12.0)
    """Shortest and longest time between two faults of the nodes."""
    every_messages: tuple[int, int] | None = None
    """In its place: fewest and most messages said between two faults of the nodes."""
    talk: tuple[int, int] = (15, 45)
    """Fewest and most messages of one conversation."""
    ramp_s: float = 0.0
    """The conversations begin one after the other within so many seconds."""
    lease_s: float = LEASE_S
    keep: Path | None = None
    """Where to leave what is needed to follow a message: the logs, and what contact centre and judge know."""


@dataclass(slots=True)
class Result:
    """What came of it. `up`: customer to live agent; `down`: back."""

    up: Count = field(default_factory=Count)
    down: Count = field(default_factory=Count)
    talks: int = 0
    seconds: float = 0.0
    deeds: dict[str, int] = field(default_factory=dict)
    """What was done to nodes, database and bus, and how often."""
    broken: int = 0
    """Connections of customers that the network broke."""
    faults: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    """Handoffs that could not be opened; the customers were told and asked again."""
    problems: list[str] = field(default_factory=list)
    """Violations of the customers' protocol, unexpected errors in the server's log, and what was wrong where."""

    @property
    def passed(self) -> bool:
        """Everything arrived once and in order."""
        return self.up.clean and self.down.clean and not self.problems


async def soak(plan: Plan) -> Result:
    """Run a soak; raises when the processes cannot be started."""
    result = Result()
    async with AsyncExitStack() as stack:
        folder = plan.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-soak-")))
        emulator = EmulatorProcess(**EMULATOR, seed=plan.seed)
        if plan.store == "sqlite":
            await _on_one(plan, emulator, folder, stack, result)
        else:
            await _on_nodes(plan, emulator, folder, stack, result)
        for log in folder.glob("*.log"):
            result.problems += _tracebacks(log)
    return result


async def _on_one(plan: Plan, emulator: EmulatorProcess, folder: Path, stack: AsyncExitStack, result: Result) -> None:
    url = f"sqlite:///{folder}/warmline.db"
    server = WarmlineServer(folder, url, log=folder / "server.log")
    await stack.enter_async_context(emulator.with_server(server))

    async def kill() -> str:
        await server.kill()
        await server.start_again()
        return "kill"

    await _talk(plan, url, server, emulator, kill, result)


async def _on_nodes(plan: Plan, emulator: EmulatorProcess, folder: Path, stack: AsyncExitStack, result: Result) -> None:
    nodes = await stack.enter_async_context(
        started(
            plan.nodes,
            emulator,
            folder,
            nats=plan.nats,
            chance=random.Random(f"{plan.seed}/doors"),
            lease_ttl_s=plan.lease_s,
        )
    )
    await watch(nodes.database.url)
    chaos = NodeChaos(nodes, random.Random(f"{plan.seed}/nodes"), plan.lease_s)
    await _talk(plan, nodes.database.url, nodes, emulator, chaos.next, result)
    result.broken = nodes.broken


async def _talk(
    plan: Plan,
    url: str,
    service: Service,
    emulator: EmulatorProcess,
    deed: Callable[[], Awaitable[str]],
    result: Result,
) -> None:
    async with aiohttp.ClientSession(emulator.url, timeout=aiohttp.ClientTimeout(total=300)) as http:
        chaos = Chaos(http, random.Random(f"{plan.seed}/chaos"))
        desk = Desk(http)
        budget = Budget(plan.messages, plan.seconds)
        parties = [
            Party(
                number,
                service,
                desk,
                budget,
                random.Random(f"{plan.seed}/{number}"),
                plan.talk,
                plan.pause_s,
                begins_s=plan.ramp_s * number / plan.conversations,
            )
            for number in range(plan.conversations)
        ]
        await chaos.begin()
        async with asyncio.TaskGroup() as group:
            nuisances = [
                group.create_task(work)
                for work in (chaos.faults(), _deeds(plan, budget, deed, result), _report(parties, result, budget))
            ]
            await asyncio.gather(*(group.create_task(party.run()) for party in parties))
            for nuisance in nuisances:
                nuisance.cancel()
        await chaos.end()
        result.faults = dict(chaos.applied)
        result.seconds = budget.elapsed_s
        deliveries, appends = await desk.deliveries(), await desk.appends()
        receipts = await read(url, deliveries, appends)
        if plan.keep is not None:
            talks = [asdict(talk) for party in parties for talk in party.talks]
            known = {"talks": talks, "deliveries": deliveries, "appends": appends, **asdict(receipts)}
            (plan.keep / "known.json").write_text(json.dumps(known), encoding="utf-8")
    for party in parties:
        result.refused += party.refused
        result.problems += party.problems
        for talk in party.talks:
            _count(talk, receipts, result)


async def _deeds(plan: Plan, budget: "Budget", deed: Callable[[], Awaitable[str]], result: Result) -> None:
    """Do harm every now and then, for ever: after some time, or after so many messages whatever time they take."""
    chance = random.Random(f"{plan.seed}/when")
    while True:
        if plan.every_messages is None:
            await asyncio.sleep(chance.uniform(*plan.every_s))
        else:
            due = budget.said + chance.randint(*plan.every_messages)
            await budget.reaches(due)
        began = budget.elapsed_s
        name = await deed()
        result.deeds[name] = result.deeds.get(name, 0) + 1
        print(f"{began:.1f}–{budget.elapsed_s:.1f} s: {name}", file=sys.stderr, flush=True)


async def _report(parties: Sequence[Party], result: Result, budget: "Budget") -> None:
    """Say every now and then how far it is."""
    while True:
        await asyncio.sleep(_REPORT_S)
        seen = sum(len(talk.customer_saw) + len(talk.agent_heard) for party in parties for talk in party.talks)
        deeds = sum(result.deeds.values())
        print(f"{budget.elapsed_s:.0f} s: {seen} messages judged, {deeds} faults of nodes", file=sys.stderr, flush=True)


class Budget:
    """What is left of a soak."""

    def __init__(self, messages: int, seconds: float) -> None:
        self._left = messages
        self._began = time.monotonic()
        self._seconds = seconds
        self.said = 0
        self._news = asyncio.Condition()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        """The time is used up."""
        return self.elapsed_s >= self._seconds

    async def note(self, messages: int) -> None:
        """So many more were said."""
        async with self._news:
            self.said += messages
            self._news.notify_all()

    async def reaches(self, messages: int) -> None:
        """Wait until so many were said."""
        async with self._news:
            await self._news.wait_for(lambda: self.said >= messages)

    def take(self, messages: int) -> int:
        """How many of the `messages` may still be said."""
        if self.over:
            return 0
        taken = min(messages, self._left)
        self._left -= taken
        return taken


def _count(talk: Talk, receipts: Receipts, result: Result) -> None:
    up = judge(talk.customer_said, talk.agent_heard, unconfirmed=receipts.unconfirmed)
    down = judge(talk.agent_said, talk.customer_saw, receipts.received, receipts.stored)
    result.talks += 1
    result.up.add(up)
    result.down.add(down)
    for name, count in (("up", up), ("down", down)):
        if not count.clean:
            result.problems.append(f"{talk.name} {name}: {asdict(count)}")
    if down.reordered:
        times = [(text, receipts.received.get(text), receipts.stored.get(text)) for text in talk.customer_saw]
        result.problems.append(f"{talk.name}: text, received, stored: {times}")


def _tracebacks(log: Path) -> list[str]:
    """Unexpected errors in the server's log: the last line of each traceback."""
    problems: list[str] = []
    inside, before = False, ""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        before, told = line, before
        if line.startswith("Traceback "):
            # The driver's pool shows how a connection broke whenever the database was taken away.
            inside = "asyncpg.pool" not in told
        elif inside and line and not line.startswith((" ", "\t")):
            if not line.startswith(_OF_THE_DATABASE):
                problems.append(f"log: {line[:200]}")
            inside = False
    return problems


def _where(plan: Plan) -> str:
    if plan.store == "sqlite":
        return "sqlite, one node"
    return f"postgres, {plan.nodes} nodes, {'NATS' if plan.nats else 'NOTIFY'}"


def show(plan: Plan, result: Result) -> None:
    """A table for people."""
    said = result.up.said + result.down.said
    print(
        f"{_where(plan)}, seed {plan.seed}: {said} messages in {result.talks} conversations, {plan.conversations} at "
        f"once, in {result.seconds:.0f} s; {sum(result.deeds.values())} faults of nodes, {result.broken} broken "
        f"connections, {sum(result.faults.values())} faults of the contact centre, {result.refused} handoffs refused "
        "and asked for again"
    )
    names = list(asdict(result.up))
    print("            " + "".join(f"{name:>11}" for name in names))
    for label, count in (("to agents", result.up), ("to customers", result.down)):
        print(f"{label:<12}" + "".join(f"{value:>11}" for value in asdict(count).values()))
    for fault, number in [*sorted(result.deeds.items()), *sorted(result.faults.items())]:
        print(f"  {number:>6} × {fault}")
    for problem in result.problems:
        print(f"! {problem}")
    print("passed" if result.passed else "FAILED", flush=True)


async def main(argv: Sequence[str]) -> int:
    """Parse, soak, print; returns the exit code."""
    usual = Plan()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="new conversations begin for so long")
    parser.add_argument(
        "--messages", type=int, default=usual.messages, help="or until so many, of both sides, are said"
    )
    parser.add_argument("--conversations", type=int, default=usual.conversations, help="at once")
    parser.add_argument("--nodes", type=int, default=usual.nodes, help="on PostgreSQL; on SQLite there is one")
    parser.add_argument("--bus", choices=("notify", "nats"), default="notify", help="between nodes")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default=usual.store)
    parser.add_argument("--seed", type=int, help="of an earlier run, to repeat it; a new one otherwise")
    parser.add_argument("--pause", type=float, default=20.0, help="seconds between what is said, on average")
    parser.add_argument("--ramp", type=float, default=60.0, help="seconds until all conversations have begun")
    parser.add_argument("--keep", type=Path, help="leave logs, and what was sent and received when, in this folder")
    parser.add_argument("--json", type=Path, help="write plan and result here")
    args = parser.parse_args(argv)
    plan = Plan(
        messages=args.messages,
        seconds=args.seconds,
        seed=random.randrange(1_000_000) if args.seed is None else args.seed,
        store=args.store,
        nodes=args.nodes,
        nats=args.bus == "nats",
        conversations=args.conversations,
        pause_s=(args.pause * 0.1, args.pause * 1.9),
        ramp_s=args.ramp,
        keep=args.keep,
    )
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        if any(args.keep.iterdir()):
            parser.error(f"{args.keep} is not empty: what an earlier run left would be judged, too")
    print(f"seed {plan.seed}", file=sys.stderr, flush=True)
    result = await soak(plan)
    show(plan, result)
    if args.json:
        told = json.dumps({"plan": asdict(plan), **asdict(result)}, indent=2, default=str)
        args.json.write_text(told + "\n", encoding="utf-8")
    return 0 if result.passed else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(uvloop.run(main(sys.argv[1:])))
