"""Measures what other conversations notice while functions misbehave: added latency of turns that run a function.

Conversations have turns at a steady rate; each turn runs a function that behaves. Rounds without and with attackers
take turns, so that the machine's drift meets both. An attacker is a conversation that runs one bad function again and
again: it loops forever, takes memory without end, ends the process (also behind the interpreter's back), forks, prints
megabytes, leaves a state that is too large or cannot be kept. A turn's time counts from the moment when it was due.

    python bench/misbehaving.py [--conversations N] [--rate N] [--seconds S] [--rounds N] [--limit-ms N] [--json FILE]
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
import uvloop

from relay import percentiles
from warmline.agent import engine_for
from warmline.agent.turn.engine import ProjectEngine
from warmline.agent.turn.limits import PoolSettings
from warmline.domain.turn import TurnInput, TurnKind, TurnOutcome

GOOD = 'conv.state.n = (conv.state.n or 0) + 1\n    return {"utterance": f"Number {conv.state.n}."}'
BAD = {
    "loop": "while True:\n        pass",
    "hog": "data = []\n    while True:\n        data.append(bytearray(20_000_000))",
    "exit": "import os\n    os._exit(3)",
    "crash": "import ctypes\n    ctypes.string_at(0)",
    "fork": "import os\n    while True:\n        os.fork()",
    "print": "for _ in range(1000):\n        print('x' * 10_000)",
    "unpicklable": "conv.state.bad = (n for n in [1])",
    "huge": "conv.state.big = 'x' * 5_000_000",
}
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured; times in milliseconds.

    `added_p95_ms` has, for each pair of rounds, by how much the 95th percentile rose. `attacks` counts the bad
    functions' runs, `contained` their rules.
    """

    conversations: int
    rate_per_s: float
    turns: int
    failed: int
    quiet_ms: dict[str, float]
    attacked_ms: dict[str, float]
    added_p95_ms: list[float]
    replaced_ms: dict[str, float]
    attacks: int
    contained: dict[str, int]


def write_project(root: Path) -> None:
    """Write a project with a topic "run NAME" for each function."""
    (root / "functions").mkdir(parents=True)
    (root / "topics").mkdir()
    (root / "project.yaml").write_text("project_id: bench\naccount_id: bench\nregion: euw-1\n", encoding="utf-8")
    for name, body in {"good": GOOD, **BAD}.items():
        (root / "functions" / f"do_{name}.py").write_text(
            f'from _gen import *\n\n\n@func_description("x")\ndef do_{name}(conv: Conversation):\n    {body}\n',
            encoding="utf-8",
        )
        (root / "topics" / f"run_{name}.yaml").write_text(
            f"name: run {name}\nactions: 'Call {{{{fn:do_{name}}}}}.'\nexample_queries: [please run do_{name} now]\n",
            encoding="utf-8",
        )


class Talk:
    """One conversation with the engine."""

    def __init__(self, engine: ProjectEngine, name: str) -> None:
        """Talk as session `name`."""
        self._engine = engine
        self._name = name
        self._memory = b""

    async def run(self, function: str) -> TurnOutcome:
        """Have a turn that runs `do_<function>`."""
        turn = TurnInput(
            turn_id="t",
            session_id=self._name,
            kind=TurnKind.MESSAGE,
            text=f"please run do_{function} now",
            memory=self._memory,
        )
        outcome = await self._engine.run(turn, _nothing)
        self._memory = outcome.memory
        return outcome


async def _nothing() -> None:
    """Nobody needs to know that functions begin."""


class Round:
    """A stretch of time in which everyone talks."""

    def __init__(self, engine: ProjectEngine) -> None:
        """Talk to `engine`."""
        self._engine = engine
        self.times: list[float] = []
        self.failed = 0

    async def converse(self, name: str, every_s: float, seconds: float) -> None:
        """Have a turn every `every_s` seconds, beginning at a moment of its own."""
        talk, began = Talk(self._engine, name), time.monotonic()
        due = began + random.random() * every_s
        while due < began + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            outcome = await talk.run("good")
            self.times.append(time.monotonic() - due)
            self.failed += not outcome.says
            due += every_s


async def attack(engine: ProjectEngine, kind: str, contained: Counter[str]) -> None:
    """Run a bad function again and again until cancelled."""
    while True:
        outcome = await Talk(engine, f"attacker-{kind}").run(kind)
        contained.update(f"{kind}: {finding.rule}" for finding in outcome.findings)
        await asyncio.sleep(_PAUSE_S)


async def replacements(engine: ProjectEngine, times: int = 20) -> list[float]:
    """Measure turns that find no idle worker, since the one before ended its own: they include a replacement."""
    taken: list[float] = []
    for _ in range(times):
        await asyncio.gather(*(Talk(engine, f"ender-{n}").run("crash") for n in range(2)))
        began = time.monotonic()
        await Talk(engine, "after").run("good")
        taken.append(time.monotonic() - began)
    return taken


async def measure(
    *, conversations: int, rate: float, seconds: float, rounds: int, settings: PoolSettings | None = None
) -> Row:
    """Measure in a fresh engine, with the default limits unless `settings` has others."""
    quiet: list[list[float]] = []
    attacked: list[list[float]] = []
    contained: Counter[str] = Counter()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder) / "project")
        engine = engine_for(Path(folder) / "project", settings=settings)
        await engine.start()
        try:
            replaced = await replacements(engine)
            for number in range(2 * rounds):
                bad = number % 2 == 1
                attackers = [asyncio.create_task(attack(engine, kind, contained)) for kind in BAD if bad]
                round_ = Round(engine)
                every_s = conversations / rate
                await asyncio.gather(*(round_.converse(f"s{n}", every_s, seconds) for n in range(conversations)))
                for task in attackers:
                    task.cancel()
                await asyncio.gather(*attackers, return_exceptions=True)
                (attacked if bad else quiet).append(round_.times)
                failed += round_.failed
        finally:
            await engine.close()
    before, during = (percentiles([t for times in parts for t in times]) for parts in (quiet, attacked))
    added = [percentiles(b)["p95"] - percentiles(a)["p95"] for a, b in zip(quiet, attacked, strict=True)]
    return Row(
        conversations=conversations,
        rate_per_s=rate,
        turns=sum(map(len, [*quiet, *attacked])),
        failed=failed,
        quiet_ms=before,
        attacked_ms=during,
        added_p95_ms=[round(ms, 2) for ms in added],
        replaced_ms=percentiles(replaced),
        attacks=sum(contained.values()),
        contained=dict(sorted(contained.items())),
    )


async def main(argv: Sequence[str]) -> int:
    """Parse, measure, print; returns 1 when a turn failed or the 95th percentile rose by more than the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conversations", type=int, default=50)
    parser.add_argument("--rate", type=float, default=50.0, help="turns per second in all")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=2, help="of each kind")
    parser.add_argument("--limit-ms", type=float, default=50.0, help="what the 95th percentile may rise by")
    parser.add_argument("--json", type=Path, help="write the row here")
    args = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    row = await measure(conversations=args.conversations, rate=args.rate, seconds=args.seconds, rounds=args.rounds)
    print(f"{row.turns} turns of {row.conversations} conversations at {row.rate_per_s:g}/s, {row.failed} failed")
    for name, ms in (("quiet", row.quiet_ms), ("attacked", row.attacked_ms), ("after a crash", row.replaced_ms)):
        print(f"{name}: p50 {ms['p50']} p95 {ms['p95']} p99 {ms['p99']} ms")
    print(f"added at p95, each pair of rounds: {row.added_p95_ms} ms; contained {row.attacks}: {row.contained}")
    if args.json:
        args.json.write_text(json.dumps(asdict(row), indent=2) + "\n", encoding="utf-8")
    return 1 if row.failed or statistics.median(row.added_p95_ms) > args.limit_ms else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
