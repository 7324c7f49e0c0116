"""Counts the machine instructions of one round trip of the relay, which other load does not change.

The server under test runs under `valgrind --tool=callgrind` (the system's package `valgrind`), some fifty times slower;
it counts only while the customers talk. What the kernel does for it is not counted.

    python bench/instructions.py [--server warmline|bare|durable] [--store sqlite|postgres] [--conversations N]
                                 [--seconds S] [--profile FILE] [--database URL]

With --database, Warmline works on that database, which may be a full one (`studio.py --database`), and writes to it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from customers import drive
from servers import BareServer, WarmlineServer, postgres_database
from vendor import Legs, Vendor


def counted(server: BareServer | WarmlineServer, profile: Path) -> None:
    """Let `server` run under valgrind when it is started."""
    options = ("--tool=callgrind", "--instr-atstart=no", "--dump-instr=no", f"--callgrind-out-file={profile}")
    server.under = ("valgrind", "-q", *options)


async def measure(
    kind: str, store: str, conversations: int, seconds: float, profile: Path, database: str = ""
) -> tuple[int, int]:
    """Round trips, and instructions for all of them."""
    legs = Legs()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-bench-")))
        vendor = Vendor(legs, acknowledge=True)
        await vendor.start()
        stack.push_async_callback(vendor.stop)
        url = database or f"sqlite:///{folder}/warmline.db"
        if store == "postgres" and not database:
            url = await stack.enter_async_context(postgres_database(folder))
        server: BareServer | WarmlineServer
        if kind == "warmline":
            server = WarmlineServer(folder, url)
            counted(server, profile)
            await stack.enter_async_context(server.against(vendor))
            token = server.connector_token
        else:
            server = BareServer(vendor, folder if kind == "durable" else None)
            counted(server, profile)
            await stack.enter_async_context(server)
            token = "bench"
        switch = iter(("on", "off"))

        def count() -> float:
            subprocess.run(
                ["callgrind_control", "-i", next(switch), str(server.pid)], check=True, capture_output=True, timeout=60
            )
            return 0.0

        tally = await drive(server.url, token, legs, conversations, seconds, count)
    lines = profile.read_text(encoding="utf-8", errors="replace").splitlines()
    total = next(int(line.split()[1]) for line in lines if line.startswith("totals:"))
    return len(tally.round_trips), total


async def main(argv: Sequence[str]) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--server", choices=("warmline", "bare", "durable"), default="warmline")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--database", default="", help="URL of a database to work on")
    parser.add_argument("--profile", type=Path, help="keep what callgrind_annotate reads here")
    args = parser.parse_args(argv)
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed (apt-get install valgrind)")
    with tempfile.TemporaryDirectory() as folder:
        profile = args.profile or Path(folder) / "callgrind.out"
        trips, total = await measure(args.server, args.store, args.conversations, args.seconds, profile, args.database)
    print(
        f"{args.server} {args.store}: {total / trips / 1e6:.2f} million instructions, {trips} round trips", flush=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
