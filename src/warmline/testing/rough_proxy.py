"""A TCP proxy that treats connections as bad networks do: it delays, stalls, closes one half, and cuts."""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Self

_FATES = ("cut", "client half", "server half", "stall")


class RoughProxy:
    """Forwards to `port` of this machine until each connection meets its fate.

    Fates are drawn from `chance`: `cut` resets both sides; `client half` or `server half` ends what that side is sent
    and cuts later; `stall` forwards nothing for a while and cuts then.

    Args:
        port: where to forward to.
        chance: where randomness comes from.
        life_s: shortest and longest time until a connection's fate, seconds.
        delay_s: longest delay of a piece of data, seconds.
    """

    def __init__(
        self, port: int, chance: random.Random, *, life_s: tuple[float, float] = (0.05, 1.5), delay_s: float = 0.02
    ) -> None:
        self._target = port
        self._chance = chance
        self._life_s = life_s
        self._delay_s = delay_s
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.calm = False
        """From now on connections are left alone."""
        self.fates: Counter[str] = Counter()
        """How many connections met which fate."""
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=2048)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._serve(reader, writer)
        self._serving.discard(task)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        up = asyncio.create_task(self._pump(reader, far_writer))
        down = asyncio.create_task(self._pump(far_reader, writer))
        try:
            await asyncio.wait((up, down), timeout=None if self.calm else self._chance.uniform(*self._life_s))
            if not self.calm and not (up.done() or down.done()):
                await self._meet_fate(up, down, writer, far_writer)
            elif not self.calm:
                # One side closed: the other may still have something to say.
                await asyncio.wait((up, down), timeout=1.0)
            else:
                await asyncio.wait((up, down))
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            far_writer.transport.abort()

    async def _meet_fate(
        self,
        up: asyncio.Task[None],
        down: asyncio.Task[None],
        writer: asyncio.StreamWriter,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        fate = self._chance.choice(_FATES)
        self.fates[fate] += 1
        if fate == "cut":
            return
        if fate in ("client half", "stall"):
            down.cancel()
        if fate in ("server half", "stall"):
            up.cancel()
        if fate != "stall":
            half = writer if fate == "client half" else far_writer
            if half.can_write_eof():
                half.write_eof()
        await asyncio.sleep(self._chance.uniform(0, 0.5))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.calm:
                    await asyncio.sleep(self._chance.uniform(0, self._delay_s))
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
