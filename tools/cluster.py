"""Two nodes on one PostgreSQL, an emulated Webex, and pages with a chat: to see a cluster work.

Usage: .venv/bin/python tools/cluster.py [--nats] [--port 8070]

PostgreSQL and NATS come from PyPI wheels and forget everything at the end. Chats of the first page go through a load
balancer: kill the node (`kill -9 PID`) that one is connected to, and it goes on at the other. Each of the other two
pages knows one node alone.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.front import front  # noqa: E402
from support.installation import TOKEN  # noqa: E402
from support.nats import nats_server  # noqa: E402
from support.nodes import cluster  # noqa: E402
from support.postgres import postgres_server  # noqa: E402
from warmline.emulators.webex import SimSettings  # noqa: E402
from warmline.emulators.webex import start as start_sim  # noqa: E402

Handler = Callable[[web.Request], Awaitable[web.Response]]

_NAMES = ("one", "two")
_ANY = (
    "This page's chat goes through a load balancer to a node that is ready. Kill that one, and it goes on at the other."
)
_ONE = "This page's chat knows node {name} alone, at {url}. Its virtual agent may run on the other one."
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<body style="font-family: sans-serif; margin: 3rem; max-width: 24rem"><h1>{title}</h1>
<p>{what}</p>
<p>Write <b>I want to dispute my bill</b> to be handed to the <a href="{desk}" target="_blank">agent desktop</a>.</p>
<script src="{url}/widget/{token}.js" async></script></body></html>"""


async def serve(database_url: str, port: int, nats_url: str, folder: Path) -> None:
    """Run everything until it is interrupted."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sim = await start_sim(SimSettings(relaxed=True, webhook_retries_ms=(500,) * 60), "127.0.0.1", port + 1)
    try:
        async with (
            cluster(database_url, sim, folder, nats_url=nats_url, lease_ttl_s=5.0) as nodes,
            front([node.url for node in nodes.nodes]) as any_node,
        ):
            app = web.Application()
            desk = f"{sim.url}/desktop/"
            app.router.add_get("/", _page("Any node", _ANY, any_node, desk))
            for name, node in zip(_NAMES, nodes.nodes, strict=True):
                url = node.url.replace("127.0.0.1", "localhost")
                app.router.add_get(f"/{name}", _page(f"Node {name}", _ONE.format(name=name, url=url), url, desk))
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            print(f"Any node      http://localhost:{port}/")
            for name, node in zip(_NAMES, nodes.nodes, strict=True):
                print(f"Node {name:8} http://localhost:{port}/{name}   (process {node.pid}, {node.url})")
            print(f"Agent desktop {desk}")
            print(f"Bus           {nats_url or 'NOTIFY of PostgreSQL'}")
            print(f"Webhooks      {nodes.balancer.url}, shared out between the nodes by chance")
            print(f"Logs          {folder}", flush=True)
            await stop.wait()
            await runner.cleanup()
    finally:
        await sim.stop()


def _page(title: str, what: str, url: str, desk: str) -> Handler:
    text = _PAGE.format(title=title, what=what, url=url, desk=desk, token=TOKEN)

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
    parser.add_argument("--port", type=int, default=8070, help="of the pages; the emulator takes the next one")
    chosen = parser.parse_args()
    print("Starting PostgreSQL and two nodes…", flush=True)
    with postgres_server() as postgres, postgres.database() as url:
        asyncio.run(run(url, chosen.port, chosen.nats))


if __name__ == "__main__":
    main()
