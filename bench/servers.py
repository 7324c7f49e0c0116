"""The processes that are measured: Warmline, the bare relay, the emulator, a throw-away PostgreSQL."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from vendor import ADDRESS, CHANNEL, ORG, Vendor

ROOT = Path(__file__).resolve().parent.parent
SECRET = "0123456789abcdef0123456789abcdef"


class Process:
    """A child that reads one JSON line, answers with one, and ends when its standard input closes."""

    under: tuple[str, ...] = ()
    """The command that it runs under: one that measures it."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def launch(
        self, *command: str, given: object, log: Path | None = None, within_s: float = 60.0
    ) -> dict[str, str]:
        """Start it and return its answer; what it writes to standard error is added to `log` if there is one."""
        paths = [str(ROOT / "bench"), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        with contextlib.ExitStack() as files:
            errors = files.enter_context(log.open("ab")) if log else None
            self._process = await asyncio.create_subprocess_exec(
                *self.under,
                sys.executable,
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=env,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        await self._process.stdin.drain()
        line = await asyncio.wait_for(self._process.stdout.readline(), within_s)
        if not line:
            told = log.read_text(encoding="utf-8", errors="replace")[-4000:] if log else "see above"
            raise RuntimeError(f"{' '.join(command)} did not start: {told}")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    async def tell(self, given: object) -> None:
        """One more JSON line."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        await self._process.stdin.drain()

    async def ask(self, given: object) -> dict[str, str]:
        """One more JSON line, and the answer to it."""
        await self.tell(given)
        assert self._process is not None
        assert self._process.stdout is not None
        answer = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 60))
        assert isinstance(answer, dict)
        return answer

    async def end(self) -> None:
        """Close its standard input and wait."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 15)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._process is not None
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor time the child has used, user and system, seconds."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Resident memory of the child now, in MB."""
        assert self._process is not None
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


class BareServer(Process):
    """The bare relay against a fake vendor; with a `folder` for its database, the durable one."""

    def __init__(self, vendor: Vendor, folder: Path | None = None) -> None:
        super().__init__()
        self._vendor = vendor
        self._folder = folder
        self.url = ""

    async def __aenter__(self) -> Self:
        given = {
            "vendor_url": self._vendor.url,
            "secret": SECRET,
            "token": f"bench_BENCH_{ORG}",
            "folder": str(self._folder),
        }
        program = "bare.py" if self._folder is None else "durable.py"
        answer = await self.launch(str(ROOT / "bench" / program), given=given)
        self.url = answer["url"]
        self._vendor.asset = self._vendor.events = (answer["hooks"], SECRET.encode())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()


class WarmlineServer(Process):
    """The real server, started like a user's, on a fresh database. What it logs goes to `log` if that is given.

    `more` are further fields of `warmline.testing.server.Order`.
    """

    connector_token = "bench-connector-token"

    def __init__(self, folder: Path, database_url: str, *, log: Path | None = None, **more: object) -> None:
        super().__init__()
        self._folder = folder
        self._more = more
        self._database_url = database_url
        self._log = log
        self._order: dict[str, object] = {}
        self.url = ""

    async def _start(self, values: dict[str, str], secrets: dict[str, str]) -> dict[str, str]:
        self._order = {
            "database_url": self._database_url,
            "project": str(ROOT / "bench" / "project"),
            "connector_token": self.connector_token,
            "connect": {"provider": "webex", "values": values, "secrets": secrets},
            **self._more,
        }
        answer = await self.launch("-m", "warmline.testing.server", given=self._order, log=self._log)
        self.url = answer["url"]
        self._order["port"] = answer["port"]
        return answer

    def door(self) -> str:
        """Where a customer may connect."""
        return self.url

    async def start_again(self) -> None:
        """After a kill or an orderly stop: the same server on the same database and port."""
        await self.launch("-m", "warmline.testing.server", given=self._order, log=self._log)

    @contextlib.asynccontextmanager
    async def against(self, vendor: Vendor) -> AsyncIterator[Self]:
        """Run it connected to the fake vendor."""
        values = {
            "region": "custom",
            "api_base_url": vendor.url,
            "org_id": ORG,
            "client_id": "C" + "0" * 64,
            "channel_name": CHANNEL,
            "business_address": ADDRESS,
            "oauth_token_url": f"{vendor.url}/v1/access_token",
            "rate_per_minute": "1000000",
        }
        secrets = {
            "client_secret": "ab" * 32,
            "refresh_token": "bench-refresh-token-000000",
            "asset_webhook_secret": SECRET,
        }
        try:
            answer = await self._start(values, secrets)
            vendor.asset = (answer["asset_webhook_url"], SECRET.encode())
            yield self
        finally:
            await self.end()

    @contextlib.asynccontextmanager
    async def with_values(self, values: dict[str, str], secrets: dict[str, str]) -> AsyncIterator[dict[str, str]]:
        """Run it connected to something else; gives what the server answered when it started."""
        try:
            yield await self._start(values, secrets)
        finally:
            await self.end()


class EmulatorProcess(Process):
    """The full emulator. `settings` are those of `PUT /__sim/v1/config` that differ from `bench/emulated.py`."""

    def __init__(self, **settings: object) -> None:
        super().__init__()
        self._settings = settings
        self.url = ""

    async def started(self, stack: contextlib.AsyncExitStack) -> tuple[dict[str, str], dict[str, str]]:
        """Run it as long as `stack` lasts; gives the values and secrets to connect to it.

        It waits to be told the asset's webhook: `tell({"url", "secret"})`.
        """
        stack.push_async_callback(self.end)
        answer = await self.launch(str(ROOT / "bench" / "emulated.py"), given=self._settings)
        self.url = answer["url"]
        return json.loads(answer["values"]), json.loads(answer["secrets"])

    @contextlib.asynccontextmanager
    async def with_server(self, server: WarmlineServer) -> AsyncIterator[Self]:
        """Run both, connected to each other."""
        async with contextlib.AsyncExitStack() as stack:
            values, secrets = await self.started(stack)
            running = await stack.enter_async_context(server.with_values(values, secrets))
            await self.tell({"url": running["asset_webhook_url"], "secret": running["asset_webhook_secret"]})
            yield self


@contextlib.asynccontextmanager
async def postgres_database(folder: Path) -> AsyncIterator[str]:
    """A throw-away PostgreSQL server with one database; gives its URL."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.postgres import postgres_server

    with postgres_server("") as server, server.database() as url:
        yield url
