"""How fast hints travel between nodes: one hop alone, and a stream of them. Prints a table; `--json FILE` writes it.

Two nodes in one process, on a PostgreSQL and on a NATS server that are started for this (from wheels).
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

import uvloop

from support.buses import Ground, Heard, NatsGround, PostgresGround
from support.nats import nats_server
from support.postgres import postgres_server
from warmline.ports import Ephemeral, Poke, Wake

_HOPS = 2000
_STREAM = 50_000
_BURST = 500


@asynccontextmanager
async def ground(kind: str) -> AsyncIterator[Ground]:
    """A server of that kind for two nodes."""
    if kind == "nats":
        with tempfile.TemporaryDirectory() as folder:
            async with nats_server(Path(folder)) as server:
                yield NatsGround(server)
        return
    with postgres_server() as server, server.database() as url:
        yield PostgresGround(server, url)


async def measure(kind: str) -> dict[str, Any]:
    """One row of the table: milliseconds of a hop, and signals a second heard, and dropped because nobody listens."""
    async with ground(kind) as meeting:
        here, there = meeting.bus(), meeting.bus()
        await here.start()
        await there.start()
        try:
            hops = sorted([await _hop(here, there, number) for number in range(_HOPS)])
            heard = await _stream(here, there, "session")
            dropped = await _stream(here, there, "of nobody")
        finally:
            await here.stop()
            await there.stop()
    return {
        "bus": kind,
        "hop_ms": {
            name: round(hops[int(len(hops) * part)], 3) for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        },
        "heard_per_s": round(heard),
        "dropped_per_s": round(dropped),
    }


async def _hop(here: Any, there: Any, number: int) -> float:
    arrived = asyncio.Event()
    stop = there.listen("session", lambda _: arrived.set())
    began = time.perf_counter()
    here.send(Poke(session_id="session", upto=number + 1))
    await arrived.wait()
    stop()
    return (time.perf_counter() - began) * 1000


async def _stream(here: Any, there: Any, session_id: str) -> float:
    """Signals a second in bursts of as many as many sessions give at once, up to the last one's arrival."""
    heard = Heard(there, ["session"])
    began = time.perf_counter()
    for number in range(_STREAM // _BURST):
        for place in range(_BURST):
            here.send(
                Ephemeral(session_id=session_id, kind="typing", payload={"started": True, "agent_id": str(place)})
            )
        here.send(Wake("end", (str(number),)))
        await heard.until(lambda number=number: Wake("end", (str(number),)) in heard.watched[-3:], "the burst arrived")
    return _STREAM / (time.perf_counter() - began)


async def run(kinds: list[str]) -> list[dict[str, Any]]:
    """All rows."""
    rows = []
    for kind in kinds:
        rows.append(await measure(kind))
        hop = rows[-1]["hop_ms"]
        print(
            f"{kind:10} hop {hop['p50']:.2f} / {hop['p95']:.2f} / {hop['p99']:.2f} ms (p50 / p95 / p99)   "
            f"heard {rows[-1]['heard_per_s']:,}/s   dropped {rows[-1]['dropped_per_s']:,}/s"
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bus", choices=["postgres", "nats"], action="append", help="only this one")
    parser.add_argument("--json", type=Path, help="write what is printed there")
    arguments = parser.parse_args()
    rows = uvloop.run(run(arguments.bus or ["postgres", "nats"]))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
