"""Flows: their steps and the ways between them as a picture and as a list, and an editor for their files."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web

from warmline.agent.project.checker import check_project
from warmline.agent.project.model import Flow, Function, Problem, Project, Step
from warmline.agent.project.references import REFERENCE
from warmline.agent.project.yaml_files import Problems, parse_yaml
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.files import ProjectFiles, plain_lines, save_source, with_line_ends
from warmline.studio.finding import engine_of, first
from warmline.studio.gone import again, is_gone, show_gone
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, keep_project
from warmline.studio.views.difference import difference
from warmline.studio.views.flow_graph import graph_of
from warmline.studio.views.flow_ways import called_by, entered_from, ways_of
from warmline.studio.views.sources import problems_of
from warmline.studio.words import say


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a prompt: plain text, or a reference to the function in `file`."""

    text: str
    file: str = ""


class Flows:
    """The pages below /studio/flows."""

    def __init__(self, deps: StudioDeps, pages: Pages, files: Mapping[str, ProjectFiles]) -> None:
        self._deps = deps
        self._pages = pages
        self._files = files

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/flows", self.overview)
        table.get("/flows/show/{folder}", self.show)
        table.get("/flows/edit/{file:.+}", self.edit)
        table.post("/flows/edit/{file:.+}", self.save, Role.EDITOR)
        table.post("/flows/check/{file:.+}", self.check, Role.EDITOR)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The flows of the project."""
        project = engine_of(self._deps, request).project
        problems = await asyncio.to_thread(check_project, project)
        flows = sorted(project.flows, key=lambda flow: flow.name.casefold())
        return self._pages.show(
            request,
            "flows.html",
            section="flows",
            flows=flows,
            entered={flow.folder: entered_from(project, flow) for flow in flows},
            problems={flow.folder: _of(flow, problems) for flow in flows},
        )

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One flow: the picture, the same as a list, and what the checker says."""
        project = engine_of(self._deps, request).project
        flow = first(flow for flow in project.flows if flow.folder == request.match_info["folder"])
        problems = await asyncio.to_thread(check_project, project)
        ways = ways_of(project, flow)
        return self._pages.show(
            request,
            "flow.html",
            section="flows",
            flow=flow,
            ways=ways,
            graph=graph_of(ways),
            folders={other.name: other.folder for other in project.flows},
            entered=entered_from(project, flow),
            problems=_of(flow, problems),
        )

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """A step with all that belongs to it, or the head of a flow, and the editor of its file."""
        flow, step = self._find(request)
        file = request.match_info["file"]
        content = await self._files[request[PROJECT]].read(file)
        problems = await asyncio.to_thread(problems_of, engine_of(self._deps, request), file, content.text)
        return self._editor(request, flow, step, content.text, content.digest, problems, saved="saved" in request.query)

    async def check(self, request: web.Request) -> web.StreamResponse:
        """What the checker says of the text as it is in the editor."""
        gone = await self._is_gone(request)
        if not gone:
            self._find(request)
        text = plain_lines(str((await request.post()).get("code", "")))
        problems = await asyncio.to_thread(
            problems_of, engine_of(self._deps, request), request.match_info["file"], text
        )
        return self._pages.show(request, "source_problems.html", problems=problems, gone=gone)

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Write the file, unless it is no YAML or has changed meanwhile."""
        file = request.match_info["file"]
        form = await request.post()
        text, digest = plain_lines(str(form.get("code", ""))), str(form.get("digest", ""))
        if await self._is_gone(request):
            return await self._save_gone(request, text, digest)
        flow, step = self._find(request)
        wrong = await asyncio.to_thread(_not_yaml, text, file)
        if wrong is not None:
            problems = await asyncio.to_thread(problems_of, engine_of(self._deps, request), file, text)
            return self._editor(request, flow, step, text, digest, problems, wrong=wrong)
        there = await save_source(self._files[request[PROJECT]], file, text, digest)
        if there is None:
            await record(self._deps, request, "flow_changed", file)
            raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"flows/edit/{file}", flag="saved"))
        return self._pages.show(
            request,
            "source_conflict.html",
            status=409,
            section="flows",
            file=file,
            page=f"flows/edit/{file}",
            code=text,
            digest=there.digest,
            difference=difference(there.text, with_line_ends(text, there)),
        )

    async def _is_gone(self, request: web.Request) -> bool:
        file = request.match_info["file"]
        return file.endswith((".yaml", ".yml")) and await is_gone(request, self._files)

    async def _save_gone(self, request: web.Request, text: str, digest: str) -> web.StreamResponse:
        """Create a file again that went away while it was edited, if that is asked for; else ask."""
        file, files = request.match_info["file"], self._files[request[PROJECT]]
        wrong = await asyncio.to_thread(_not_yaml, text, file)
        if wrong is not None or not await again(request):
            return await show_gone(
                self._pages,
                request,
                files,
                section="flows",
                pages_of="flows/edit",
                file=file,
                kept={"code": text},
                digest=digest,
                text=text,
                wrong=say("flows.wrong", line=wrong.line, text=wrong.text) if wrong else "",
            )
        await files.create(file, text)
        await record(self._deps, request, "flow_changed", file)
        folder = file.split("/")[1]
        known = any(flow.folder == folder for flow in engine_of(self._deps, request).project.flows)
        page = f"flows/edit/{file}" if known else "flows"
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, page, flag="saved"))

    def _editor(
        self,
        request: web.Request,
        flow: Flow,
        step: Step | None,
        code: str,
        digest: str,
        problems: list[Problem],
        *,
        wrong: Problem | None = None,
        saved: bool = False,
    ) -> web.StreamResponse:
        project = engine_of(self._deps, request).project
        ways = ways_of(project, flow)
        return self._pages.show(
            request,
            "flow_step.html",
            status=422 if wrong else 200,
            section="flows",
            file=request.match_info["file"],
            flow=flow,
            step=step,
            pieces=list(_pieces(project, flow, step)) if step else (),
            functions=list(called_by(project, flow, step)) if step else (),
            entities={name: project.entities.get(name) for name in step.entities} if step else {},
            out=ways.out_of(step.name) if step else (),
            into=ways.into(step.name) if step else (),
            is_start=step is not None and ways.start is not None and ways.start.file == step.file,
            folders={other.name: other.folder for other in project.flows},
            code=code,
            digest=digest,
            problems=problems,
            wrong=wrong,
            saved=saved,
        )

    def _find(self, request: web.Request) -> tuple[Flow, Step | None]:
        """Give the flow that a file belongs to, and the step that it holds; a file that cannot be read holds none.

        Raises:
            HTTPNotFound: it is neither the head of a flow nor a step's file.
        """
        file = request.match_info["file"]
        for flow in engine_of(self._deps, request).project.flows:
            if file == flow.file:
                return flow, None
            step = next((step for step in flow.steps if step.file == file), None)
            if step is not None:
                return flow, step
            unread = [p.file for p in engine_of(self._deps, request).project.problems if p.file == file]
            if unread and file.startswith(f"flows/{flow.folder}/steps/"):
                return flow, None
        raise web.HTTPNotFound


def _of(flow: Flow, problems: tuple[Problem, ...]) -> list[Problem]:
    return [problem for problem in problems if problem.file.startswith(f"flows/{flow.folder}/")]


def _not_yaml(text: str, file: str) -> Problem | None:
    problems = Problems()
    return problems.found[-1] if parse_yaml(text.removeprefix("\ufeff"), file, problems) is None else None


def _pieces(project: Project, flow: Flow, step: Step) -> Iterator[Piece]:
    """Give a step's prompt with the functions that it names to be linked."""
    prompt, end = step.prompt.value, 0
    for match in REFERENCE.finditer(prompt):
        known: Mapping[str, Function] = {"ft": flow.functions, "fn": project.functions}.get(match[1], {})
        function = known.get(match[2].strip())
        if function is not None:
            yield Piece(prompt[end : match.start()])
            yield Piece(match[0], function.file)
            end = match.end()
    yield Piece(prompt[end:])
