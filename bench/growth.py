"""Measures whether a message costs more when more conversations are stored.

Databases with the real schema are filled with conversations of 20 events each (`stored.py`); then the relay of
`bench/relay.py` runs on each of them in turn, as many rounds as asked for, so that all sizes see the same machine. A
server is started anew for each run: how long that takes is told, too.

    python bench/growth.py [--store sqlite|postgres] [--sessions N …] [--conversations N] [--seconds S] [--runs N]
                           [--folder PATH] [--json FILE]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from customers import drive
from relay import percentiles
from servers import WarmlineServer, postgres_database
from studio_fill import fill_postgres, fill_sqlite
from vendor import Legs, Vendor
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds
from warmline.testing.server import SECRET_KEY

Row = dict[str, object]
_PROJECT_ID = "growth"


async def filled(stack: AsyncExitStack, folder: Path, store: str, sessions: int) -> str:
    """The URL of a database with so many stored sessions, there for as long as `stack` is open."""
    folder.mkdir()
    url = f"sqlite:///{folder}/warmline.db"
    if store == "postgres":
        url = await stack.enter_async_context(postgres_database(folder))
    made = open_store(url, SystemIds(), AesSecretBox(SECRET_KEY))
    await made.start()
    await made.close()
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{sessions} sessions, {time.monotonic() - began:4.0f} s: {text}", file=sys.stderr, flush=True)

    if store == "postgres":
        await fill_postgres(url, sessions, _PROJECT_ID, tell)
    else:
        await fill_sqlite(folder / "warmline.db", sessions, _PROJECT_ID, tell)
    return url


async def run(folder: Path, url: str, vendor: Vendor, conversations: int, seconds: float) -> Row:
    """One measurement on a database."""
    legs = vendor.legs = Legs()
    server = WarmlineServer(folder, url)
    began = time.monotonic()
    async with server.against(vendor):
        ready_s = time.monotonic() - began
        tally = await drive(server.url, server.connector_token, legs, conversations, seconds, server.cpu_s)
        rss_mb = server.rss_mb()
    times = percentiles(tally.round_trips)
    wrong = tally.lost + tally.duplicated + tally.reordered
    return {"cpu_ms": tally.cpu_ms, "p50": times["p50"], "ready_s": ready_s, "rss_mb": rss_mb, "wrong": wrong}


async def measure(
    store: str, sizes: Sequence[int], conversations: int, seconds: float, runs: int, at: Path
) -> list[Row]:
    """A row for each size: medians over the runs."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-growth-", dir=at)))
        urls = {size: await filled(stack, folder / str(size), store, size) for size in sizes}
        # The same for all: each database remembers its contact centre's address.
        vendor = Vendor(Legs(), acknowledge=True)
        await vendor.start()
        stack.push_async_callback(vendor.stop)
        made: dict[int, list[Row]] = {size: [] for size in sizes}
        for _ in range(runs):
            for size, url in urls.items():
                made[size].append(await run(folder / str(size), url, vendor, conversations, seconds))
    rows: list[Row] = []
    for size, measured in made.items():
        names = ("cpu_ms", "p50", "ready_s", "rss_mb")
        medians = {name: round(statistics.median(float(str(row[name])) for row in measured), 2) for name in names}
        wrong = sum(int(str(row["wrong"])) for row in measured)
        rows.append({"store": store, "sessions": size, "conversations": conversations, **medians, "wrong": wrong})
    return rows


async def main(argv: Sequence[str]) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one run")
    parser.add_argument("--runs", type=int, default=5, help="of each size")
    parser.add_argument("--folder", type=Path, help="where the databases are made (a million sessions: some 15 GB)")
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args(argv)
    rows = await measure(args.store, args.sessions, args.conversations, args.seconds, args.runs, args.folder)
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row["wrong"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
