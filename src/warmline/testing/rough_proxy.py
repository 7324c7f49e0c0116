"""A TCP proxy that treats connections as bad networks do: it delays, stalls, closes one half, and cuts."""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any, Self

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
        life_bytes: fewest and most bytes, in a direction that is drawn, until a connection's fate. In place of
            `life_s`: the same seed then breaks the same traffic at the same byte, whatever the machine's speed.
        most: after so many fates it is calm; None means never.
    """

    def __init__(
        self,
        port: int,
        chance: random.Random,
        *,
        life_s: tuple[float, float] = (0.05, 1.5),
        delay_s: float = 0.02,
        life_bytes: tuple[int, int] | None = None,
        most: int | None = None,
    ) -> None:
        self._target = port
        self._chance = chance
        self._life_s = life_s
        self._delay_s = delay_s
        self._life_bytes = life_bytes
        self._most = most
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
        # Of its own, so that what is drawn for one connection does not depend on the pace of another.
        chance = random.Random(self._chance.getrandbits(64))
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        fate, used_up = chance.choice(_FATES), asyncio.Event()
        upwards, downwards = self._draw_bytes(chance)
        up = asyncio.create_task(self._pump(reader, far_writer, chance, upwards, used_up))
        down = asyncio.create_task(self._pump(far_reader, writer, chance, downwards, used_up))
        both = asyncio.create_task(asyncio.wait((up, down)))
        life = asyncio.create_task(self._live(chance, used_up))
        try:
            await asyncio.wait((both, life), return_when=asyncio.FIRST_COMPLETED)
            if used_up.is_set() or not (self.calm or up.done() or down.done()):
                await self._meet(fate, chance, up, down, writer, far_writer)
            elif not self.calm:
                # One side closed: the other may still have something to say.
                await asyncio.wait((both,), timeout=1.0)
            else:
                await both
        finally:
            tasks: tuple[asyncio.Task[Any], ...] = (life, both, up, down)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            far_writer.transport.abort()

    def _draw_bytes(self, chance: random.Random) -> tuple[int | None, int | None]:
        """How much gets through to the server and to the client; None: all."""
        if self._life_bytes is None or self.calm:
            return None, None
        limit = chance.randint(*self._life_bytes)
        return (limit, None) if chance.random() < 0.5 else (None, limit)

    async def _live(self, chance: random.Random, used_up: asyncio.Event) -> None:
        if self.calm or self._life_bytes is not None:
            await used_up.wait()
        else:
            await asyncio.sleep(chance.uniform(*self._life_s))

    async def _meet(
        self,
        fate: str,
        chance: random.Random,
        up: asyncio.Task[None],
        down: asyncio.Task[None],
        writer: asyncio.StreamWriter,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self.fates[fate] += 1
        if self.fates.total() == self._most:
            self.calm = True
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
        await asyncio.sleep(chance.uniform(0, 0.5))

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        chance: random.Random,
        limit: int | None,
        used_up: asyncio.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.calm:
                    await asyncio.sleep(chance.uniform(0, self._delay_s))
                    if limit is not None and len(data) >= limit:
                        writer.write(data[:limit])
                        await writer.drain()
                        used_up.set()
                        return
                    limit = None if limit is None else limit - len(data)
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
