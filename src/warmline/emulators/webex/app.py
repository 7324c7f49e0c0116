"""The emulator as a web application, in-process or on a port."""

from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from warmline.emulators.webex import api, desktop
from warmline.emulators.webex.control import Control
from warmline.emulators.webex.emulator import Emulator
from warmline.emulators.webex.settings import SimSettings
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.storage import StorageError

EMULATOR: web.AppKey[Emulator] = web.AppKey("emulator", Emulator)
_LARGEST_BODY = 64 * 1024 * 1024


def create_app(settings: SimSettings | None = None, data: Path | None = None) -> web.Application:
    """Return the emulator as an aiohttp application.

    Args:
        settings: the organization; None takes the defaults.
        data: a file in which it is kept between starts; None forgets it.

    Raises:
        StorageError: the file cannot be used.
    """
    emulator = Emulator(settings or SimSettings(), data)
    app = web.Application(client_max_size=_LARGEST_BODY)
    app[EMULATOR] = emulator
    app.add_routes(api.routes(lambda: emulator.sim))
    app.add_routes(Control(emulator).routes())
    desk = desktop.Desktop(emulator)
    app.add_routes(desk.routes())
    app.on_shutdown.append(desk.close)

    async def begin(_: web.Application) -> None:
        await emulator.begin()

    async def close(_: web.Application) -> None:
        await emulator.close()

    app.on_startup.append(begin)
    app.on_cleanup.append(close)
    return app


@dataclass(slots=True)
class RunningSim:
    """An emulator that listens. `url` has no trailing slash."""

    url: str
    port: int
    emulator: Emulator
    _runner: web.AppRunner

    @property
    def sim(self) -> Sim:
        """The organization as of now; a reset replaces it."""
        return self.emulator.sim

    async def stop(self) -> None:
        """Stop listening and delivering."""
        # Before the clean-up, which stops reading: closing handshakes would never be read.
        await self._runner.shutdown()
        await self._runner.cleanup()


async def start(
    settings: SimSettings | None = None, host: str = "127.0.0.1", port: int = 0, data: Path | None = None
) -> RunningSim:
    """Start the emulator.

    Args:
        settings: the organization; None takes the defaults.
        host: address to listen at.
        port: port to listen at; 0 picks a free one.
        data: a file in which the organization is kept between starts; None forgets it.

    Raises:
        OSError: the port is taken. StorageError: the file cannot be used.
    """
    app = create_app(settings, data)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    try:
        await runner.setup()
    except StorageError:
        await app[EMULATOR].close()
        raise
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    real_port: int = runner.addresses[0][1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    url = f"http://{shown}:{real_port}"
    app[EMULATOR].listen_at(url)
    return RunningSim(url, real_port, app[EMULATOR], runner)
