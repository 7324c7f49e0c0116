"""`warmline demo` as a process of its own, started the way the README says."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from warmline.testing.messaging_client import PATIENCE_S
from warmline.testing.server import free_port


class Demo:
    """The demo on free ports; it may be stopped and started again on the same ports and data folder.

    `environment` is added to this process's.
    """

    def __init__(self, data: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.port, self.webex_port, self.sms_port = free_port(), free_port(), free_port()
        self.output: list[str] = []
        self._options = options
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def page_url(self) -> str:
        """The supplier's page with the widget."""
        return f"http://localhost:{self.port}/"

    @property
    def desktop_url(self) -> str:
        """The agent desktop."""
        return f"http://localhost:{self.webex_port}/desktop/"

    @property
    def phone_url(self) -> str:
        """The customers' phones."""
        return f"http://localhost:{self.sms_port}/phone/"

    async def launch(self) -> None:
        """Start the process without waiting for what becomes of it."""
        ports = ("--port", str(self.port), "--webex-port", str(self.webex_port), "--sms-port", str(self.sms_port))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "warmline.cli.main", "demo", *ports, "--data", str(self.data), "--no-browser"),
            *self._options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
        )
        self._running = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def start(self) -> None:
        """Start it and wait until it says that it runs."""
        await self.launch()
        async with asyncio.timeout(2 * PATIENCE_S):
            await self._running.wait()
        assert self._process is not None
        assert self._process.returncode is None, "".join(self.output)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.output.append(line.decode())
            if "Stop with Ctrl+C" in self.output[-1]:
                self._running.set()
        await self._process.wait()
        self._running.set()

    async def ended(self) -> int:
        """Wait until the process has ended; its exit code."""
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(PATIENCE_S):
            await self._reading
            return await self._process.wait()

    async def interrupt(self) -> int:
        """Press Ctrl+C; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return await self.ended()

    async def kill(self) -> None:
        """End it if it still runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ended()
