"""Measures how long customers wait when a node goes away: killed, frozen, or restarted in order.

Two nodes on one PostgreSQL, with leases as in production. A customer talks to a live agent; then a node is killed or
frozen, both write at that moment, and what counts is the time until each has what the other wrote. By chance that node
owned the conversation's work or did not; if it did, its lease must end first. For an orderly restart twenty customers
with a socket at the node come back to the other one; what counts is how long each was away.

    python bench/takeover.py [--runs N] [--lease S] [--json FILE]
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from servers import ROOT, postgres_database

sys.path.insert(0, str(ROOT / "tests"))

from support.desk import Desk
from support.installation import DISPUTE, RETRIES_MS, emulator
from support.nodes import cluster
from warmline.testing.messaging_client import MessagingClient

_CUSTOMERS = 20


@contextlib.asynccontextmanager
async def _database() -> AsyncIterator[tuple[str, Path]]:
    """A fresh database, and a folder for what is logged."""
    with tempfile.TemporaryDirectory(prefix="warmline-takeover-") as name:
        async with postgres_database(Path(name)) as url:
            yield url, Path(name)


async def _back(customer: MessagingClient, url: str) -> None:
    """Come back to another node as SDKs do."""
    customer.base_url = url
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            await customer.reconnect()
            return
        await asyncio.sleep(0.1)


async def gone(url: str, folder: Path, lease_s: float, *, killed: bool) -> float:
    """Seconds from when one of two nodes is killed, or frozen, until both sides have what was written then."""
    async with emulator(webhook_retries_ms=RETRIES_MS) as sim:
        async with cluster(url, sim, folder, lease_ttl_s=lease_s) as nodes, Desk(sim.url) as desk:
            await nodes.ready()
            await desk.ready()
            # Who is killed has the customer's socket; who is frozen only their work, since no client notices that.
            async with nodes.customer(0 if killed else 1, resend_s=2) as customer:
                await customer.start()
                await customer.expect("POLY_AGENT_MESSAGE")
                await customer.say_and_wait(DISPUTE)
                task_id = await desk.take()
                await customer.expect("LIVE_AGENT_JOINED")
                if killed:
                    await nodes.nodes[0].kill()
                else:
                    nodes.freeze(0)
                began = time.perf_counter()
                if killed:
                    await _back(customer, nodes.nodes[1].url)
                await customer.say("Are you there?")
                await desk.say(task_id, "I am here.")
                await customer.expect("LIVE_AGENT_MESSAGE", timeout=120)
                await desk.until_heard(task_id, ["Are you there?"], timeout=120)
                took = time.perf_counter() - began
                if not killed:
                    nodes.thaw(0)
                return took


async def restarted(url: str, folder: Path, lease_s: float) -> list[float]:
    """Seconds that each customer was without a socket when their node was stopped in order."""
    async with emulator(webhook_retries_ms=RETRIES_MS) as sim, AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(cluster(url, sim, folder, lease_ttl_s=lease_s))
        await nodes.ready()
        customers = [await stack.enter_async_context(nodes.customer(0, resend_s=2)) for _ in range(_CUSTOMERS)]
        await asyncio.gather(*(customer.start() for customer in customers))
        await asyncio.gather(*(customer.expect("POLY_AGENT_MESSAGE") for customer in customers))

        async def away(customer: MessagingClient) -> float:
            await customer.expect_close(timeout=120)
            left = time.perf_counter()
            await _back(customer, nodes.nodes[1].url)
            return time.perf_counter() - left

        _, *found = await asyncio.gather(nodes.nodes[0].stop(), *map(away, customers))
        return found


async def measure(runs: int, lease_s: float) -> dict[str, list[float]]:
    """Seconds of each run."""
    found: dict[str, list[float]] = {"killed": [], "frozen": [], "restarted": []}
    for _ in range(runs):
        async with _database() as (url, folder):
            found["killed"].append(await gone(url, folder, lease_s, killed=True))
        async with _database() as (url, folder):
            found["frozen"].append(await gone(url, folder, lease_s, killed=False))
        async with _database() as (url, folder):
            found["restarted"] += await restarted(url, folder, lease_s)
    return found


async def main(argv: Sequence[str]) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--lease", type=float, default=5.0, help="seconds")
    parser.add_argument("--json", type=Path, help="write the seconds here")
    args = parser.parse_args(argv)
    found = await measure(args.runs, args.lease)
    for fault, times in found.items():
        print(f"{fault:<10} median {statistics.median(times):.2f} s, longest {max(times):.2f} s, {len(times)} times")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
