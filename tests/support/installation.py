"""A whole installation: the emulator and a server connected to it, in this process or in one of its own."""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from support.forked import ForkedServer
from support.private import betrayed
from warmline.emulators.webex import RunningSim, SimSettings, demo_values
from warmline.emulators.webex import start as start_sim
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.testing.server import free_port

ROOT = Path(__file__).resolve().parents[2]
LUMEN = ROOT / "examples" / "lumen-energy"
TOKEN = "demo-connector-token"
_SECRETS = ("client_secret", "refresh_token")
START_TIMEOUT_S = 90
RETRIES_MS = (300,) * 200
"""A platform that tells its news again for a minute: so long may a server take to come back on a busy machine."""

DISPUTE = "I want to dispute my bill"
TRANSFER = "No problem, I'll transfer you to one of our agents now."


def connect_order(sim: RunningSim) -> dict[str, Any]:
    """What `warmline.testing.server` needs to connect to the emulator."""
    given = {"region": "custom", **demo_values(sim.sim.settings, sim.url)}
    return {
        "provider": "webex",
        "values": {key: value for key, value in given.items() if key not in _SECRETS},
        "secrets": {key: given[key] for key in _SECRETS},
    }


async def set_asset_webhook(sim: RunningSim, url: str, secret: str) -> None:
    """What an administrator pastes into Control Hub."""
    asset = {
        "businessAddress": sim.sim.settings.assets[0].business_address,
        "webhookUrl": url,
        "webhookSecret": secret,
    }
    async with (
        aiohttp.ClientSession() as http,
        http.put(f"{sim.url}/__sim/v1/config", json={"assets": [asset]}) as answer,
    ):
        answer.raise_for_status()


@dataclass
class ServerProcess:
    """A server in a process of its own, that may be killed and started again on the same database and port.

    `log` is the file that takes what it writes to standard error; None leaves that where the tests' own goes.
    `customers` are all that were ever made of it.
    """

    order: dict[str, Any]
    log: Path | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    customers: list[MessagingClient] = field(default_factory=list)
    _process: ForkedServer | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self.answer["url"])

    async def start(self, *, crash: str = "", nth: int = 1) -> None:
        """Start it, to die at the crash point if one is named."""
        order = {**self.order, "crash": crash, "crash_nth": nth}
        self._process = ForkedServer(json.dumps(order).encode(), self.log, ROOT)
        line = await asyncio.wait_for(self._process.told(), START_TIMEOUT_S)
        assert line, "the server did not start; see its log above"
        self.answer = json.loads(line)

    async def died(self, timeout: float) -> bool:
        """Wait until it is dead; False when it still lives after `timeout` seconds."""
        assert self._process is not None
        try:
            await asyncio.wait_for(self._process.wait(), timeout)
        except TimeoutError:
            return False
        return True

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.signal(number)

    async def kill(self) -> None:
        """`kill -9`, if it still lives."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
            await self._process.wait()

    async def stop(self) -> None:
        """Stop it in order."""
        if self._process is None or not self._process.lives:
            return
        self._process.stop()
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE_S)
        except TimeoutError:
            await self.kill()
            raise


@contextlib.asynccontextmanager
async def emulator(**settings: Any) -> AsyncIterator[RunningSim]:
    """An emulator in this process, relaxed, without needless delays."""
    sim = await start_sim(SimSettings(relaxed=True, **settings))
    try:
        yield sim
    finally:
        await sim.stop()


@contextlib.asynccontextmanager
async def installation(
    database_url: str,
    sim: RunningSim,
    *,
    project: Path = LUMEN,
    crash: str = "",
    nth: int = 1,
    log: Path | None = None,
    **order: Any,
) -> AsyncIterator[ServerProcess]:
    """A server process connected to `sim`, whose asset webhook is set. At the end nothing private is in its log."""
    unnamed = log is None
    log = log or Path(tempfile.mkdtemp(prefix="warmline-log-")) / "server.log"
    process = ServerProcess(
        {
            "database_url": database_url,
            "project": str(project),
            "connector_token": TOKEN,
            "port": free_port(),
            "connect": connect_order(sim),
            **order,
        },
        log,
    )
    try:
        await process.start(crash=crash, nth=nth)
        await set_asset_webhook(sim, process.answer["asset_webhook_url"], process.answer["asset_webhook_secret"])
        yield process
        await process.kill()
        assert betrayed(_text(log), said=_said(process, sim), secrets=_secrets(process, sim)) == []
    finally:
        await process.kill()
        if unnamed:
            sys.stderr.write(_text(log))
            shutil.rmtree(log.parent)


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def _said(process: ServerProcess, sim: RunningSim) -> Iterator[str]:
    """Everything that customers and agents wrote."""
    for visitor in process.customers:
        yield from (str(event.payload["text"]) for event in visitor.all("USER_MESSAGE"))
    for task in sim.sim.world.tasks.values():
        yield from (message.text for message in task.transcript)


def _secrets(process: ServerProcess, sim: RunningSim) -> Iterator[str]:
    yield from (TOKEN, process.answer.get("asset_webhook_secret", ""))
    yield from (sim.sim.settings.client_secret, sim.sim.settings.refresh_token)
    yield from (*sim.sim.oauth.tokens.access, *sim.sim.oauth.tokens.refresh)
    yield from (visitor.access_token for visitor in process.customers)


def customer(server: ServerProcess, **options: Any) -> MessagingClient:
    """A customer of the installation."""
    made = MessagingClient(server.url, token=TOKEN, **options)
    server.customers.append(made)
    return made
