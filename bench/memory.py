"""Measures whether a server's memory stays flat while conversations come and go.

Customers begin a session, are handed over, have so many round trips with a live agent, and end it, as fast as the
machine can; then the next ones come. The memory that a process needs for what it keeps on purpose (the sessions used
last, the database's page cache) is reached after some thousands of conversations; growing on after that is a leak.

    python bench/memory.py [--store sqlite|postgres] [--minutes M] [--conversations N] [--json FILE]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import uvloop

from customers import Customer, Tally
from servers import WarmlineServer, postgres_database
from vendor import Legs, Vendor

_ROUND_TRIPS_S = 1.0
"""So long each conversation goes on."""
_SAMPLES = 30

Sample = dict[str, float]


class Visitors:
    """One customer after the other, on so many places at once."""

    def __init__(self, server: WarmlineServer, legs: Legs, http: aiohttp.ClientSession) -> None:
        self.tally = Tally()
        self.ended = 0
        self._server = server
        self._legs = legs
        self._http = http

    async def come(self, until: float) -> None:
        """Have conversations until then (perf_counter)."""
        while time.perf_counter() < until:
            self.ended += 1
            customer = Customer(self.ended, self._server.url, self._http, self._legs, self.tally)
            await customer.connect(self._server.connector_token)
            await customer.talk(time.perf_counter() + _ROUND_TRIPS_S)
            await customer.close()
            for measured in (self.tally.down, self._legs.up, self._legs.webhook):
                measured.clear()


async def measure(store: str, minutes: float, conversations: int) -> list[Sample]:
    """The server's memory over the time."""
    legs, samples = Legs(), []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-memory-")))
        url = f"sqlite:///{folder}/warmline.db"
        if store == "postgres":
            url = await stack.enter_async_context(postgres_database(folder))
        server, vendor = WarmlineServer(folder, url), Vendor(legs, acknowledge=True)
        await vendor.start()
        stack.push_async_callback(vendor.stop)
        await stack.enter_async_context(server.against(vendor))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        visitors = Visitors(server, legs, http)
        began = time.perf_counter()
        until = began + minutes * 60
        async with asyncio.TaskGroup() as group:
            for _ in range(conversations):
                group.create_task(visitors.come(until))
            for number in range(1, _SAMPLES + 1):
                await asyncio.sleep(began + minutes * 60 * number / _SAMPLES - time.perf_counter())
                sample = {
                    "minute": round((time.perf_counter() - began) / 60, 2),
                    "conversations": visitors.ended,
                    "round_trips": len(visitors.tally.round_trips),
                    "rss_mb": server.rss_mb(),
                }
                samples.append(sample)
                print("  ".join(f"{name} {value}" for name, value in sample.items()), flush=True)
        if visitors.tally.lost or visitors.tally.duplicated or visitors.tally.reordered:
            raise RuntimeError(f"messages were lost, doubled or out of order: {visitors.tally}")
    return samples


def growth(samples: Sequence[Sample]) -> float:
    """By how many kilobytes the memory grew for each conversation in the second half."""
    half, last = samples[len(samples) // 2], samples[-1]
    return (last["rss_mb"] - half["rss_mb"]) * 1000 / max(1.0, last["conversations"] - half["conversations"])


async def main(argv: Sequence[str]) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--conversations", type=int, default=32, help="at once")
    parser.add_argument("--json", type=Path, help="write the samples here")
    args = parser.parse_args(argv)
    samples = await measure(args.store, args.minutes, args.conversations)
    print(f"second half: {growth(samples):.2f} kB for each conversation")
    if args.json:
        args.json.write_text(json.dumps(samples, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
