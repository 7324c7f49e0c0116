"""`warmline serve` and `warmline worker`: a server, several of them, or one that only works."""

import asyncio
import os
import signal
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from warmline import telemetry
from warmline.cli.logs import configure_logging
from warmline.cli.workers import Supervisor, metrics_port, require_shared_database, worker_command
from warmline.config import Settings, load_settings
from warmline.domain.errors import ConfigError

_console = Console()


def serve(
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that share the port and the work; needs PostgreSQL.")
    ] = 1,
) -> None:
    """Run the server with the settings of the environment and warmline.toml.

    With several workers, SIGHUP replaces one after the other, so that the server is never away.
    """
    settings = load_settings()
    configure_logging(settings.log_format)
    if workers == 1:
        uvloop.run(_run(settings, listens=True))
        return
    require_shared_database(settings, "--workers")
    if settings.port == 0:
        raise ConfigError("WARMLINE_PORT", "must be a certain one, for workers to share it")

    def ready_url(number: int) -> str:
        return f"http://{settings.host}:{metrics_port(settings, number)}/readyz"

    async def run() -> None:
        await Supervisor(worker_command(settings), ready_url, workers).run()

    asyncio.run(run())


def worker() -> None:
    """Run a node that takes in nothing: it runs turns, sends and processes what other nodes took in.

    It needs PostgreSQL. With WARMLINE_METRICS_PORT it answers /healthz, /readyz and /metrics there.
    """
    settings = load_settings()
    configure_logging(settings.log_format)
    require_shared_database(settings, "a worker")
    uvloop.run(_run(settings, listens=False))


async def _run(settings: Settings, *, listens: bool) -> None:
    from warmline.app import Server
    from warmline.system import make_full_collections_rare, node_name

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with telemetry.collected(os.environ, node_name(settings)):
        server = await Server.start(settings, listens=listens)
        make_full_collections_rare()
        if listens and (link := await server.studio.first_run_link()):
            _console.print(f"Make the Studio's first account, once: {link}", soft_wrap=True)
        await stop.wait()
        await server.stop()
