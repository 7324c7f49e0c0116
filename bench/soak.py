"""Soaks the relay: scripted customers and live agents talk while the contact centre misbehaves and the server dies.

The real server and the full emulator run in processes of their own. A judge knows every message that either side
sent, and counts what was lost, doubled, out of order or late. The same seed gives the same talk, faults and kills,
as far as real processes can repeat themselves.

    python bench/soak.py [--messages N] [--seconds S] [--seed N] [--store sqlite|postgres] [--conversations N]
                         [--json FILE]

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
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from chaos import Chaos
from judging import Count, judge
from receipts import received_ms
from servers import EmulatorProcess, WarmlineServer, postgres_database
from talking import Desk, Party, Talk

_REPORT_S = 30.0

RETRIES_MS = (250, 500, *[1000] * 60)

EMULATOR = {
    "createDelayMs": 50,
    "webhookRetriesMs": RETRIES_MS,
    "accessTokenTtlS": 20,
    "recordLimit": 1_000_000,
    "noiseEvents": True,
}


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a soak does. It ends when so many messages were said, or after so many seconds."""

    messages: int = 10_000
    seconds: float = 3600.0
    seed: int = 1
    store: str = "sqlite"
    conversations: int = 40
    kill_every_s: tuple[float, float] = (4.0, 12.0)
    talk: tuple[int, int] = (15, 45)
    """Fewest and most messages of one conversation."""


@dataclass(slots=True)
class Result:
    """What came of it. `up`: customer to live agent; `down`: back."""

    up: Count = field(default_factory=Count)
    down: Count = field(default_factory=Count)
    talks: int = 0
    seconds: float = 0.0
    kills: int = 0
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
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-soak-")))
        url = f"sqlite:///{folder}/warmline.db"
        if plan.store == "postgres":
            url = await stack.enter_async_context(postgres_database(folder))
        log = folder / "server.log"
        server = WarmlineServer(folder, url, log=log)
        emulator = EmulatorProcess(**EMULATOR, seed=plan.seed)
        await stack.enter_async_context(emulator.with_server(server))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(emulator.url, timeout=aiohttp.ClientTimeout(total=60))
        )
        chaos = Chaos(server, http, random.Random(f"{plan.seed}/chaos"), plan.kill_every_s)
        await _talk(plan, url, server, http, chaos, result)
        result.kills, result.faults = chaos.kills, dict(chaos.applied)
        result.problems += _tracebacks(log)
    return result


async def _talk(
    plan: Plan, url: str, server: WarmlineServer, http: aiohttp.ClientSession, chaos: Chaos, result: Result
) -> None:
    desk = Desk(http)
    budget = Budget(plan.messages, plan.seconds)
    parties = [
        Party(number, server, desk, budget, random.Random(f"{plan.seed}/{number}"), plan.talk)
        for number in range(plan.conversations)
    ]
    await chaos.begin()
    async with asyncio.TaskGroup() as group:
        nuisances = [
            group.create_task(work) for work in (chaos.faults(), chaos.kill(), _report(parties, chaos, budget))
        ]
        await asyncio.gather(*(group.create_task(party.run()) for party in parties))
        for nuisance in nuisances:
            nuisance.cancel()
    await chaos.end()
    result.seconds = budget.elapsed_s
    received = await received_ms(url, await desk.attempts())
    for party in parties:
        result.refused += party.refused
        result.problems += party.problems
        for talk in party.talks:
            _count(talk, received, result)


async def _report(parties: Sequence[Party], chaos: Chaos, budget: "Budget") -> None:
    """Say every now and then how far it is."""
    while True:
        await asyncio.sleep(_REPORT_S)
        seen = sum(len(talk.customer_saw) + len(talk.agent_heard) for party in parties for talk in party.talks)
        print(f"{budget.elapsed_s:.0f} s: {seen} messages judged, {chaos.kills} kills", file=sys.stderr, flush=True)


class Budget:
    """What is left of a soak."""

    def __init__(self, messages: int, seconds: float) -> None:
        self._left = messages
        self._began = time.monotonic()
        self._seconds = seconds

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def take(self, messages: int) -> int:
        """How many of the `messages` may still be said."""
        if self.elapsed_s >= self._seconds:
            return 0
        taken = min(messages, self._left)
        self._left -= taken
        return taken


def _count(talk: Talk, received: Mapping[str, float], result: Result) -> None:
    up = judge(talk.customer_said, talk.agent_heard)
    down = judge(talk.agent_said, talk.customer_saw, received)
    result.talks += 1
    result.up.add(up)
    result.down.add(down)
    for name, count in (("up", up), ("down", down)):
        if not count.clean:
            result.problems.append(f"{talk.name} {name}: {asdict(count)}")


def _tracebacks(log: Path) -> list[str]:
    """Unexpected errors in the server's log: the last line of each traceback."""
    problems: list[str] = []
    inside = False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("Traceback "):
            inside = True
        elif inside and line and not line.startswith((" ", "\t")):
            problems.append(f"log: {line[:200]}")
            inside = False
    return problems


def show(plan: Plan, result: Result) -> None:
    """A table for people."""
    said = result.up.said + result.down.said
    print(
        f"{plan.store}, seed {plan.seed}: {said} messages in {result.talks} conversations, {plan.conversations} at "
        f"once, in {result.seconds:.0f} s; {result.kills} times kill -9, {sum(result.faults.values())} faults, "
        f"{result.refused} handoffs refused and asked for again"
    )
    names = list(asdict(result.up))
    print("            " + "".join(f"{name:>11}" for name in names))
    for label, count in (("to agents", result.up), ("to customers", result.down)):
        print(f"{label:<12}" + "".join(f"{value:>11}" for value in asdict(count).values()))
    for fault, number in sorted(result.faults.items()):
        print(f"  {number:>6} × {fault}")
    for problem in result.problems:
        print(f"! {problem}")
    print("passed" if result.passed else "FAILED", flush=True)


async def main(argv: Sequence[str]) -> int:
    """Parse, soak, print; returns the exit code."""
    usual = Plan()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=usual.messages, help="end after so many, of both sides")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="or after so many seconds")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default=usual.store)
    parser.add_argument("--conversations", type=int, default=usual.conversations, help="at once")
    parser.add_argument("--json", type=Path, help="write plan and result here")
    args = parser.parse_args(argv)
    plan = Plan(
        messages=args.messages,
        seconds=args.seconds,
        seed=args.seed,
        store=args.store,
        conversations=args.conversations,
    )
    result = await soak(plan)
    show(plan, result)
    if args.json:
        args.json.write_text(json.dumps({"plan": asdict(plan), **asdict(result)}, indent=2) + "\n", encoding="utf-8")
    return 0 if result.passed else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(uvloop.run(main(sys.argv[1:])))
