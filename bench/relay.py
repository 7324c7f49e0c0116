"""Measures the relay: customer socket → contact centre's API → signed webhook → customer socket.

Prints, per store and number of conversations, round trips per second beside those of the bare relay
(`bench/bare.py`) and of the least durable one (`bench/durable.py`), both measured right before and after in the same
run, and the times of each leg. The server under test and these relays run in processes of their own; customers and the
fake vendor share another one.

With several nodes, which share one PostgreSQL, customers take turns and each webhook goes to any node.

    python bench/relay.py [--store sqlite|postgres] [--nodes N] [--conversations N …] [--seconds S] [--emulator]
                          [--runs N] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from customers import Tally, drive
from servers import BareServer, EmulatorProcess, WarmlineServer, postgres_database
from vendor import Legs, Vendor

_SHARED_WITHIN_S = 4.0


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    if not seconds:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    ordered = sorted(seconds)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
        for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
    }


async def measure_bare(conversations: int, seconds: float, *, durable: bool = False) -> Tally:
    """The bare relay, or the durable one."""
    legs = Legs()
    vendor = Vendor(legs, acknowledge=True)
    await vendor.start()
    try:
        with tempfile.TemporaryDirectory(prefix="warmline-bench-") as folder:
            async with BareServer(vendor, Path(folder) if durable else None) as server:
                return await drive(server.url, "bench", legs, conversations, seconds, server.cpu_s)
    finally:
        await vendor.stop()


async def measure_yardsticks(conversations: int, seconds: float) -> tuple[Tally, Tally]:
    """The bare relay and the durable one."""
    bare = await measure_bare(conversations, seconds)
    return bare, await measure_bare(conversations, seconds, durable=True)


async def measure_warmline(
    store: str, nodes: int, conversations: int, seconds: float, *, emulator: bool
) -> dict[str, object]:
    """One row without the comparison."""
    legs = Legs()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-bench-")))
        url = f"sqlite:///{folder}/warmline.db"
        if store == "postgres":
            url = await stack.enter_async_context(postgres_database(folder))
        servers = [WarmlineServer(folder, url) for _ in range(nodes)]
        if emulator:
            await stack.enter_async_context(EmulatorProcess(echoReplies=True).with_server(servers[0]))
        else:
            vendor = Vendor(legs, acknowledge=True)
            await vendor.start()
            stack.push_async_callback(vendor.stop)
            for server in servers:
                await stack.enter_async_context(server.against(vendor))
            if nodes > 1:
                vendor.doors = [server.url for server in servers]
                # The first one gives a share of its partitions to the others.
                await asyncio.sleep(_SHARED_WITHIN_S)
        first, *others = servers
        doors = [server.url for server in others]

        def cpu_s() -> float:
            return sum(server.cpu_s() for server in servers)

        tally = await drive(first.url, first.connector_token, legs, conversations, seconds, cpu_s, others=doors)
        rss = sum(server.rss_mb() for server in servers)
    row = _row(store, conversations, tally, legs, rss, "emulator" if emulator else "vendor")
    return {**row, "nodes": nodes}


def _row(store: str, conversations: int, tally: Tally, legs: Legs, rss_mb: float, against: str) -> dict[str, object]:
    return {
        "store": store,
        "conversations": conversations,
        "against": against,
        "round_trips": len(tally.round_trips),
        "round_trips_per_s": round(tally.per_s, 1),
        "cpu_ms": tally.cpu_ms,
        "rt_ms": percentiles(tally.round_trips),
        "up_ms": percentiles(legs.up),
        "down_ms": percentiles(tally.down),
        "webhook_ms": percentiles(legs.webhook),
        "rss_mb": rss_mb,
        "lost": tally.lost,
        "duplicated": tally.duplicated,
        "reordered": tally.reordered,
    }


async def measure(
    store: str, nodes: int, conversations: int, seconds: float, runs: int, *, emulator: bool
) -> dict[str, object]:
    """The median row of `runs`, each between two measurements of the bare relay."""
    rows: list[dict[str, object]] = []
    for _ in range(runs):
        before = await measure_yardsticks(conversations, seconds / 2)
        row = await measure_warmline(store, nodes, conversations, seconds, emulator=emulator)
        after = await measure_yardsticks(conversations, seconds / 2)
        for name, *tallies in zip(("bare", "durable"), before, after, strict=True):
            row[f"{name}_per_s"] = round(statistics.mean(tally.per_s for tally in tallies), 1)
            row[f"{name}_cpu_ms"] = round(statistics.mean(tally.cpu_ms for tally in tallies), 3)
        per_s = float(str(row["round_trips_per_s"]))
        row["ratio"] = round(per_s / float(str(row["bare_per_s"])), 3)
        row["ratio_of_durable"] = round(per_s / float(str(row["durable_per_s"])), 3)
        rows.append(row)
    rows.sort(key=lambda r: float(str(r["ratio"])))
    return rows[len(rows) // 2]


def show(row: dict[str, object]) -> None:
    """One line for people."""
    rt, up, down, hook = (row[key] for key in ("rt_ms", "up_ms", "down_ms", "webhook_ms"))
    assert isinstance(rt, dict)
    assert isinstance(up, dict)
    assert isinstance(down, dict)
    assert isinstance(hook, dict)
    print(
        f"{row['store']:>8} {row['against']:>8} {row['nodes']} nodes {row['conversations']:>5} "
        f"{row['round_trips_per_s']:>8}/s  bare {row['bare_per_s']:>8}/s  ratio {row['ratio']:<6} "
        f"durable {row['durable_per_s']:>8}/s  ratio {row['ratio_of_durable']:<6} "
        f"cpu {row['cpu_ms']} ms, bare {row['bare_cpu_ms']}, durable {row['durable_cpu_ms']}  "
        f"rt p50 {rt['p50']:>6} p95 {rt['p95']:>6} p99 {rt['p99']:>6} ms  "
        f"up p95 {up['p95']:>6}  down p95 {down['p95']:>6}  webhook p99 {hook['p99']:>6}  "
        f"rss {row['rss_mb']} MB  lost {row['lost']} dup {row['duplicated']} reord {row['reordered']}",
        flush=True,
    )


async def main(argv: Sequence[str]) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument(
        "--nodes", type=int, choices=(1, 2, 3), default=1, help="processes of the server on one database"
    )
    parser.add_argument("--conversations", type=int, nargs="+", default=[1, 8, 32, 256])
    parser.add_argument("--seconds", type=float, default=6.0, help="measured time per row")
    parser.add_argument("--runs", type=int, default=3, help="the median of so many runs is shown")
    parser.add_argument("--emulator", action="store_true", help="only the row against the full emulator")
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args(argv)
    if args.nodes > 1 and (args.store != "postgres" or args.emulator):
        parser.error("several nodes need --store postgres, and are not measured against the emulator")
    print(f"{os.cpu_count()} cores, {args.seconds:g} s per row, median of {args.runs}", flush=True)
    rows = []
    plan = [] if args.emulator else [(n, False) for n in args.conversations]
    if args.nodes == 1:
        plan.append((32, True))
    for conversations, emulator in plan:
        row = await measure(args.store, args.nodes, conversations, args.seconds, args.runs, emulator=emulator)
        rows.append(row)
        show(row)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row["lost"] or row["duplicated"] or row["reordered"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
