"""The dashboard: how many, how they came out, how long people waited."""

import csv
import io

from aiohttp import web

from warmline.ports import Period, Statistics
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, day, hour, moment
from warmline.studio.views.chart import chart

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_RANGES = {"day": (24, _HOUR_MS), "week": (7, _DAY_MS), "month": (30, _DAY_MS)}


class Dashboard:
    """Numbers of a project."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/dashboard", self.show)
        table.get("/dashboard.csv", self.export)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The page."""
        chosen, period, found = await self._found(request)
        names = {c.id: c.name for c in await self._deps.store.connections() if c.project_id == request[PROJECT]}
        connections: dict[str, dict[str, int]] = {}
        for connection_id, outcome, count in found.outcomes:
            connections.setdefault(connection_id, {})[outcome] = count
        name = hour if period.step == _HOUR_MS else day
        return self._pages.show(
            request,
            "dashboard.html",
            section="dashboard",
            ranges=tuple(_RANGES),
            chosen=chosen,
            sandbox=period.sandbox,
            found=found,
            handoffs=sum(count for _, _, count in found.outcomes),
            chart=chart(found.columns, [name(column.at) for column in found.columns]),
            column_name=name,
            connections=connections,
            names=names,
            outcomes=("completed", "failed", "timed_out", "customer_left", "by_operator", ""),
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """The chart's numbers as CSV."""
        chosen, _, found = await self._found(request)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("from", "conversations", "handed over"))
        writer.writerows((moment(c.at), c.conversations, c.handed_over) for c in found.columns)
        headers = {"Content-Disposition": f'attachment; filename="conversations-{chosen}.csv"'}
        return web.Response(text=text.getvalue(), content_type="text/csv", headers=headers)

    async def _found(self, request: web.Request) -> tuple[str, Period, Statistics]:
        asked = request.query.get("range", "week")
        chosen = asked if asked in _RANGES else "week"
        count, step = _RANGES[chosen]
        until = (self._deps.clock.now() // step + 1) * step
        period = Period(
            project_id=request[PROJECT],
            since=until - count * step,
            until=until,
            step=step,
            sandbox="sandbox" in request.query,
        )
        return chosen, period, await self._deps.store.statistics(period)
