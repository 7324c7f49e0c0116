"""What goes wrong with the contact centre in a soak, by chance."""

import asyncio
import random
from collections import Counter
from typing import Any

import aiohttp

Rule = tuple[str, dict[str, Any]]
"""Where it applies (`match.endpoint`, or an event) and what it does."""

REQUEST_FAULTS: tuple[Rule, ...] = (
    *((endpoint, {"status": status}) for endpoint in ("create", "append", "end", "token") for status in (500, 503)),
    *((endpoint, {"status": 429, "retry_after": 1}) for endpoint in ("create", "append", "end")),
    *((endpoint, {"drop": True, "when": "before"}) for endpoint in ("create", "append", "end", "token")),
    *((endpoint, {"drop": True, "when": "after"}) for endpoint in ("create", "append", "end", "token")),
    *((endpoint, {"delay_ms": 900}) for endpoint in ("create", "append", "end", "token")),
    # Longer than a call may take: carried out, never answered in time.
    ("append", {"delay_ms": 11_000, "when": "after", "times": 2}),
    ("create", {"delay_ms": 11_000, "when": "after", "times": 1}),
    ("create", {"reason": "CONVERSATION_CREATION_FAILED", "times": 1}),
)

WEBHOOK_FAULTS: tuple[Rule, ...] = (
    *((endpoint, {"duplicate": 2}) for endpoint in ("asset", "subscription")),
    *((endpoint, {"duplicate": 1, "new_timestamp": True}) for endpoint in ("asset", "subscription")),
    *((endpoint, {"status": 503}) for endpoint in ("asset", "subscription")),
    *((endpoint, {"reorder": 1}) for endpoint in ("asset", "subscription")),
    *((endpoint, {"delay_ms": delay}) for endpoint in ("asset", "subscription") for delay in (100, 700)),
    ("asset", {"delay_ms": 3000}),
    ("task:new", {"reorder_with": "task:parked"}),
    ("task:connect", {"reorder_with": "task:connected"}),
    # Lost for ever: what follows proves them.
    ("task:new", {"drop": True}),
    ("task:parked", {"drop": True}),
    ("task:connect", {"drop": True}),
)

UNORDERED: Rule = ("task:new", {"reorder_with": "task:parked", "times": 20})
"""The first fault of every soak, so that the connection is known to swap its news."""


class Chaos:
    """Installs faults at the emulated contact centre until it is stopped; all chances come from `chance`."""

    def __init__(self, http: aiohttp.ClientSession, chance: random.Random) -> None:
        self._http = http
        self._chance = chance
        self.applied: Counter[str] = Counter()

    async def begin(self) -> None:
        """Install the first fault."""
        await self._install(UNORDERED)

    async def faults(self) -> None:
        """Install a fault every now and then, for ever. Each lasts two seconds or a few calls."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.1, 0.6))
            group = self._chance.choice((REQUEST_FAULTS, WEBHOOK_FAULTS))
            endpoint, effect = self._chance.choice(group)
            times = {"times": self._chance.randint(1, 6)}
            await self._install((endpoint, times | effect | {"for_ms": 2000}))

    async def end(self) -> None:
        """Count what was applied, then remove all faults."""
        await self._count()
        await self._http.delete("/__sim/v1/faults")

    async def _install(self, rule: Rule) -> None:
        where, effect = rule
        match = {"event": where} if ":" in where else {"endpoint": where}
        async with self._http.post("/__sim/v1/faults", json={"match": match, "effect": effect}) as answer:
            assert answer.status == 201, await answer.text()

    async def _count(self) -> None:
        async with self._http.get("/__sim/v1/faults") as answer:
            rules = (await answer.json())["faults"]
        for rule in rules:
            match = rule["match"]
            where = match["event"] if match["event"] != "*" else match["endpoint"]
            self.applied[f"{where} {_named(rule['effect'])}"] += rule["applied"]


def _named(effect: dict[str, Any]) -> str:
    """A short name of an effect."""
    for key in ("status", "reason", "reorder", "reorder_with", "duplicate"):
        if effect[key]:
            return f"{key} {effect[key]}" + (" new timestamp" if effect["new_timestamp"] else "")
    if effect["drop"]:
        return f"drop {effect['when']}"
    return f"delay {effect['delay_ms']} ms {effect['when']}"
