"""`warmline demo`: everything on this machine, with no account and no tenant."""

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import webbrowser
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp import web
from rich.console import Console

from warmline import telemetry
from warmline.app import Server
from warmline.channels.sms import setup as sms_setup
from warmline.channels.sms.connections import webhook_url
from warmline.cli.demo_folder import Started, remember
from warmline.config import Settings
from warmline.domain.errors import ConfigError
from warmline.emulators.sms import RunningSms, SmsSettings
from warmline.emulators.sms import demo_values as demo_values_sms
from warmline.emulators.sms import start as start_sms
from warmline.emulators.webex import RunningSim, SimSettings, demo_values
from warmline.emulators.webex import start as start_webex
from warmline.handoff.connect import connect
from warmline.ports import Connection, Connector
from warmline.system import make_full_collections_rare

CONNECTOR_TOKEN = "demo-connector-token"  # noqa: S105  (fixed by design.md §3, public by nature)
_T = TypeVar("_T")

_PAGE = files("warmline.cli") / "demo_page"
_PAGE_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_OPTIONS = {"WARMLINE_PROJECTS": "--project", "WARMLINE_DATABASE_URL": "--data", "WARMLINE_SECRET_KEY": "--data"}
_SECRET_FIELDS = frozenset({"client_secret", "refresh_token", "access_token", "asset_webhook_secret"})

_EXAMPLE = "lumen-energy"


def example_project() -> Path:
    """The demo project of this source tree. Raises ConfigError where there is none (an installed package)."""
    path = Path(__file__).resolve().parents[3] / "examples" / _EXAMPLE
    if not (path / "project.yaml").is_file():
        raise ConfigError("--project", "the example project is not part of this installation; name a project folder")
    return path


async def run_demo(
    *, port: int, webex_port: int, sms_port: int, data: Path, project: Path, browser: bool, console: Console
) -> None:
    """Start the emulators and Warmline, connect them, print the addresses, serve until interrupted.

    Raises: ConfigError when a port is taken, or the project, the data folder or OTEL_* cannot be used; names it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(telemetry.collected(os.environ, "demo"))
        sim = await _started(
            start_webex(SimSettings(relaxed=True), "127.0.0.1", webex_port), "--webex-port", webex_port
        )
        stack.push_async_callback(sim.stop)
        carrier = await _started(start_sms(SmsSettings(), "127.0.0.1", sms_port), "--sms-port", sms_port)
        stack.push_async_callback(carrier.stop)
        settings = _settings(data, port, project)
        site = DemoSite(sim.port, carrier.port)
        server = await _started(Server.start(settings, extra_routes=site.mount), "--port", port)
        site.server = server
        remember(data, Started(port=port, project=str(project.resolve())))
        stack.push_async_callback(server.stop)
        await _provide_connector(server)
        await connect_emulator(server, sim)
        server.studio.offer_emulator(partial(connect_emulator, server, sim))
        await connect_carrier(server, carrier)
        make_full_collections_rare()
        _greet(console, server, sim.port, carrier.port, await site.studio_url())
        if browser:
            await asyncio.to_thread(webbrowser.open, f"http://localhost:{server.port}/")
        await stop.wait()
        console.print("Stopping.")


def _settings(data: Path, port: int, project: Path) -> Settings:
    return Settings(
        database_url=f"sqlite:///{(data / 'warmline.db').resolve()}",
        public_url=f"http://localhost:{port}",
        secret_key=_secret_key(data),
        projects=project,
        port=port,
        watch_projects=True,
        relaxed=True,
    )


def _secret_key(data: Path) -> str:
    """The key of the data folder; the first start makes both."""
    key_file = data / "secret.key"
    try:
        data.mkdir(parents=True, exist_ok=True)
        if not key_file.exists():
            key_file.touch(mode=0o600)
            key_file.write_text(secrets.token_hex(32), encoding="utf-8")
        return key_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError("--data", f"the folder cannot be used: {error.strerror}") from None


async def _started(starting: Awaitable[_T], option: str, port: int) -> _T:
    """What `starting` gives; its errors name the demo's options, which are all that its user has seen."""
    try:
        return await starting
    except ConfigError as error:
        text = str(error).removeprefix(f"{error.key}: ")
        raise ConfigError(_OPTIONS.get(error.key, error.key), text) from None
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is taken, perhaps by a demo that is running already" if taken else f"cannot be used: {error.strerror}"
        raise ConfigError(option, f"port {port} {why}; choose another one") from None


async def _provide_connector(server: Server) -> None:
    """Let the demo's token lead to the project that runs, whichever it was in an earlier run; what was set stays."""
    connector = Connector(
        id="demo",
        token=CONNECTOR_TOKEN,
        project_id=server.project_ids[0],
        host="localhost",
        agent_name="Lumi",
        settings={"widget": {"header_text": "Lumen Energy", "color": "#14466b"}},
    )
    for known in await server.store.connectors():
        if known.id == connector.id:
            connector = replace(known, token=connector.token, project_id=connector.project_id, host=connector.host)
    await server.store.save_connector(connector)


async def connect_emulator(server: Server, sim: RunningSim, project_id: str = "") -> Connection:
    """Connect Webex as an operator would, against the emulator; a connection of an earlier run is used again.

    `project_id` is "" for the first project. Raises: ConfigError when the connection test fails.
    """
    project_id = project_id or server.project_ids[0]
    known = [c for c in await server.store.connections() if c.provider == "webex" and c.project_id == project_id]
    given = {"region": "custom", **demo_values(sim.sim.settings, sim.url)}
    report, connection = await connect(
        server.store,
        server.registry,
        server.clock,
        server.ids,
        "webex",
        project_id,
        {key: value for key, value in given.items() if key not in _SECRET_FIELDS},
        {key: value for key, value in given.items() if key in _SECRET_FIELDS},
        "Webex emulator",
        connection_id=known[0].id if known else "",
    )
    if connection is None:
        failed = next(verdict for verdict in report.verdicts if not verdict.ok)
        raise ConfigError("webex", f"{failed.step}: {failed.text} {failed.remedy}".strip())
    asset = {
        "businessAddress": connection.values["business_address"],
        "webhookUrl": server.registry.webhook_url("webex", connection.id, "asset"),
        "webhookSecret": connection.secrets["asset_webhook_secret"],
    }
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{sim.url}/__sim/v1/config", json={"assets": [asset]}) as answer,
    ):
        answer.raise_for_status()
    return connection


async def connect_carrier(server: Server, carrier: RunningSms) -> Connection:
    """Add the emulated carrier's numbers as an operator would.

    A connection of an earlier run is used again, also if that run was for another project.
    """
    project_id = server.project_ids[0]
    known = await server.store.text_connections()
    given = {"agent_name": "Lumi", "mms": "true", **demo_values_sms(carrier.carrier.initial, carrier.url)}
    connection = await sms_setup.save(
        server.store,
        server.clock,
        server.ids,
        project_id,
        given,
        "SMS emulator",
        existing=known[0] if known else None,
        relaxed=True,
    )
    url = webhook_url(server.settings.public_url, connection.id)
    numbers = [{"number": spec.number, "smsUrl": url} for spec in carrier.carrier.initial.numbers]
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{carrier.url}/__sim/v1/config", json={"numbers": numbers}) as answer,
    ):
        answer.raise_for_status()
    return connection


class DemoSite:
    """The demo page and what it asks for. `server` is set once it runs."""

    def __init__(self, webex_port: int, sms_port: int) -> None:
        self._webex_port = webex_port
        self._sms_port = sms_port
        self.server: Server | None = None
        frames = " ".join(f"http://{host}:{p}" for host in ("localhost", "127.0.0.1") for p in (webex_port, sms_port))
        self._policy = (
            "default-src 'self'; img-src 'self' data: https:; style-src 'self'; connect-src 'self' ws: wss:; "
            f"frame-src 'self' {frames}; object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
        )

    def mount(self, app: web.Application) -> None:
        """Add the page's routes."""
        app.router.add_get("/", self._page)
        app.router.add_get("/demo.json", self._about)
        app.router.add_get("/demo/{name:[a-z0-9_.-]+}", self._asset)

    async def studio_url(self) -> str:
        """The Studio, or the one-time link that makes its first account: everything stays on this machine."""
        assert self.server is not None
        return await self.server.studio.first_run_link() or f"{self.server.settings.public_url}/studio/"

    async def _page(self, request: web.Request) -> web.StreamResponse:
        # The widget's connector is for `localhost`, so other names lead there.
        if request.url.host != "localhost":
            raise web.HTTPFound(str(request.url.with_host("localhost")))
        return self._file("index.html")

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        return self._file(request.match_info["name"])

    def _file(self, name: str) -> web.Response:
        file = _PAGE / name
        suffix = Path(name).suffix
        if suffix not in _PAGE_TYPES or not file.is_file():
            raise web.HTTPNotFound
        headers = {"Content-Security-Policy": self._policy, "Cache-Control": "no-cache"}
        return web.Response(body=file.read_bytes(), content_type=_PAGE_TYPES[suffix], charset="utf-8", headers=headers)

    async def _about(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "connectorToken": CONNECTOR_TOKEN,
                "desktopUrl": f"http://localhost:{self._webex_port}/desktop/",
                "studioUrl": await self.studio_url() if self.server else None,
                "smsUrl": f"http://localhost:{self._sms_port}/phone/",
            }
        )


def _greet(console: Console, server: Server, webex_port: int, sms_port: int, studio: str) -> None:
    port = server.port
    console.print()
    console.print("[bold]Warmline is running.[/bold] Everything stays on this machine.\n")
    console.print(f"  Customer's page with the widget   [link]http://localhost:{port}/[/link]")
    console.print(f"  Webex agent desktop (emulated)    [link]http://localhost:{webex_port}/desktop/[/link]")
    console.print(f"  Customers' phones for SMS         [link]http://localhost:{sms_port}/phone/[/link]")
    console.print(f"  Studio                            [link]{studio}[/link]", soft_wrap=True)
    console.print(f"  Is it ready?                      [link]http://localhost:{port}/readyz[/link]\n")
    if server.project_ids == (_EXAMPLE,):
        console.print("Log in on the desktop, become Available, then write in the widget or from a phone:")
        console.print("  [italic]I want to dispute my bill[/italic]\n")
    else:
        console.print("Log in on the desktop, become Available, then write what your project hands over.\n")
    console.print("Stop with Ctrl+C.")
