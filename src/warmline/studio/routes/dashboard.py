"""The dashboard: how many, how they came out, how long people waited."""

import csv
import io
from collections.abc import Iterable

from aiohttp import web

from warmline.ports import Leg, Period, Spread, Statistics
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, day, hour, moment
from warmline.studio.views.chart import NARROW, WIDTH, chart

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_OUTCOMES = ("completed", "failed", "timed_out", "customer_left", "by_operator", "")
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
        table.get("/dashboard-connections.csv", self.export_connections)
        table.get("/dashboard-reasons.csv", self.export_reasons)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The page."""
        chosen, period, found = await self._found(request)
        names = {c.id: c.name for c in await self._deps.store.connections() if c.project_id == request[PROJECT]}
        connections = _by_connection(found)
        name = hour if period.step == _HOUR_MS else day
        labels = [name(column.at) for column in found.columns]
        return self._pages.show(
            request,
            "dashboard.html",
            section="dashboard",
            ranges=tuple(_RANGES),
            chosen=chosen,
            sandbox=period.sandbox,
            found=found,
            handoffs=sum(count for _, _, count in found.outcomes),
            charts=[chart(found.columns, labels, width) for width in (WIDTH, NARROW)],
            column_name=name,
            connections=connections,
            names=names,
            outcomes=_OUTCOMES,
            time_outs=sum(counts.get("timed_out", 0) for counts in connections.values()),
            relayed=await self._relayed(names, period),
            Leg=Leg,
        )

    async def _relayed(self, connections: Iterable[str], period: Period) -> dict[str, dict[Leg, Spread]]:
        """Both legs and failures, by connection; only of connections that had any."""
        spreads = await self._deps.store.relay_spreads(list(connections), since=period.since, until=period.until)
        found: dict[str, dict[Leg, Spread]] = {}
        for (connection_id, leg), spread in spreads.items():
            found.setdefault(connection_id, {})[leg] = spread
        return found

    async def export(self, request: web.Request) -> web.StreamResponse:
        """The chart's numbers as CSV."""
        chosen, _, found = await self._found(request)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("from", "conversations", "handed over"))
        writer.writerows((moment(c.at), c.conversations, c.handed_over) for c in found.columns)
        return _csv(text.getvalue(), f"conversations-{chosen}.csv")

    async def export_connections(self, request: web.Request) -> web.StreamResponse:
        """The tables of connections as CSV. Times are milliseconds."""
        chosen, period, found = await self._found(request)
        names = {c.id: c.name for c in await self._deps.store.connections() if c.project_id == request[PROJECT]}
        relayed = await self._relayed(names, period)
        outcomes = _by_connection(found)
        text = io.StringIO()
        writer = csv.writer(text)
        legs = [f"{leg.value} {what}" for leg in Leg for what in ("messages", "p50 ms", "p95 ms")]
        writer.writerow(("connection", *(outcome or "under way" for outcome in _OUTCOMES), *legs))
        for connection_id in dict.fromkeys((*names, *outcomes)):
            spreads = [relayed.get(connection_id, {}).get(leg, Spread(count=0, p50=None, p95=None)) for leg in Leg]
            counts = [outcomes.get(connection_id, {}).get(outcome, 0) for outcome in _OUTCOMES]
            times = [value for spread in spreads for value in (spread.count, spread.p50, spread.p95)]
            writer.writerow((_harmless(names.get(connection_id, connection_id)), *counts, *times))
        return _csv(text.getvalue(), f"connections-{chosen}.csv")

    async def export_reasons(self, request: web.Request) -> web.StreamResponse:
        """The most frequent reasons of handoffs as CSV."""
        chosen, _, found = await self._found(request)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("reason", "handoffs"))
        writer.writerows((_harmless(reason), count) for reason, count in found.reasons)
        return _csv(text.getvalue(), f"reasons-{chosen}.csv")

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


def _by_connection(found: Statistics) -> dict[str, dict[str, int]]:
    """How many handoffs came out how, by connection."""
    connections: dict[str, dict[str, int]] = {}
    for connection_id, outcome, count in found.outcomes:
        connections.setdefault(connection_id, {})[outcome] = count
    return connections


def _csv(text: str, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return web.Response(text=text, content_type="text/csv", headers=headers)


def _harmless(name: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
