"""Webhooks of the emulated carrier: signed forms, one retry without a connection, and what was sent for inspection.

TwiML in the answers is not carried out: replies come through the API.
"""

import asyncio
import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from warmline.emulators.sms.faults import Effect, Faults
from warmline.emulators.sms.model import World

Form = list[tuple[str, str]]


def sign(token: str, url: str, form: Form) -> str:
    """`X-Twilio-Signature`: HMAC-SHA1 of the URL and the sorted fields."""
    text = url + "".join(name + value for name, value in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


@dataclass(slots=True)
class Delivery:
    """An attempt to deliver a webhook. `status` 0: there was no answer."""

    kind: str
    url: str
    fields: dict[str, str]
    status: int = 0
    error: str = ""


@dataclass(slots=True)
class Webhooks:
    """Sends webhooks. Those of one `lane` go one after the other unless a fault says otherwise."""

    world: World
    faults: Faults
    deliveries: list[Delivery] = field(default_factory=list)
    _lanes: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _held: dict[str, list[tuple[str, Form]]] = field(default_factory=dict)
    _http: aiohttp.ClientSession | None = None

    async def stop(self) -> None:
        """Forget what is under way."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._http is not None:
            await self._http.close()
            self._http = None

    def send(self, kind: str, url: str, form: Form, *, lane: str) -> asyncio.Task[None] | None:
        """Announce something ("inbound" or "status"); None: a fault has taken it."""
        effect = self.faults.take(kind)
        if effect is not None and effect.drop:
            return None
        if effect is not None and effect.reorder:
            self._held.setdefault(kind, []).append((url, form))
            return None
        before = self._lanes.get(lane)
        if effect is not None and effect.delay_ms:
            before = None
        task = asyncio.create_task(self._deliver(kind, url, form, effect, before))
        self._lanes[lane] = task
        self._keep(task)
        for held_url, held_form in self._held.pop(kind, []):
            self._keep(asyncio.create_task(self._deliver(kind, held_url, held_form, None, task)))
        return task

    def views(self) -> list[dict[str, Any]]:
        """What was sent."""
        return [
            {"kind": d.kind, "url": d.url, "fields": d.fields, "status": d.status, "error": d.error}
            for d in self.deliveries
        ]

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self, kind: str, url: str, form: Form, effect: Effect | None, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None and not before.done():
            await asyncio.wait([before])
        if effect is not None and effect.delay_ms:
            await asyncio.sleep(effect.delay_ms / 1000)
        for _ in range(1 + (effect.duplicate if effect else 0)):
            for _attempt in range(2):
                delivery = await self._post(kind, url, form)
                if delivery.error != "no_connection":
                    break

    async def _post(self, kind: str, url: str, form: Form) -> Delivery:
        delivery = Delivery(kind, url, dict(form))
        self.deliveries.append(delivery)
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {"X-Twilio-Signature": sign(self.world.settings.auth_token, url, form)}
        timeout = aiohttp.ClientTimeout(total=self.world.settings.webhook_timeout_s, connect=5)
        try:
            async with self._http.post(url, data=form, headers=headers, timeout=timeout) as answer:
                delivery.status = answer.status
        except aiohttp.ClientConnectionError:
            delivery.error = "no_connection"
            return delivery
        except (aiohttp.ClientError, TimeoutError) as error:
            delivery.error = type(error).__name__
        return delivery
