"""Settings > System health: what `warmline doctor` tells, of the server that shows this page."""

from aiohttp import web

from warmline.ports import Level
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import VISITOR, Pages


class Health:
    """One page that looks again by itself."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/settings/health", self.show)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """What is found, the worst first; the list alone when the page asks for news."""
        sees = request[VISITOR].user.sees
        found = [item for item in await self._deps.health.look() if not item.project_id or sees(item.project_id)]
        order = (Level.FAIL, Level.WARN, Level.OK)
        return self._pages.show(
            request,
            "health_findings.html" if "HX-Request" in request.headers else "health.html",
            section="settings",
            tab="health",
            findings=sorted(found, key=lambda item: order.index(item.level)),
            worst=next((level for level in order if any(item.level is level for item in found)), Level.OK),
            looked_at=self._deps.clock.now(),
        )
