"""Idle sockets in one process: what each costs in memory, and what the relay does beside them.

Other processes hold the sockets, each with a session of its own and a heartbeat every 30 s. The relay beside them is
that of `bench/relay.py` at a fixed rate.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from customers import drive
from relay import percentiles
from servers import ROOT, Process, WarmlineServer
from vendor import Legs, Vendor

_HOLDERS = 4
_SETTLE_S = 5.0
_SETTLED_WITHIN_S = 60
_QUIET = 0.15
"""Of a core: heartbeats and pings of 10,000 sockets need less."""


class Holder(Process):
    """A process that holds idle sockets."""

    async def hold(self, server: WarmlineServer, sockets: int, number: int, heartbeat_s: float) -> None:
        """Open them from a source address of its own."""
        order = {
            "url": server.url,
            "token": server.connector_token,
            "sockets": sockets,
            "heartbeat_s": heartbeat_s,
            "source": f"127.0.0.{number + 2}",
        }
        await self.launch(str(ROOT / "bench" / "idle.py"), given=order, within_s=600)

    async def still_open(self) -> int:
        """How many were not lost."""
        return int((await self.ask({}))["open"])


async def settled(server: WarmlineServer) -> int:
    """Wait until the lists of conversations have caught up with those that began; returns after how many seconds."""
    for second in range(1, _SETTLED_WITHIN_S):
        cpu = server.cpu_s()
        await asyncio.sleep(1)
        if server.cpu_s() - cpu < _QUIET:
            return second
    return _SETTLED_WITHIN_S


async def measure(sockets: int, rate: float, seconds: float, heartbeat_s: float) -> dict[str, object]:
    """Open so many, measure, and measure the relay at `rate` round trips a second without and with them."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        legs = Legs()
        server = WarmlineServer(folder, f"sqlite:///{folder}/warmline.db", log=folder / "server.log")
        vendor = Vendor(legs, acknowledge=True)
        await vendor.start()
        stack.push_async_callback(vendor.stop)
        await stack.enter_async_context(server.against(vendor))
        customers = max(1, round(rate / 2))
        alone = await drive(server.url, server.connector_token, legs, customers, seconds, every_s=customers / rate)
        await asyncio.sleep(_SETTLE_S)
        before = server.rss_mb()
        holders = [Holder() for _ in range(_HOLDERS)]
        for holder in holders:
            stack.push_async_callback(holder.end)
        await asyncio.gather(
            *(h.hold(server, sockets // _HOLDERS, number, heartbeat_s) for number, h in enumerate(holders))
        )
        settled_s = await settled(server)
        after = server.rss_mb()
        cpu = server.cpu_s()
        await asyncio.sleep(_SETTLE_S)
        idle_cpu = (server.cpu_s() - cpu) / _SETTLE_S
        beside = await drive(server.url, server.connector_token, legs, customers, seconds, every_s=customers / rate)
        held = sum([await holder.still_open() for holder in holders])
    return {
        "sockets": sockets,
        "still_open": held,
        "rss_before_mb": before,
        "rss_after_mb": after,
        "kb_per_socket": round((after - before) * 1000 / sockets, 1),
        "settled_s": settled_s,
        "idle_cpu_share": round(idle_cpu, 3),
        "rate_per_s": rate,
        "alone_ms": percentiles(alone.round_trips),
        "beside_ms": percentiles(beside.round_trips),
        "lost": alone.lost + beside.lost,
        "duplicated": alone.duplicated + beside.duplicated,
        "reordered": alone.reordered + beside.reordered,
    }


async def main(argv: Sequence[str]) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=50.0, help="round trips a second of the relay beside them")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time of the relay")
    parser.add_argument("--heartbeat", type=float, default=30.0, help="seconds between a socket's heartbeats")
    parser.add_argument("--json", type=Path, help="write the row here")
    args = parser.parse_args(argv)
    row = await measure(args.sockets, args.rate, args.seconds, args.heartbeat)
    for name, value in row.items():
        print(f"{name:>16}  {value}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    return 1 if row["lost"] or row["duplicated"] or row["reordered"] or row["still_open"] != args.sockets else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
