"""The dispatcher of webhooks: order, time limit, retries, faults, and the record of every attempt (§11.6, §20.6)."""

import asyncio
import functools
import itertools
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import msgspec

from warmline.emulators.webex.envelope import Delivery, Event, destinations, sealed
from warmline.emulators.webex.faults import Effect, Faults
from warmline.emulators.webex.http import HttpClient
from warmline.emulators.webex.lanes import Lanes
from warmline.emulators.webex.state import World


@dataclass(slots=True)
class _Held:
    """A delivery that a fault holds back until its partner, or `others` more deliveries, went out."""

    delivery: Delivery
    partner: str | None
    others: int


class Webhooks:
    """Sends events to the asset's webhook and to the subscriptions.

    Within one task and destination the first attempts go out in order (unless `ordered_delivery` is off);
    destinations never wait for each other, and a retry holds nothing up.
    """

    def __init__(self, world: World, faults: Faults, http: HttpClient) -> None:
        self._world = world
        self._faults = faults
        self._http = http
        self._lanes = Lanes(world.background)
        self._doors: dict[str, asyncio.Semaphore] = {}
        self._held: dict[tuple[str, str], list[_Held]] = {}
        self._numbers = itertools.count(1)
        self.attempts: deque[dict[str, Any]] = deque(maxlen=world.settings.record_limit)

    def publish(self, event: Event) -> None:
        """Send an event to everyone it concerns; returns at once."""
        for destination in destinations(self._world, event):
            delivery = sealed(self._world.settings, event, destination)
            effect = self._faults.for_webhook(destination.kind, event.type, event.task_id)
            if effect is None:
                self._line_up(delivery)
            else:
                self._spoil(delivery, effect)

    async def settled(self, task_id: str, timeout_s: float = 5.0) -> None:
        """Wait until no delivery of a task is on its way, at most `timeout_s` seconds."""
        await self._lanes.drained(lambda key: isinstance(key, tuple) and key[1] == task_id, timeout_s)

    def views(self) -> list[dict[str, Any]]:
        """Return all remembered attempts as the control plane shows them, oldest first."""
        return [{**attempt, "body": msgspec.json.decode(attempt["body"])} for attempt in self.attempts]

    def _spoil(self, delivery: Delivery, effect: Effect) -> None:
        if effect.drop:
            self._record(delivery, 0, None, "dropped", 0.0)
            return
        if effect.status is not None:
            self._record(delivery, 1, effect.status, "failed", 0.0)
            self._after_failure(delivery, 1)
            return
        if effect.reorder_with or effect.reorder:
            held = _Held(delivery, effect.reorder_with, effect.reorder)
            key = (delivery.destination.key, delivery.event.task_id)
            self._held.setdefault(key, []).append(held)
            limit = self._world.settings.reorder_hold_ms
            self._world.clock.after(limit, functools.partial(self._release, key, held))
            return
        copies = [delivery]
        for number in range(1, int(effect.duplicate) + 1):
            if effect.new_timestamp:
                event = replace(delivery.event, at_ms=delivery.event.at_ms + number)
                copies.append(sealed(self._world.settings, event, delivery.destination))
            else:
                copies.append(delivery)
        for copy in copies:
            if effect.delay_ms:
                self._world.clock.after(effect.delay_ms, functools.partial(self._line_up, copy))
            else:
                self._line_up(copy)

    def _line_up(self, delivery: Delivery) -> None:
        number = next(self._numbers)
        lane = (
            delivery.destination.key,
            delivery.event.task_id,
            0 if self._world.settings.ordered_delivery else number,
        )
        self._lanes.submit(lane, functools.partial(self._first_attempt, delivery))

    async def _first_attempt(self, delivery: Delivery) -> None:
        """Send a delivery, and after it those that were held back for it."""
        await self._attempt(delivery, 1)
        key = (delivery.destination.key, delivery.event.task_id)
        for held in list(self._held.get(key, ())):
            if held.partner is None:
                held.others -= 1
            is_due = held.others <= 0 if held.partner is None else held.partner == delivery.event.type
            if is_due and self._let_go(key, held):
                await self._first_attempt(held.delivery)

    def _release(self, key: tuple[str, str], held: _Held) -> None:
        if self._let_go(key, held):
            self._line_up(held.delivery)

    def _let_go(self, key: tuple[str, str], held: _Held) -> bool:
        """Take a delivery out of those held back; False when it is gone already."""
        waiting = self._held.get(key, [])
        if held not in waiting:
            return False
        waiting.remove(held)
        if not waiting:
            del self._held[key]
        return True

    async def _attempt(self, delivery: Delivery, number: int) -> None:
        settings = self._world.settings
        door = self._doors.get(delivery.destination.key)
        if door is None:
            door = asyncio.Semaphore(settings.deliveries_per_destination)
            self._doors[delivery.destination.key] = door
        status: int | None = None
        error = ""
        async with door:
            started = time.perf_counter()
            try:
                async with self._http.session.post(
                    self._world.mapped(delivery.destination.url),
                    data=delivery.body,
                    headers=delivery.headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=settings.webhook_timeout_ms / 1000),
                ) as response:
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
                error = type(problem).__name__
            latency_ms = (time.perf_counter() - started) * 1000
        delivered = status is not None and 200 <= status < 300
        self._record(delivery, number, status, "delivered" if delivered else "failed", latency_ms, error)
        if delivered:
            self._after_success(delivery)
        else:
            self._after_failure(delivery, number)

    def _after_success(self, delivery: Delivery) -> None:
        subscription = self._world.subscriptions.get(delivery.destination.key)
        if subscription is not None:
            subscription.consecutive_failures = 0

    def _after_failure(self, delivery: Delivery, number: int) -> None:
        settings = self._world.settings
        if number <= len(settings.webhook_retries_ms):
            delay_ms = settings.webhook_retries_ms[number - 1]
            self._world.clock.after(delay_ms, functools.partial(self._retry, delivery, number + 1))
            return
        subscription = self._world.subscriptions.get(delivery.destination.key)
        if subscription is not None:
            subscription.consecutive_failures += 1
            if 0 < settings.inactive_after <= subscription.consecutive_failures:
                subscription.status = "inactive"

    def _retry(self, delivery: Delivery, number: int) -> None:
        self._world.background.spawn(self._attempt(delivery, number))

    def _record(
        self, delivery: Delivery, number: int, status: int | None, outcome: str, latency_ms: float, error: str = ""
    ) -> None:  # fmt: skip
        event, destination = delivery.event, delivery.destination
        self.attempts.append(
            {
                "id": f"delivery-{next(self._numbers)}",
                "destination": destination.kind,
                "destinationId": destination.key,
                "url": destination.url,
                "event": event.type,
                "taskId": event.task_id,
                "eventId": event.id,
                "attempt": number,
                "status": status,
                "outcome": outcome,
                "error": error or None,
                "latencyMs": round(latency_ms, 3),
                "at": self._world.clock.now_ms(),
                "headers": delivery.headers,
                "body": delivery.body,
            }
        )
