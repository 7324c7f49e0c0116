"""How many durable changes a second the store takes, and how long one takes.

Each customer in turn posts a message (with a client reference) and gets the answer of a turn that settles its
outbox row: 4 rows written, 1 deleted, 1 updated for each of the two changes, roughly.

Usage: python bench/store.py [--url DATABASE_URL] [--seconds 2] [--concurrency 1 32 200] [--json FILE]
Without a URL: SQLite in a temporary directory.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from warmline.domain import commands as c
from warmline.domain.decide import decide
from warmline.domain.messages import Say
from warmline.domain.turn import TurnKind, TurnOutcome
from warmline.ports import Change, SessionInfo, Settlement, Store, TurnRecord
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds

INFO = SessionInfo(connector_id="bench", project_id="bench", subject="bench")
QUESTION = "Why is my bill higher than last month? " * 4
ANSWER = "Let us look at it together. " * 5


def change(session_id: str, command: c.Command, **more: object) -> Change:
    """A change that decides `command`."""
    return Change(session_id=session_id, at=command.at, decide=lambda s: decide(s, command), **more)  # type: ignore[arg-type]


async def begin(store: Store, session_id: str) -> None:
    """A session that the virtual agent has joined."""
    await store.transact(change(session_id, c.StartSession(at=1, channel="webchat.polyai"), create=INFO))
    await store.transact(change(session_id, c.RequestJoin(at=1)))


async def converse(store: Store, session_id: str, epochs: Mapping[int, int], until: float, took: list[float]) -> None:
    """Messages and answers until the time is up; `took` gets the seconds of each change."""
    while time.perf_counter() < until:
        message_id = f"{session_id}-{time.perf_counter_ns()}"
        posting = c.PostUserMessage(at=2, message_id=message_id, text=QUESTION)
        start = time.perf_counter()
        posted = await store.transact(change(session_id, posting, dedup_key=message_id))
        took.append(time.perf_counter() - start)
        row = posted.outbox[0]
        answering = c.ApplyTurn(
            at=3,
            kind=TurnKind.MESSAGE,
            outcome=TurnOutcome(says=(Say(text=ANSWER),)),
            message_ids=(f"a-{message_id}",),
            answers=posted.events[0].sequence,
        )
        settle = Settlement(row_id=row.id, partition=row.partition, epoch=epochs[row.partition])
        turn = TurnRecord(turn_id=message_id, memory=b"{}", record=b"{}")
        start = time.perf_counter()
        await store.transact(change(session_id, answering, settle=settle, turn=turn))
        took.append(time.perf_counter() - start)


async def measure(url: str, seconds: float, concurrency: list[int]) -> list[dict[str, object]]:
    """One row for each number of customers."""
    ids = SystemIds()
    store = open_store(url, ids, AesSecretBox(ids.secret()))
    await store.start()
    epochs = await store.claim(ids.uuid(), 600_000, 1)
    rows: list[dict[str, object]] = []
    for customers in concurrency:
        sessions = [ids.uuid() for _ in range(customers)]
        await asyncio.gather(*(begin(store, session_id) for session_id in sessions))
        took: list[float] = []
        start, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(converse(store, s, epochs, start + seconds, took) for s in sessions))
        elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
        took.sort()
        rows.append(
            {
                "store": url.partition(":")[0],
                "customers": customers,
                "changes_per_s": round(len(took) / elapsed),
                "p50_ms": round(took[len(took) // 2] * 1000, 2),
                "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
                "cpu_us_per_change": round(cpu / len(took) * 1e6),
            }
        )
    await store.close()
    return rows


def main() -> None:
    """Run it and print a table."""
    parser = argparse.ArgumentParser(description="Durable changes a second.")
    parser.add_argument("--url", default="")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 32, 200])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{folder}/bench.db"
        rows = asyncio.run(measure(url, options.seconds, options.concurrency))
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
