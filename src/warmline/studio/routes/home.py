"""The start page: five steps that tick themselves off as they really happen."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from warmline.agent.project.model import Project
from warmline.agent.project.references import references
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, keep_project
from warmline.studio.words import say

Offer = Callable[[str], Awaitable[object]]
"""Connects a project, named by its id, to an emulated contact centre that runs beside this server."""


@dataclass(frozen=True, slots=True)
class Step:
    """One of the five steps. `detail` names what ticked it off; `page` is where it is done, below /studio/."""

    key: str
    done: bool
    detail: str = ""
    page: str = ""


class Home:
    """The checklist."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages
        self.emulator: Offer | None = None

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/", self.show)
        table.post("/emulator", self.connect_emulator, Role.ADMIN)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The start page, or its list alone when the page asks for news."""
        steps = await self._steps(request[PROJECT])
        template = "home_steps.html" if "HX-Request" in request.headers else "home.html"
        dead = await self._deps.store.dead_count(project_id=request[PROJECT]) if request[PROJECT] else 0
        return self._pages.show(
            request,
            template,
            section="home",
            steps=steps,
            done=all(s.done for s in steps),
            dead=dead,
            emulator=self.emulator is not None,
            integration=next((f"{key}_integration" for key in self._deps.registry.manifests), ""),
        )

    async def connect_emulator(self, request: web.Request) -> web.StreamResponse:
        """Connect the emulated contact centre that the server was started with."""
        if self.emulator is None or not request[PROJECT]:
            raise web.HTTPNotFound
        await self.emulator(request[PROJECT])
        await record(self._deps, request, "connected", "emulator")
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, ""))

    async def _steps(self, project_id: str) -> list[Step]:
        if not project_id:
            return []
        connected = [c.name for c in await self._deps.store.connections() if c.project_id == project_id]
        project = self._deps.engines[project_id].project
        functions = _handoff_functions(project)
        topics = _wired(project, functions)
        reached = await self._deps.store.milestones(project_id)
        return [
            Step("connect", bool(connected), ", ".join(connected), "integrations"),
            Step(
                "function", bool(functions or topics), ", ".join(functions) or say("home.function_topics"), "functions"
            ),
            Step("wire", bool(topics), ", ".join(topics), "knowledge"),
            Step("talk", reached.joined > 0, page="channels"),
            Step("end", reached.completed > 0),
        ]


def _handoff_functions(project: Project) -> list[str]:
    """Names of global functions whose code returns a handoff."""
    by_file = {module.file for module in project.modules if module.handoff_keys}
    return sorted(function.name for function in project.functions.values() if function.file in by_file)


def _wired(project: Project, functions: Iterable[str]) -> list[str]:
    """Names of topics whose actions lead to a human."""
    wanted = set(functions)
    return sorted(
        topic.name
        for topic in project.topics
        if topic.enabled
        and any(
            reference.kind == "ho" or (reference.kind == "fn" and reference.name in wanted)
            for reference in references(topic.actions)
        )
    )
