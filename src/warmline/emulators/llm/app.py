"""The emulator as a web application, in-process or on a port."""

from dataclasses import dataclass

from aiohttp import web

from warmline.emulators.llm.api import Emulator
from warmline.emulators.llm.control import Control
from warmline.emulators.llm.script import Script

EMULATOR: web.AppKey[Emulator] = web.AppKey("emulator", Emulator)
_LARGEST_BODY = 16 * 1024 * 1024


def create_app(script: Script | None = None) -> web.Application:
    """Return the emulator as an aiohttp application; without a script it says that it has none."""
    emulator = Emulator(script or Script())
    app = web.Application(client_max_size=_LARGEST_BODY)
    app[EMULATOR] = emulator
    app.add_routes(emulator.routes())
    app.add_routes(Control(emulator).routes())
    return app


@dataclass(slots=True)
class RunningLlm:
    """An emulator that listens. `url` has no trailing slash; the API is below `/v1`."""

    url: str
    port: int
    emulator: Emulator
    _runner: web.AppRunner

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


async def start(script: Script | None = None, host: str = "127.0.0.1", port: int = 0) -> RunningLlm:
    """Start the emulator.

    Args:
        script: what it says; None: it says that it has no script.
        host: address to listen at.
        port: port to listen at; 0 picks a free one.

    Raises:
        OSError: the port is taken.
    """
    app = create_app(script)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    real_port: int = runner.addresses[0][1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return RunningLlm(f"http://{shown}:{real_port}", real_port, app[EMULATOR], runner)
