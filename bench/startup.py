"""Measures how long starting takes.

A restart: from the start of `warmline serve` on a database that is there until `/readyz` says that it is ready. The
demo: from `warmline demo`, in a folder that is empty, until a customer who opens the page as soon as it is there reads
the virtual agent's greeting. Beside both stands the processor time, which other work on the machine changes less.

    python bench/startup.py [--runs N] [--json FILE]
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import msgspec

from servers import ROOT
from warmline.cli.demo import CONNECTOR_TOKEN
from warmline.testing.server import SECRET_KEY, free_port

_EVERY_S = 0.01
_ASK_EVERY_S = 0.1
"""Who asks for a token more often is sent away for a while."""
_WITHIN_S = 120.0
Took = tuple[float, float]
"""Seconds by the clock, and of the processor."""


@contextlib.asynccontextmanager
async def _warmline(folder: Path, compiled: Path, *command: str, **settings: str) -> AsyncIterator[Callable[[], float]]:
    """Run the command; gives how much processor time it has used, with its children that have ended.

    Modules are compiled once, as in every installation, into `compiled`.
    """
    unwanted = ("WARMLINE_", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    settings = {**settings, "PYTHONPYCACHEPREFIX": str(compiled)}
    with (folder / "log.txt").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "warmline.cli.main", *command, cwd=folder, stdout=log, stderr=log,
            env={**env, **settings},
        )  # fmt: skip

    def used_s() -> float:
        if process.returncode is not None:
            raise RuntimeError(f"warmline {command[0]} ended: {(folder / 'log.txt').read_text()[-2000:]}")
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    try:
        yield used_s
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _until(answered: Callable[[], Awaitable[bool]], used_s: Callable[[], float]) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while True:
            used_s()
            with contextlib.suppress(aiohttp.ClientError):
                if await answered():
                    return
            await asyncio.sleep(_EVERY_S)


async def restart(folder: Path, compiled: Path, http: aiohttp.ClientSession) -> Took:
    """Start `warmline serve` in a folder, and wait until it is ready."""
    port = free_port()
    settings = {
        "WARMLINE_DATABASE_URL": f"sqlite:///{folder}/warmline.db",
        "WARMLINE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WARMLINE_SECRET_KEY": SECRET_KEY,
        "WARMLINE_PROJECTS": str(ROOT / "examples" / "lumen-energy"),
        "WARMLINE_HOST": "127.0.0.1",
        "WARMLINE_PORT": str(port),
    }

    async def ready() -> bool:
        async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200

    began = time.monotonic()
    async with _warmline(folder, compiled, "serve", **settings) as used_s:
        await _until(ready, used_s)
        return time.monotonic() - began, used_s()


async def greeting(folder: Path, compiled: Path, http: aiohttp.ClientSession) -> Took:
    """Start `warmline demo` in a folder, and wait until a customer is greeted."""
    ports = [free_port() for _ in range(3)]
    base = f"http://localhost:{ports[0]}"
    options = zip(("--port", "--webex-port", "--sms-port"), map(str, ports), strict=True)

    async def there() -> bool:
        async with http.get(f"{base}/readyz") as answer:
            return answer.status == 200

    began = time.monotonic()
    arguments = [part for option in options for part in option]
    async with _warmline(folder, compiled, "demo", "--no-browser", "--data", "data", *arguments) as used_s:
        await _until(there, used_s)
        await _greeted(base, http)
        return time.monotonic() - began, used_s()


async def _greeted(base: str, http: aiohttp.ClientSession) -> None:
    """Open a session as the widget does, and wait for the first words (messaging-protocol.md §2 to §4)."""
    token = ""
    async with asyncio.timeout(_WITHIN_S):
        while not token:
            # The connector is made right after the server is ready.
            headers = {"X-Token": CONNECTOR_TOKEN, "X-Host": "localhost"}
            async with http.post(f"{base}/api/v1/access-token", json={}, headers=headers) as answer:
                token = (await answer.json()).get("access_token", "")
            await asyncio.sleep(0 if token else _ASK_EVERY_S)
        async with http.post(
            f"{base}/api/v1/sessions", json={}, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            answer.raise_for_status()
            session = (await answer.json())["session_id"]
        async with http.ws_connect(f"{base}/ws?access_token={token}&session_id={session}") as socket:
            await socket.send_json({"type": "EVENT_TYPE_REQUEST_POLY_AGENT_JOIN", "payload": {}})
            async for frame in socket:
                if msgspec.json.decode(frame.data)["type"] == "EVENT_TYPE_POLY_AGENT_MESSAGE":
                    return
    raise RuntimeError("nobody greeted")


async def measure(runs: int) -> list[dict[str, object]]:
    """A row for each kind of start: medians, and the slowest."""
    took: dict[str, list[Took]] = {"restart to ready": [], "demo to first greeting": []}
    async with aiohttp.ClientSession() as http:
        with tempfile.TemporaryDirectory(prefix="warmline-startup-") as folder:
            kept, compiled = Path(folder) / "kept", Path(folder) / "compiled"
            kept.mkdir()
            for number in range(runs + 1):
                fresh = Path(folder) / f"demo-{number}"
                fresh.mkdir()
                starts = (await restart(kept, compiled, http), await greeting(fresh, compiled, http))
                if number:
                    # The first ones made the database and compiled the modules.
                    for times, start in zip(took.values(), starts, strict=True):
                        times.append(start)
    return [
        {
            "start": name,
            "runs": runs,
            "median_s": round(statistics.median(clock for clock, _ in times), 2),
            "longest_s": round(max(clock for clock, _ in times), 2),
            "cpu_s": round(statistics.median(cpu for _, cpu in times), 2),
        }
        for name, times in took.items()
    ]


def main(argv: Sequence[str]) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args(argv)
    rows = asyncio.run(measure(args.runs))
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
