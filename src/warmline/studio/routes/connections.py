"""The page of one connection: its health, new secrets, and how to disconnect it."""

import asyncio
from typing import Any

from aiohttp import web

from warmline.handoff.contract import CountsCalls, InspectsConnections
from warmline.handoff.rotate import rotate, rotations
from warmline.handoff.verdicts import Verdict
from warmline.ports import Connection, Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import Pages
from warmline.studio.routes.integrations import find_connection, way
from warmline.studio.views.letters import cause

_DAY_MS = 86_400_000
_LOOK_S = 20.0
"""Seconds that looking at the contact centre may take."""


class Connections:
    """Health, rotation and removal of a connection."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/integrations/{connection}", self.health)
        table.get("/integrations/{connection}/findings", self.findings)
        table.post("/integrations/{connection}/rotate", self.rotate, Role.ADMIN)
        table.get("/integrations/{connection}/disconnect", self.ask_to_disconnect, Role.ADMIN)
        table.post("/integrations/{connection}/disconnect", self.disconnect, Role.ADMIN)

    async def health(self, request: web.Request) -> web.StreamResponse:
        """State, what was heard when, what waits and what was given up."""
        return await self._show(request, await find_connection(self._deps, request))

    async def _show(self, request: web.Request, connection: Connection, **more: Any) -> web.StreamResponse:
        store = self._deps.store
        manifest = self._deps.registry.manifests[connection.provider]
        heard = await store.last_webhooks()
        named = rotations(manifest)
        now = self._deps.clock.now()
        provider = self._deps.registry.get(connection.id)
        relayed = await store.relay_spreads([connection.id], since=now - _DAY_MS, until=now)
        waiting = await store.waiting_for(connection.id)
        values: dict[str, Any] = {
            "connection": self._deps.registry.connection(connection.id) or connection,
            "manifest": manifest,
            "heard": [(endpoint, heard.get((connection.id, endpoint), 0)) for endpoint in manifest.webhook_endpoints],
            "addresses": [
                (item, connection.values.get(item.key, ""))
                for item in manifest.fields
                if item.generate == "webhook_url" and not item.hidden
            ],
            "rotations": [items[0] for items in named.values() if all(item.generate for item in items)],
            "handoffs": await store.open_handoffs(connection.id),
            "dead": await store.dead_count(connection_id=connection.id),
            "way": way(self._deps, connection.id, waiting),
            "waiting": waiting,
            "troubles": [(cause(t.error), t) for t in await store.troubles(connection.id)],
            "calls": provider.calls() if isinstance(provider, CountsCalls) else None,
            "relayed": {leg.value: spread for (_, leg), spread in relayed.items()},
            "rotated": None,
        }
        template = "connection_health.html" if "HX-Request" in request.headers else "connection.html"
        return self._pages.show(request, template, section="integrations", **(values | more))

    async def findings(self, request: web.Request) -> web.StreamResponse:
        """What looking at the contact centre finds, as a part of the page: it takes a moment."""
        connection = await find_connection(self._deps, request)
        module = self._deps.registry.module(connection.provider)
        verdicts: tuple[Verdict, ...] = ()
        late = False
        if isinstance(module, InspectsConnections):
            heard = await self._deps.store.last_webhooks()
            paths = {endpoint: at for (owner, endpoint), at in heard.items() if owner == connection.id}
            try:
                async with asyncio.timeout(_LOOK_S):
                    environment = self._deps.registry.environment(connection.id)
                    verdicts = await module.inspect(connection, environment, paths)
            except TimeoutError:
                late = True
        return self._pages.show(request, "connection_findings.html", verdicts=verdicts, late=late)

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        """Make a new secret and show it, once."""
        connection = await find_connection(self._deps, request)
        which = str((await request.post()).get("which", ""))
        d = self._deps
        rotated = await rotate(d.store, d.registry, d.clock, d.ids, connection.id, which)
        await record(self._deps, request, "secret_rotated", f"{connection.id} {which}")
        return await self._show(request, connection, rotated=rotated)

    async def ask_to_disconnect(self, request: web.Request) -> web.StreamResponse:
        """Say what disconnecting does."""
        connection = await find_connection(self._deps, request)
        handoffs = await self._deps.store.open_handoffs(connection.id)
        return self._pages.show(
            request, "disconnect.html", section="integrations", connection=connection, handoffs=handoffs
        )

    async def disconnect(self, request: web.Request) -> web.StreamResponse:
        """Remove our registrations and the connection."""
        connection = await find_connection(self._deps, request)
        await self._deps.registry.remove(connection.id)
        await record(self._deps, request, "disconnected", f"{connection.id} {connection.name}")
        raise web.HTTPSeeOther("/studio/integrations")
