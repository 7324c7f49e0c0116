"""What shows of a server that runs: its parts, its nodes, its database, its disk, its clock."""

import platform
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from warmline import __version__
from warmline.delivery.service import Delivery
from warmline.domain.errors import StoreUnavailable, WarmlineError
from warmline.handoff.registry import Registry
from warmline.health.installation import backlog, connection_findings, sealed
from warmline.ports import Clock, Finding, Level, Store

Check = Callable[[], Awaitable[None]]
"""Raises WarmlineError when its part is not ready."""
_FEW_BYTES = 2 * 1024**3
_APART_MS = 2_000
_PARTS = {
    "store": "The database answers.",
    "bus": "Other nodes can be told at once what changed.",
    "delivery": "This node may send what waits.",
    "migrations": "The database has a schema that this program understands.",
    "server": "This node takes in new customers.",
}
_REMEDIES = {
    "store": "Look at the database: is it running, can it be reached, is its disk full?",
    "bus": "Everything goes on, a little later. Look at the bus (PostgreSQL or NATS) and the network between.",
    "delivery": "Its leases could not be renewed. Look at the database, and at the load of this machine.",
    "migrations": "Another node runs a newer release that this one cannot work beside: update this one.",
}


class SystemHealth:
    """Implements `ports.LooksAfterSystem`.

    Args:
        checks: what `/readyz` asks, by part.
        folder: where the database file lies; None: it is on another server, and this process's folder is looked at.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        delivery: Delivery,
        clock: Clock,
        checks: Mapping[str, Check],
        folder: Path | None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._delivery = delivery
        self._clock = clock
        self._checks = checks
        self._folder = folder

    async def look(self) -> list[Finding]:
        """Everything; stops at the store when it cannot be read."""
        found = [await self._part(name, check) for name, check in self._checks.items()]
        found.append(self._disk())
        try:
            found += await self._database()
            found += await self._nodes()
            found.append(await sealed(self._store))
            found += await backlog(self._store, self._clock.now())
            found += await self._event_webhooks()
            found += await connection_findings(
                self._store, self._registry, inspect=False, destinations=self._delivery.health.states()
            )
        except StoreUnavailable as error:
            found.append(Finding(Level.FAIL, "database", f"It cannot be read ({error.code}).", _REMEDIES["store"]))
        found.append(Finding(Level.OK, "version", f"Warmline {__version__} on Python {platform.python_version()}."))
        return found

    async def _part(self, name: str, check: Check) -> Finding:
        try:
            await check()
        except WarmlineError as error:
            return Finding(Level.FAIL, name, f"Not ready: {error}.", _REMEDIES.get(name, "See the server's log."))
        return Finding(Level.OK, name, _PARTS.get(name, "Ready."))

    def _disk(self) -> Finding:
        usage = shutil.disk_usage(self._folder or Path.cwd())
        where = "the database lies" if self._folder else "this process runs"
        text = f"{_size(usage.free)} of {_size(usage.total)} are free where {where}."
        few = usage.free < _FEW_BYTES or usage.free < usage.total / 50
        remedy = "Make room, or let old conversations be deleted (Settings). When the disk is full nothing is accepted."
        return Finding(Level.WARN if few else Level.OK, "disk", text, remedy)

    async def _database(self) -> list[Finding]:
        began = self._clock.monotonic()
        facts = await self._store.facts()
        now = self._clock.now()
        taken_ms = round((self._clock.monotonic() - began) * 1000)
        text = f"{facts.version}, {_size(facts.size_bytes)}, schema {facts.schema}, answers in {taken_ms} ms."
        slow = taken_ms > 250
        remedy = "Slow answers hold up every message. Is its disk busy, or the network between slow?"
        found = [Finding(Level.WARN if slow else Level.OK, "database", text, remedy)]
        apart = abs(facts.now - now)
        wrong = apart > _APART_MS + taken_ms
        text = f"This machine's and the database's clocks differ by {apart} ms."
        remedy = "Let both follow a time server (NTP): deadlines, leases and signatures depend on it."
        return [*found, Finding(Level.WARN if wrong else Level.OK, "clock", text, remedy)]

    async def _nodes(self) -> list[Finding]:
        names = await self._store.nodes(self._clock.now())
        held = len(self._delivery.leases.held)
        text = f"{len(names)}: {', '.join(names)}. This one holds {held} of 64 partitions."
        remedy = (
            "Without partitions a node sends nothing. They come within seconds, unless the database is out of reach."
        )
        return [Finding(Level.OK if held or len(names) > 1 else Level.WARN, "nodes", text, remedy)]

    async def _event_webhooks(self) -> list[Finding]:
        receivers = {receiver.id: receiver for receiver in await self._store.receivers()}
        if not receivers:
            return []
        backlogs = await self._store.backlogs()
        waiting = sum(b.waiting for b in backlogs.values())
        dead = sum(b.dead for b in backlogs.values())
        troubled = sorted(r.name for key, r in receivers.items() if key in backlogs and backlogs[key].error)
        text = f"{len(receivers)} receivers, {waiting} events waiting, {dead} given up."
        if troubled:
            text += f" In trouble: {', '.join(troubled)}."
        remedy = "See Settings > Event webhooks for why, and to send again what was given up."
        return [Finding(Level.WARN if dead or troubled else Level.OK, "event webhooks", text, remedy)]


def _size(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
