"""Configure > Integrations: a tile for each provider, and the dialog that connects one."""

from collections.abc import Mapping

from aiohttp import web

from warmline.handoff.connect import connect, draft
from warmline.handoff.manifest import Manifest
from warmline.handoff.verdicts import CheckReport
from warmline.ports import Connection, Role, Unfinished
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, VISITOR, Pages

_STALLED_MS = 15_000
"""A delivery that waits longer is told of, long before a destination counts as down."""


class Integrations:
    """Tiles and the Connect dialog; drawn from manifests, so that no page knows a provider."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/integrations", self.tiles)
        table.get("/integrations/new/{provider}", self.dialog, Role.ADMIN)
        table.post("/integrations/new/{provider}", self.connect, Role.ADMIN)
        table.get("/integrations/{connection}/change", self.change_dialog, Role.ADMIN)
        table.post("/integrations/{connection}/change", self.change, Role.ADMIN)

    async def tiles(self, request: web.Request) -> web.StreamResponse:
        """What can be connected, and what is; the states alone when the page asks for news."""
        project_id = request[PROJECT]
        known = [c for c in await self._deps.store.connections() if c.project_id == project_id]
        tiles = [
            (manifest, [c for c in known if c.provider == manifest.key])
            for manifest in self._deps.registry.manifests.values()
        ]
        waiting = {c.id: await self._deps.store.waiting_for(c.id) for c in known}
        ways = {key: way(self._deps, key, found) for key, found in waiting.items()}
        template = "integration_states.html" if "HX-Request" in request.headers else "integrations.html"
        return self._pages.show(request, template, section="integrations", tiles=tiles, ways=ways)

    async def dialog(self, request: web.Request) -> web.StreamResponse:
        """The empty Connect dialog with what Warmline generated for it."""
        manifest = self._manifest(request)
        connection_id, generated = draft(self._deps.registry, self._deps.ids, manifest.key)
        values = {item.key: item.default for item in manifest.fields} | generated
        return self._dialog(request, manifest, values, connection_id=connection_id, name=manifest.title)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Test what was entered; save it when every step passes."""
        manifest = self._manifest(request)
        form = await request.post()
        connection_id = str(form.get("connection_id", ""))
        if any(c.id == connection_id for c in await self._deps.store.connections()):
            # The same form again, after it has worked: another tab, or the way back.
            raise web.HTTPSeeOther(self._page(request, connection_id))
        return await self._try(request, manifest, None, connection_id)

    async def change_dialog(self, request: web.Request) -> web.StreamResponse:
        """The dialog of a connection; its secrets stay where they are."""
        connection = await find_connection(self._deps, request)
        manifest = self._deps.registry.manifests[connection.provider]
        values = {item.key: item.default for item in manifest.fields} | dict(connection.values)
        return self._dialog(request, manifest, values, connection=connection, name=connection.name)

    async def change(self, request: web.Request) -> web.StreamResponse:
        """Test and save changed fields; running handoffs go on."""
        connection = await find_connection(self._deps, request)
        return await self._try(request, self._deps.registry.manifests[connection.provider], connection, connection.id)

    async def _try(
        self, request: web.Request, manifest: Manifest, existing: Connection | None, connection_id: str
    ) -> web.StreamResponse:
        form = await request.post()
        entered = {item.key: str(form.get(item.key, "")).strip() for item in manifest.fields}
        name = str(form.get("name", "")).strip()[:100] or manifest.title
        report, connection = await connect(
            self._deps.store,
            self._deps.registry,
            self._deps.clock,
            self._deps.ids,
            manifest.key,
            existing.project_id if existing else request[PROJECT],
            {item.key: entered[item.key] for item in manifest.fields if not item.secret},
            {item.key: entered[item.key] for item in manifest.fields if item.secret},
            name,
            connection_id=connection_id,
        )
        if connection is not None:
            await record(self._deps, request, "connection_changed" if existing else "connected", connection.id)
            target = self._page(request, connection.id)
            if "HX-Request" in request.headers:
                return web.Response(headers={"HX-Redirect": target})
            raise web.HTTPSeeOther(target)
        return self._dialog(
            request, manifest, entered, connection_id=connection_id, connection=existing, name=name, report=report
        )

    def _dialog(
        self,
        request: web.Request,
        manifest: Manifest,
        values: Mapping[str, str],
        *,
        name: str,
        connection_id: str = "",
        connection: Connection | None = None,
        report: CheckReport | None = None,
    ) -> web.StreamResponse:
        wrong = {v.field: v for v in report.verdicts if not v.ok and v.field} if report else {}
        return self._pages.show(
            request,
            "connect.html",
            status=422 if report and "HX-Request" not in request.headers else 200,
            section="integrations",
            manifest=manifest,
            values=values,
            name=name,
            connection=connection,
            connection_id=connection_id,
            report=report,
            wrong=wrong,
        )

    def _manifest(self, request: web.Request) -> Manifest:
        manifest = self._deps.registry.manifests.get(request.match_info["provider"])
        if manifest is None or not request[PROJECT]:
            raise web.HTTPNotFound
        return manifest

    def _page(self, request: web.Request, connection_id: str) -> str:
        query = f"?project={request[PROJECT]}" if len(self._deps.folders) > 1 else ""
        return f"/studio/integrations/{connection_id}{query}"


def way(deps: StudioDeps, connection_id: str, waiting: Unfinished) -> str:
    """How deliveries get through to a connection now: "down", "stalled" while the oldest waits too long, else ""."""
    if deps.destinations().get(connection_id) == "down":
        return "down"
    return "stalled" if waiting.count and deps.clock.now() - waiting.since > _STALLED_MS else ""


async def find_connection(deps: StudioDeps, request: web.Request) -> Connection:
    """The connection that the address names, if the visitor may see its project."""
    wanted = request.match_info["connection"]
    found = next((c for c in await deps.store.connections() if c.id == wanted), None)
    if found is None or not request[VISITOR].user.sees(found.project_id):
        raise web.HTTPNotFound
    return found
