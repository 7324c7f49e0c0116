"""Times echoes: how long a customer's message takes until the customer sees it as accepted.

Every session is active: it has a socket, writes a message about every two seconds, and the virtual agent answers each.
The server runs in a process of its own; the customers share another one.

    python bench/echoes.py [--sessions N] [--every S] [--seconds S] [--runs N] [--store sqlite|postgres] [--json FILE]
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import uvloop

from relay import percentiles
from servers import WarmlineServer, postgres_database
from vendor import Legs, Vendor

_AT_ONCE = 16
_LAST_S = 10.0
"""How long the last echoes and answers are waited for."""


@dataclass(slots=True)
class Writer:
    """A customer who writes, and notes when what they wrote comes back. Times in seconds."""

    number: int
    socket: aiohttp.ClientWebSocketResponse
    sent: dict[str, float] = field(default_factory=dict)
    echoes: list[float] = field(default_factory=list)
    answers: int = 0

    async def write(self, deadline: float, every_s: float, chance: random.Random) -> None:
        """Write every so often, a little unevenly as people do, until `deadline` (perf_counter)."""
        await asyncio.sleep(chance.uniform(0, every_s))
        while time.perf_counter() < deadline:
            text = f"Is my parcel {self.number}-{len(self.echoes) + len(self.sent)} on its way?"
            frame = {"type": "EVENT_TYPE_USER_MESSAGE", "payload": {"text": text}}
            self.sent[text] = time.perf_counter()
            await self.socket.send_str(json.dumps(frame))
            await asyncio.sleep(every_s * chance.uniform(0.75, 1.25))

    async def read(self) -> None:
        """Until the socket closes."""
        async for frame in self.socket:
            now = time.perf_counter()
            event = json.loads(frame.data)
            if event["type"] == "EVENT_TYPE_USER_MESSAGE":
                self.echoes.append(now - self.sent.pop(event["payload"]["text"]))
            elif event["type"] == "EVENT_TYPE_POLY_AGENT_MESSAGE":
                self.answers += 1


async def _open(http: aiohttp.ClientSession, server: WarmlineServer, number: int) -> Writer:
    headers = {"X-Token": server.connector_token, "X-Host": "localhost"}
    async with http.post(f"{server.url}/api/v1/access-token", json={}, headers=headers) as answer:
        token = (await answer.json())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post(f"{server.url}/api/v1/sessions", json={}, headers=headers) as answer:
        session = (await answer.json())["session_id"]
    url = f"{server.url}/ws?access_token={token}&session_id={session}"
    socket = await http.ws_connect(url, max_msg_size=1 << 20, compress=0)
    await socket.receive()  # the batch
    await socket.send_str(json.dumps({"type": "EVENT_TYPE_REQUEST_POLY_AGENT_JOIN", "payload": {}}))
    async for frame in socket:
        if json.loads(frame.data)["type"] == "EVENT_TYPE_POLY_AGENT_MESSAGE":  # the greeting
            return Writer(number, socket)
    raise ConnectionError("the server closed the socket")


async def run(server: WarmlineServer, sessions: int, every_s: float, seconds: float) -> dict[str, object]:
    """One run with new sessions."""
    chance = random.Random(sessions)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        writers: list[Writer] = []
        for first in range(0, sessions, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, sessions))
            writers += await asyncio.gather(*(_open(http, server, number) for number in numbers))
        readers = [asyncio.create_task(writer.read()) for writer in writers]
        began, cpu = time.perf_counter(), server.cpu_s()
        await asyncio.gather(*(writer.write(began + seconds, every_s, chance) for writer in writers))
        used = (server.cpu_s() - cpu) / (time.perf_counter() - began)
        last = time.perf_counter() + _LAST_S
        while time.perf_counter() < last:
            if not any(writer.sent or writer.answers < len(writer.echoes) for writer in writers):
                break
            await asyncio.sleep(0.05)
        for writer in writers:
            await writer.socket.close()
        await asyncio.gather(*readers)
    echoes = [echo for writer in writers for echo in writer.echoes]
    return {
        "sessions": sessions,
        "messages": len(echoes),
        "per_s": round(len(echoes) / seconds, 1),
        "lost": sum(len(writer.sent) for writer in writers),
        "answers": sum(writer.answers for writer in writers),
        "echo_ms": percentiles(echoes) | {"max": round(max(echoes) * 1000, 2)},
        "server_cpu_share": round(used, 2),
    }


async def measure(store: str, sessions: int, every_s: float, seconds: float, runs: int) -> list[dict[str, object]]:
    """So many runs against one server."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-bench-")))
        url = f"sqlite:///{folder}/warmline.db"
        if store == "postgres":
            url = await stack.enter_async_context(postgres_database(folder))
        vendor = Vendor(Legs(), acknowledge=True)
        await vendor.start()
        stack.push_async_callback(vendor.stop)
        server = WarmlineServer(folder, url, log=folder / "server.log")
        await stack.enter_async_context(server.against(vendor))
        return [await run(server, sessions, every_s, seconds) for _ in range(runs)]


async def main(argv: Sequence[str]) -> int:
    """Parse, measure, print; returns the exit code: 1 when an echo was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two messages of a session")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time of a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args(argv)
    rows = await measure(args.store, args.sessions, args.every, args.seconds, args.runs)
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row["lost"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1:])))
