"""Customers' hands on emulated phones: drives the SMS emulator through its control plane."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiohttp

from warmline.emulators.sms import NumberSpec, RunningSms, SmsSettings, demo_values, start
from warmline.testing.messaging_client import PATIENCE_S

ADA, BEN = "+14155550100", "+14155550101"
NUMBER, OTHER_NUMBER = "+14155550199", "+14155550198"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@contextlib.asynccontextmanager
async def carrier(**settings: Any) -> AsyncIterator[RunningSms]:
    """An emulated carrier in this process, without needless delays."""
    sim = await start(SmsSettings(**{"sending_ms": 1, "delivery_ms": 1, **settings}))
    try:
        yield sim
    finally:
        await sim.stop()


def sms_fields(sim: RunningSms) -> dict[str, str]:
    """The fields of a connection to it."""
    return demo_values(sim.carrier.initial, sim.url)


class Phones:
    """Phones of the emulator."""

    def __init__(self, sim: RunningSms) -> None:
        self.sim = sim
        self.url = f"{sim.url}/__sim/v1"
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    def announce_to(self, url: str) -> None:
        """What an operator enters at each number."""
        numbers = tuple(NumberSpec(number=spec.number, sms_url=url) for spec in self.sim.carrier.initial.numbers)
        settings = self.sim.carrier.world.settings
        kept = {name: getattr(settings, name) for name in settings.__struct_fields__}
        self.sim.carrier.configure(SmsSettings(**{**kept, "numbers": numbers}))

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """One call of the control plane; raises on anything but 2xx."""
        assert self._http is not None
        async with self._http.request(method, self.url + path, json=body) as answer:
            data = await answer.json()
            assert answer.status < 300, (method, path, answer.status, data)
            return data

    async def text(self, text: str, phone: str = ADA, *, to: str = NUMBER, picture: bytes = b"") -> str:
        """Send a text; its sid."""
        media = [{"mimeType": "image/png", "contentBase64": base64.b64encode(picture).decode()}] if picture else []
        sent = await self.call("POST", f"/phones/{phone}/text", {"to": to, "text": text, "media": media})
        return str(sent["sid"])

    async def fault(self, endpoint: str, **effect: Any) -> None:
        """Spoil requests or webhooks."""
        await self.call("POST", "/faults", {"match": {"endpoint": endpoint}, "effect": effect})

    async def messages(self, phone: str = ADA) -> list[dict[str, Any]]:
        """What went to and fro, as the carrier knows it to be."""
        data = await self.call("GET", "/messages")
        return [message for message in data["messages"] if message["customer"] == phone]

    async def got(self, phone: str = ADA) -> list[str]:
        """The texts that were sent to the phone, in the order in which the carrier took them."""
        return [message["text"] for message in await self.messages(phone) if message["direction"] == "out"]

    async def until(
        self, done: Callable[[list[str]], bool], phone: str = ADA, timeout: float = PATIENCE_S
    ) -> list[str]:
        """Wait until what the phone got is as wanted; returns it."""
        got: list[str] = []
        try:
            async with asyncio.timeout(timeout):
                while True:
                    got = await self.got(phone)
                    if done(got):
                        return got
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(f"the phone got {got}") from None

    async def until_got(self, text: str, phone: str = ADA, timeout: float = PATIENCE_S) -> list[str]:
        """Wait until the last text that the phone got is `text`."""
        return await self.until(lambda got: bool(got) and got[-1] == text, phone, timeout)
