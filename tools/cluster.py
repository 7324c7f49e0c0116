"""Two nodes on one PostgreSQL, an emulated Webex, and a page with a chat at each node: to see a cluster work.

Usage: .venv/bin/python tools/cluster.py [--nats] [--port 8070]

PostgreSQL and NATS come from PyPI wheels and forget everything at the end. Kill a node (`kill -9 PID`), freeze it
(`kill -STOP PID`, then `-CONT`): conversations go on at the other one.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from aiohttp import web

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.installation import TOKEN  # noqa: E402
from support.nats import nats_server  # noqa: E402
from support.nodes import cluster  # noqa: E402
from support.postgres import postgres_server  # noqa: E402
from warmline.emulators.webex import SimSettings  # noqa: E402
from warmline.emulators.webex import start as start_sim  # noqa: E402

_NAMES = ("one", "two")
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Node {name}</title>
<body style="font-family: sans-serif; margin: 3rem; max-width: 24rem"><h1>Node {name}</h1>
<p>This page's chat is connected to node {name} at {url}. Its virtual agent may run on the other one.</p>
<p>Write <b>I want to dispute my bill</b> to be handed to the <a href="{desk}" target="_blank">agent desktop</a>.</p>
<script src="{url}/widget/{token}.js" async></script></body></html>"""


async def serve(database_url: str, port: int, nats_url: str, folder: Path) -> None:
    """Run everything until it is interrupted."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sim = await start_sim(SimSettings(relaxed=True, webhook_retries_ms=(500,) * 60), "127.0.0.1", port + 1)
    try:
        async with cluster(database_url, sim, folder, nats_url=nats_url, lease_ttl_s=5.0) as nodes:
            app = web.Application()
            for name, node in zip(_NAMES, nodes.nodes, strict=True):
                url = node.url.replace("127.0.0.1", "localhost")
                page = _PAGE.format(name=name, url=url, desk=f"{sim.url}/desktop/", token=TOKEN)
                app.router.add_get(f"/{name}", _page(page))
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            for name, node in zip(_NAMES, nodes.nodes, strict=True):
                print(f"Node {name:8} http://localhost:{port}/{name}   (process {node.pid}, {node.url})")
            print(f"Agent desktop {sim.url}/desktop/")
            print(f"Bus           {nats_url or 'NOTIFY of PostgreSQL'}")
            print(f"Webhooks      {nodes.balancer.url}, shared out between the nodes by chance")
            print(f"Logs          {folder}", flush=True)
            await stop.wait()
            await runner.cleanup()
    finally:
        await sim.stop()


def _page(text: str):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    return answer


async def run(database_url: str, port: int, nats: bool) -> None:
    """With NATS or without."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmline-cluster-")))
        nats_url = ""
        if nats:
            server = await stack.enter_async_context(nats_server(folder))
            nats_url = f"nats://127.0.0.1:{server.port}"
        await serve(database_url, port, nats_url, folder)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nats", action="store_true", help="NATS carries the hints instead of PostgreSQL")
    parser.add_argument("--port", type=int, default=8070, help="of the two pages; the emulator takes the next one")
    chosen = parser.parse_args()
    with postgres_server() as postgres, postgres.database() as url:
        asyncio.run(run(url, chosen.port, chosen.nats))


if __name__ == "__main__":
    main()
