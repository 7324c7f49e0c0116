"""Customers for measurements: each talks to the live agent as fast as the answers come."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import msgspec

from vendor import Legs

_decode = msgspec.json.decode


@dataclass(slots=True)
class Tally:
    """What the customers saw. Times in seconds."""

    round_trips: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    shown: int = 0
    """Messages of live agents that came while customers complained."""
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Round trips per second."""
        return len(self.round_trips) / self.seconds if self.seconds else 0.0

    @property
    def cpu_ms(self) -> float:
        """Processor time of the server per round trip, milliseconds: steady also where others use the machine."""
        return round(self.cpu_s * 1000 / len(self.round_trips), 3) if self.round_trips else 0.0


class Customer:
    """One webchat customer over the messaging protocol."""

    def __init__(self, number: int, base: str, http: aiohttp.ClientSession, legs: Legs, tally: Tally) -> None:
        self._number = number
        self._base = base
        self._http = http
        self._legs = legs
        self._tally = tally
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._seen: set[str] = set()
        self._said = 0

    async def connect(self, connector_token: str) -> None:
        """Handshake, join, ask for a human, wait until one is there."""
        headers = {"X-Token": connector_token, "X-Host": "localhost"}
        async with self._http.post(f"{self._base}/api/v1/access-token", json={}, headers=headers) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.post(f"{self._base}/api/v1/sessions", json={}, headers=headers) as answer:
            session = (await answer.json())["session_id"]
        url = f"{self._base}/ws?access_token={token}&session_id={session}"
        self._socket = await self._http.ws_connect(url, max_msg_size=1 << 20, compress=0)
        await self._send("REQUEST_POLY_AGENT_JOIN", {})
        await self._send("USER_MESSAGE", {"text": "I want to talk to a human"})
        await self._until("LIVE_AGENT_JOINED")

    async def talk(self, deadline: float, every_s: float = 0.0) -> None:
        """Send, wait for the answer, send the next, until `deadline` (perf_counter), at most every `every_s`."""
        while time.perf_counter() < deadline:
            self._said += 1
            text = f"c{self._number}-{self._said}"
            began = time.perf_counter()
            self._legs.sent[text] = began
            await self._send("USER_MESSAGE", {"text": text}, {"custom": {"local_id": text}})
            try:
                async with asyncio.timeout(30):
                    await self._answer(text)
            except TimeoutError:
                self._tally.lost += 1
                continue
            now = time.perf_counter()
            self._tally.round_trips.append(now - began)
            self._tally.down.append(now - self._legs.replied.pop(text, now))
            self._legs.sent.pop(text, None)
            await asyncio.sleep(max(0.0, began + every_s - now))

    async def complain(self, every_s: float) -> None:
        """Write every so often, whatever is answered, and count what the live agent says; for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                self._said += 1
                await self._send("USER_MESSAGE", {"text": f"c{self._number}-{self._said}"})
                await asyncio.sleep(every_s)

    async def _listen(self) -> None:
        while True:
            await self._until("LIVE_AGENT_MESSAGE")
            self._tally.shown += 1

    async def close(self) -> None:
        """End the session."""
        if self._socket is not None:
            await self._send("USER_END_SESSION", {})
            await self._socket.close()

    async def _answer(self, expected: str) -> None:
        while True:
            event = await self._until("LIVE_AGENT_MESSAGE")
            text = event["payload"]["text"]
            if text in self._seen:
                self._tally.duplicated += 1
            elif text == expected:
                self._seen = {expected}
                return
            else:
                self._tally.reordered += 1

    async def _send(self, kind: str, payload: object, metadata: object = None) -> None:
        assert self._socket is not None
        frame: dict[str, object] = {"type": f"EVENT_TYPE_{kind}", "payload": payload}
        if metadata is not None:
            frame["metadata"] = metadata
        await self._socket.send_str(json.dumps(frame))

    async def _until(self, kind: str) -> dict[str, dict[str, str]]:
        assert self._socket is not None
        wanted = f"EVENT_TYPE_{kind}"
        async for frame in self._socket:
            event = _decode(frame.data)
            if event["type"] == wanted:
                return event  # type: ignore[no-any-return]
        raise ConnectionError("the server closed the socket")


async def drive(
    base: str,
    connector_token: str,
    legs: Legs,
    conversations: int,
    seconds: float,
    cpu_s: Callable[[], float] = lambda: 0.0,
    every_s: float = 0.0,
    *,
    others: Sequence[str] = (),
) -> Tally:
    """Let `conversations` customers talk for `seconds` after a short warm-up that is not counted.

    `cpu_s` tells how much processor time the server has used so far. Each customer writes every `every_s`
    seconds, or as fast as the answers come. With `others`, the addresses of more nodes, customers take turns.
    """
    tally = Tally()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:
        doors = [base, *others]
        customers = [Customer(n, doors[n % len(doors)], http, legs, tally) for n in range(conversations)]
        for start in range(0, conversations, 16):
            await asyncio.gather(*(c.connect(connector_token) for c in customers[start : start + 16]))
        warm_until = time.perf_counter() + min(1.0, seconds / 4)
        await asyncio.gather(*(c.talk(warm_until) for c in customers))
        for measured in (tally.round_trips, tally.down, legs.up, legs.webhook):
            measured.clear()
        began, used = time.perf_counter(), cpu_s()
        await asyncio.gather(
            *(
                _talk_later(c, number / len(customers) * every_s, began + seconds, every_s)
                for number, c in enumerate(customers)
            )
        )
        tally.seconds, tally.cpu_s = time.perf_counter() - began, cpu_s() - used
        await asyncio.gather(*(c.close() for c in customers))
    return tally


async def _talk_later(customer: Customer, wait_s: float, deadline: float, every_s: float) -> None:
    await asyncio.sleep(wait_s)
    await customer.talk(deadline, every_s)
