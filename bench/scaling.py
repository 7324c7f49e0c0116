"""How far an installation goes: a queueing simulation of the relay, checked against what was measured.

    python bench/scaling.py [--json FILE]

One node is a processor that serves round trips one after the other, and a delay in which it waits for nobody: the hold
for order, the disk, the network. Closed: so many conversations, each with one round trip under way, as in
`bench/relay.py`. Open: round trips come at random, as from people. Figures: docs/performance.md; what follows from it:
docs/scaling.md.
"""

import argparse
import json
import random
from collections import deque
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from pathlib import Path

MEASURED = {1: (80, 12.0), 8: (367, 22.0), 32: (458, 68.0), 256: (589, 426.0)}
"""docs/performance.md, the relay on SQLite: conversations -> (round trips a second, median in milliseconds)."""
DELAY_MS = 7.0
"""What one round trip took beyond the processor when nothing else was under way: 12.5 ms less 5.5."""
SLICES = 4
"""Message in, call out, webhook in, webhook processed and shown: each is a turn in the processor's queue."""

TARGET_P95_MS = 60.0
USED = 0.6
"""Of what a node can do: the rest is for bursts, and for what a neighbour leaves behind."""
HINTS_PER_ROUND_TRIP = 3
HINTS_DROPPED_PER_S = 104_000
"""Of sessions that have no socket here, docs/performance.md, the bus."""
ROWS_PER_ROUND_TRIP = 9
"""Three events, one effect and its settlement, two webhooks and what became of them, one snapshot (merged)."""
ROWS_PER_S = 84_000
"""Group commit on PostgreSQL on 2 cores (design.md §9)."""
SHARE_OF_POSTGRES = 0.3
"""Of those rows a second we count on: updates and indices cost more than the plain inserts that were measured."""
SECONDS_BETWEEN_MESSAGES = 20.0
"""Of one customer who talks to a live agent: a round trip each."""
EVENT_BYTES = 640
"""13 GB for 20.4 million events, everything that belongs to them included (docs/performance.md, the Studio)."""


def processor_ms(conversations: float) -> float:
    """Processor time of one round trip: what is shared in a group commit and a wake-up is paid by fewer."""
    return 1.7 + 3.8 / conversations**0.75


@dataclass(frozen=True, slots=True)
class Point:
    """A result of a simulation."""

    conversations: int
    per_s: float
    p50_ms: float
    p95_ms: float


def closed(conversations: int, *, seconds: float = 20.0, seed: int = 1) -> Point:
    """So many conversations, each of which begins its next round trip when it has the answer."""
    node = _Node(random.Random(seed))
    for _ in range(conversations):
        node.arrive(0.0)
    times = node.run(seconds * 1000, again=True)
    return _point(conversations, times, seconds)


def open_load(per_s: float, *, seconds: float = 60.0, seed: int = 1) -> Point:
    """Round trips that come at random."""
    chance = random.Random(seed)
    node = _Node(chance)
    at = 0.0
    while (at := at + chance.expovariate(per_s) * 1000) < seconds * 1000:
        node.arrive(at)
    times = node.run(seconds * 1000, again=False)
    return _point(round(per_s * SECONDS_BETWEEN_MESSAGES), times, seconds)


class _Node:
    """One processor with a queue, and delays that queue nowhere. The more is under way, the less each costs."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._under_way = 0
        self._events: list[tuple[float, int, str, tuple[float, int]]] = []
        self._queue: deque[tuple[float, int]] = deque()
        self._busy = False
        self._number = 0

    def arrive(self, at: float) -> None:
        """A round trip begins."""
        self._at(at, "ready", (at, SLICES))

    def run(self, until: float, *, again: bool) -> list[float]:
        """Let it work; gives how long each round trip took that ended, the first tenth left out."""
        times: list[float] = []
        while self._events and self._events[0][0] < until:
            now, _, what, (began, left) = heappop(self._events)
            if what == "served":
                self._busy = False
                if left > 1:
                    self._at(now + DELAY_MS / (SLICES - 1), "ready", (began, left - 1))
                else:
                    if now > until / 10:
                        times.append(now - began)
                    self._under_way -= 1
                    if again:
                        self.arrive(now)
            else:
                self._under_way += left == SLICES
                self._queue.append((began, left))
            if self._queue and not self._busy:
                self._busy = True
                # Between regular and random: an Erlang distribution of four phases.
                service = self._chance.gammavariate(4, processor_ms(max(1, self._under_way)) / SLICES / 4)
                self._at(now + service, "served", self._queue.popleft())
        return times

    def _at(self, at: float, what: str, trip: tuple[float, int]) -> None:
        self._number += 1
        heappush(self._events, (at, self._number, what, trip))


def _point(conversations: int, times: list[float], seconds: float) -> Point:
    ordered = sorted(times)
    return Point(
        conversations=conversations,
        per_s=round(len(times) / (seconds * 0.9), 1),
        p50_ms=round(ordered[len(ordered) // 2], 1),
        p95_ms=round(ordered[int(len(ordered) * 0.95)], 1),
    )


@dataclass(frozen=True, slots=True)
class Size:
    """What an installation of one PostgreSQL needs for a load."""

    times: int
    conversations: int
    round_trips_per_s: float
    nodes: int
    rows_per_s: float
    databases: int
    hints_per_s: float
    hints_share_of_a_node: float
    """Of its processor, when every node hears every hint."""
    gigabytes_a_day: float


def most_within(p95_ms: float) -> float:
    """The round trips a second at which the 95th percentile of one node is still that."""
    low, high = 10.0, 600.0
    while high - low > 5:
        middle = (low + high) / 2
        low, high = (middle, high) if open_load(middle).p95_ms <= p95_ms else (low, middle)
    return low


def size(times: int, one_node: float) -> Size:
    """For a load so many times that of one node."""
    per_s = one_node * times
    rows = per_s * ROWS_PER_ROUND_TRIP
    hints = per_s * HINTS_PER_ROUND_TRIP
    databases = max(1, -(-rows // (ROWS_PER_S * SHARE_OF_POSTGRES)))
    share = hints / HINTS_DROPPED_PER_S
    events_a_day = per_s * HINTS_PER_ROUND_TRIP * 8 * 3600
    return Size(
        times=times,
        conversations=round(per_s * SECONDS_BETWEEN_MESSAGES),
        round_trips_per_s=round(per_s),
        nodes=round(times / max(0.05, 1 - share)) if share < 1 else 0,
        rows_per_s=round(rows),
        databases=int(databases),
        hints_per_s=round(hints),
        hints_share_of_a_node=round(share, 2),
        gigabytes_a_day=round(events_a_day * EVENT_BYTES / 1e9, 1),
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print("One node, closed: simulated against measured")
    checks = []
    for conversations, (per_s, p50_ms) in MEASURED.items():
        found = closed(conversations)
        checks.append({**asdict(found), "measured_per_s": per_s, "measured_p50_ms": p50_ms})
        print(
            f"  {conversations:4} conversations: {found.per_s:6.0f}/s ({per_s}), p50 {found.p50_ms:6.1f} ms ({p50_ms})"
        )
    print("One node, open")
    loads = [open_load(per_s) for per_s in (50, 100, 200, 300, 400, 450, 500)]
    for point in loads:
        print(
            f"  {point.per_s:6.0f}/s, {point.conversations:6} live: p50 {point.p50_ms:6.1f}, p95 {point.p95_ms:7.1f} ms"
        )
    most = most_within(TARGET_P95_MS)
    print(f"One node within {TARGET_P95_MS:.0f} ms at the 95th percentile: {most:.0f}/s; {USED:.0%} of it:")
    sizes = [size(times, USED * most) for times in (1, 10, 100, 10_000)]
    for row in sizes:
        print(" ", row)
    if arguments.json:
        found = {"closed": checks, "open": [asdict(p) for p in loads], "one_node_per_s": most}
        arguments.json.write_text(json.dumps({**found, "sizes": [asdict(row) for row in sizes]}, indent=1))


if __name__ == "__main__":
    main()
