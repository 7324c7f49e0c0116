"""The emulator as a web application on a port."""

from dataclasses import dataclass

from aiohttp import web

from warmline.emulators.sms.api import Api
from warmline.emulators.sms.carrier import Carrier
from warmline.emulators.sms.control import Control
from warmline.emulators.sms.model import SmsSettings
from warmline.emulators.sms.phone import PhonePages

_LARGEST_BODY = 16 * 1024 * 1024


@dataclass(slots=True)
class RunningSms:
    """An emulator that listens. `url` has no trailing slash."""

    url: str
    port: int
    carrier: Carrier
    _runner: web.AppRunner

    async def stop(self) -> None:
        """Stop listening and delivering."""
        # Before the clean-up, which stops reading: closing handshakes would never be read.
        await self._runner.shutdown()
        await self._runner.cleanup()


async def start(settings: SmsSettings | None = None, host: str = "127.0.0.1", port: int = 0) -> RunningSms:
    """Start the emulator.

    Args:
        settings: the account; None takes the defaults.
        host: address to listen at.
        port: port to listen at; 0 picks a free one.

    Raises:
        OSError: the port is taken.
    """
    carrier = Carrier(settings or SmsSettings())
    api = Api(carrier)
    pages = PhonePages(carrier)
    app = web.Application(client_max_size=_LARGEST_BODY)
    for part in (api, Control(carrier, api), pages):
        app.add_routes(part.routes())
    app.on_shutdown.append(pages.close)

    async def stop(_: web.Application) -> None:
        await carrier.stop()

    app.on_cleanup.append(stop)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    real_port: int = runner.addresses[0][1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    url = f"http://{shown}:{real_port}"
    carrier.base_url = carrier.base_url or url
    return RunningSms(url, real_port, carrier, runner)
