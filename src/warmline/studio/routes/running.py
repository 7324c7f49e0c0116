"""Running a function with a sample conversation, in the engine's own workers and never in the server's process."""

import asyncio

import structlog
from aiohttp import web

from warmline.agent.project.model import Function
from warmline.agent.turn.arguments import ArgumentWrong
from warmline.agent.turn.trying import Tried
from warmline.conversation.planning import HandoffPlanner, Planned
from warmline.domain.turn import HandoffRequest
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.finding import engine_of, first
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages
from warmline.studio.views.trial import EntryWrong, changes, log_lines, pretty, read_entry
from warmline.studio.words import say

_AT_ONCE = 2
"""Trials that run at the same time; more wait, so that customers' conversations find free workers."""
_log = structlog.get_logger(__name__)


class Running:
    """The trials below /studio/functions/run."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages
        self._planner = HandoffPlanner(deps.registry, deps.ids)
        self._room = asyncio.Semaphore(_AT_ONCE)

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.post("/functions/run/{file:.+}", self.run, Role.EDITOR)

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Run the function as saved and show what it did and would have caused."""
        function = self._function(request)
        entry = read_entry(await request.post())
        tried: Tried | None = None
        problem = ""
        try:
            sample = entry.sample()
            async with self._room:
                engine = self._deps.engines[request[PROJECT]]
                tried = await engine.try_function(function.file, entry.arguments, sample)
            if tried is None:
                raise web.HTTPNotFound
        except EntryWrong as wrong:
            problem = say(f"run.{wrong.key}", **wrong.values)
        except ArgumentWrong as wrong:
            problem = f"{wrong}."
        if tried is not None:
            await record(self._deps, request, "function_run", function.file)
            _log.info("studio.function_run", project=request[PROJECT], file=function.file, failed=tried.failed)
        return self._show(request, function, tried, problem)

    def _show(self, request: web.Request, function: Function, tried: Tried | None, problem: str) -> web.StreamResponse:
        planned = self._planned(request, tried.outcome.handoff if tried else None)
        connection = None
        if planned is not None and planned.plan is not None and not planned.plan.by_client:
            connection = self._deps.registry.connection(planned.plan.connection_id)
        return self._pages.show(
            request,
            "function_ran.html" if "HX-Request" in request.headers else "function_run.html",
            status=422 if problem else 200,
            section="functions",
            function=function,
            problem=problem,
            tried=tried,
            planned=planned,
            connection=connection,
            returned=pretty(tried.returned) if tried else "",
            changes=changes(tried) if tried else (),
            moved=any(entry.kind == "moved" for entry in tried.outcome.trace) if tried else False,
            log=log_lines(tried) if tried else (),
            findings=[*tried.outcome.findings, *(planned.findings if planned else ())] if tried else (),
            pretty=pretty,
        )

    def _planned(self, request: web.Request, wanted: HandoffRequest | None) -> Planned | None:
        return self._planner.plan(request[PROJECT], wanted) if wanted is not None else None

    def _function(self, request: web.Request) -> Function:
        wanted = request.match_info["file"]
        module = first(one for one in engine_of(self._deps, request).project.modules if one.file == wanted)
        if module.function is None:
            raise web.HTTPNotFound
        return module.function
