"""Measures how soon webhooks are answered while the contact centre hangs: every message to it takes 30 seconds.

Live agents write at a steady rate, customers write too, and no request that carries a customer's message comes back
in time. The times are those that the contact centre sees, from sending a webhook to its whole answer.

    python bench/webhooks.py [--store sqlite|postgres] [--rate N] [--seconds S] [--hang S] [--conversations N]
                             [--limit-ms N] [--json FILE]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from customers import Customer, Tally
from relay import percentiles
from servers import WarmlineServer, postgres_database
from vendor import Legs, Vendor


class HangingVendor(Vendor):
    """A contact centre that takes `hang_s` seconds for every message of a customer; all else is as quick as ever."""

    def __init__(self, legs: Legs, hang_s: float) -> None:
        super().__init__(legs, acknowledge=True)
        self._hang_s = hang_s
        self.hanging = 0
        self.most_hanging = 0
        self.hangs = asyncio.Event()
        self._stopped = asyncio.Event()

    async def _append(self, request: web.Request) -> web.Response:
        self.hanging += 1
        self.most_hanging = max(self.most_hanging, self.hanging)
        self.hangs.set()
        try:
            async with asyncio.timeout(self._hang_s):
                await self._stopped.wait()
        except TimeoutError:
            pass
        finally:
            self.hanging -= 1
        return web.json_response({}, status=503)

    async def stop(self) -> None:
        """Hang no longer, then as ever."""
        self._stopped.set()
        await super().stop()

    async def write(self, rate_per_s: float, seconds: float) -> int:
        """Let the agents write, one after the other, at this rate whatever comes of it; returns how often."""
        tasks = list(self._tasks)
        began = time.perf_counter()
        count = int(rate_per_s * seconds)
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate_per_s - time.perf_counter()))
            self._later(self._write(tasks[number % len(tasks)], f"agent {number}"))
        await asyncio.gather(*self._pending)
        return count

    async def _write(self, task: str, text: str) -> None:
        message = {"aliasId": text, "text": text, "timestamp": 0}
        data = self._data(
            task,
            messageDirection="OUTBOUND",
            senderType="agent",
            senderId="bench-agent",
            channelParams={"type": "text", "message": message},
        )
        await self._post(self.asset, "task-message:appended", data)


@dataclass(slots=True, kw_only=True)
class Row:
    """What was measured. `shown` of the agents' messages reached their customers; `most_hanging` requests at once."""

    store: str
    rate_per_s: float
    seconds: float
    hang_s: float
    conversations: int
    webhooks: int
    refused: int
    shown: int
    most_hanging: int
    webhook_ms: dict[str, float]


async def measure(
    *, store: str = "sqlite", rate: float = 100.0, seconds: float = 20.0, hang_s: float = 30.0, conversations: int = 50
) -> Row:
    """Run it once."""
    legs, tally = Legs(), Tally()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-bench-")))
        url = f"sqlite:///{folder}/warmline.db"
        if store == "postgres":
            url = await stack.enter_async_context(postgres_database(folder))
        vendor = HangingVendor(legs, hang_s)
        await vendor.start()
        stack.push_async_callback(vendor.stop)
        server = await stack.enter_async_context(WarmlineServer(folder, url).against(vendor))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        customers = [Customer(number, server.url, http, legs, tally) for number in range(conversations)]
        await asyncio.gather(*(customer.connect(server.connector_token) for customer in customers))
        talking = [asyncio.create_task(customer.complain(every_s=1.0)) for customer in customers]
        try:
            async with asyncio.timeout(15):
                await vendor.hangs.wait()
            legs.webhook.clear()
            webhooks = await vendor.write(rate, seconds)
            # The last ones are shown when the window in which news are put in order has passed, or they never are.
            with suppress(TimeoutError):
                async with asyncio.timeout(hang_s):
                    while tally.shown < webhooks:  # noqa: ASYNC110  (what is waited for tells nobody)
                        await asyncio.sleep(0.1)
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
            # An orderly stop would wait for requests that hang.
            await server.kill()
    return Row(
        store=store,
        rate_per_s=rate,
        seconds=seconds,
        hang_s=hang_s,
        conversations=conversations,
        webhooks=webhooks,
        refused=legs.webhook_failures,
        shown=tally.shown,
        most_hanging=vendor.most_hanging,
        webhook_ms={**percentiles(legs.webhook), "max": round(max(legs.webhook, default=0.0) * 1000, 2)},
    )


async def main(argv: Sequence[str]) -> int:
    """Parse, measure, print; returns 1 when an answer was late, refused, or a message did not arrive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rate", type=float, default=100.0, help="webhooks per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--hang", type=float, default=30.0, help="seconds that every append takes")
    parser.add_argument("--conversations", type=int, default=50)
    parser.add_argument("--limit-ms", type=float, default=50.0, help="what the 99th percentile may take")
    parser.add_argument("--json", type=Path, help="write the row here")
    args = parser.parse_args(argv)
    row = await measure(
        store=args.store,
        rate=args.rate,
        seconds=args.seconds,
        hang_s=args.hang,
        conversations=args.conversations,
    )
    ms = row.webhook_ms
    print(
        f"{row.store}: {row.webhooks} webhooks at {row.rate_per_s:g}/s while every append hangs {row.hang_s:g} s "
        f"({row.most_hanging} at once): p50 {ms['p50']} p95 {ms['p95']} p99 {ms['p99']} max {ms['max']} ms, "
        f"{row.refused} refused, {row.shown} shown"
    )
    if args.json:
        args.json.write_text(json.dumps(asdict(row), indent=2) + "\n", encoding="utf-8")
    return 1 if row.refused or row.shown != row.webhooks or ms["p99"] > args.limit_ms else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
