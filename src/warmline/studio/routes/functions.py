"""Functions: the project's Python files, where they are used, and an editor with the checker's findings."""

import asyncio
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from warmline.agent.project.model import Function, Problem, Project
from warmline.agent.project.references import references
from warmline.agent.project.syntax import parse
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.files import FileRefused, ProjectFiles, plain_lines, save_source, with_line_ends
from warmline.studio.finding import engine_of, first
from warmline.studio.gone import again, is_gone, show_gone
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, keep_project
from warmline.studio.views.difference import difference
from warmline.studio.views.sources import import_problems, problems_of
from warmline.studio.views.trial import Entry, choices_for
from warmline.studio.words import say

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,79}")
_STARTER = """\
from _gen import *  # <AUTO GENERATED>


@func_description("Say here when the agent shall call it.")
def {name}(conv: Conversation):
    return {{"utterance": "Say here what the customer reads."}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A function's file. `function` is None when it cannot be used; `used_in` are the files that name it."""

    file: str
    name: str
    function: Function | None = None
    flow: str = ""
    used_in: tuple[str, ...] = ()
    problem: str = ""


class Functions:
    """The pages below /studio/functions."""

    def __init__(self, deps: StudioDeps, pages: Pages, files: Mapping[str, ProjectFiles]) -> None:
        self._deps = deps
        self._pages = pages
        self._files = files

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/functions", self.overview)
        table.post("/functions", self.create, Role.EDITOR)
        table.get("/functions/edit/{file:.+}", self.show)
        table.post("/functions/edit/{file:.+}", self.save, Role.EDITOR)
        table.post("/functions/check/{file:.+}", self.check, Role.EDITOR)
        table.get("/functions/delete/{file:.+}", self.ask_to_delete, Role.EDITOR)
        table.post("/functions/delete/{file:.+}", self.delete, Role.EDITOR)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The functions of the project and of its flows."""
        return self._overview(request, "", "")

    def _overview(self, request: web.Request, entered: str, problem: str) -> web.StreamResponse:
        return self._pages.show(
            request,
            "functions.html",
            status=422 if problem else 200,
            section="functions",
            functions=_listed(self._project(request)),
            entered=entered,
            problem=problem,
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Make a function that says one sentence, ready to be edited."""
        self._project(request)
        name = str((await request.post()).get("name", "")).strip()
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            return self._overview(request, name, "functions.bad_name")
        file = f"functions/{name}.py"
        try:
            await self._files[request[PROJECT]].create(file, _STARTER.format(name=name))
        except FileRefused as refused:
            if refused.code != "exists":
                raise
            return self._overview(request, name, "functions.name_taken")
        await record(self._deps, request, "function_made", file)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"functions/edit/{file}"))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The editor of a function's file."""
        one = self._find(request)
        content = await self._files[request[PROJECT]].read(one.file)
        found = await asyncio.to_thread(problems_of, engine_of(self._deps, request), one.file, content.text)
        found += import_problems(engine_of(self._deps, request), one.file)
        return self._editor(request, one, content.text, content.digest, found, saved="saved" in request.query)

    async def check(self, request: web.Request) -> web.StreamResponse:
        """What the checker says of the text as it is in the editor."""
        gone = await self._is_gone(request)
        file = request.match_info["file"] if gone else self._find(request).file
        code = plain_lines(str((await request.post()).get("code", "")))
        problems = await asyncio.to_thread(problems_of, engine_of(self._deps, request), file, code)
        return self._pages.show(request, "source_problems.html", problems=problems, gone=gone)

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Write the file, unless it is no Python or has changed meanwhile."""
        form = await request.post()
        code, digest = plain_lines(str(form.get("code", ""))), str(form.get("digest", ""))
        if await self._is_gone(request):
            return await self._save_gone(request, code, digest)
        one = self._find(request)
        wrong = await asyncio.to_thread(_not_python, code)
        if wrong is not None:
            problems = await asyncio.to_thread(problems_of, engine_of(self._deps, request), one.file, code)
            return self._editor(request, one, code, digest, problems, wrong=wrong)
        there = await save_source(self._files[request[PROJECT]], one.file, code, digest)
        if there is None:
            await record(self._deps, request, "function_changed", one.file)
            raise web.HTTPSeeOther(
                keep_project(self._deps.folders, request, f"functions/edit/{one.file}", flag="saved")
            )
        return self._pages.show(
            request,
            "source_conflict.html",
            status=409,
            section="functions",
            file=one.file,
            page=f"functions/edit/{one.file}",
            code=code,
            digest=there.digest,
            difference=difference(there.text, with_line_ends(code, there)),
        )

    async def _is_gone(self, request: web.Request) -> bool:
        file = request.match_info["file"]
        return file.endswith(".py") and await is_gone(request, self._files)

    async def _save_gone(self, request: web.Request, code: str, digest: str) -> web.StreamResponse:
        """Create a file again that went away while it was edited, if that is asked for; else ask."""
        file, files = request.match_info["file"], self._files[request[PROJECT]]
        wrong = await asyncio.to_thread(_not_python, code)
        if wrong is not None or not await again(request):
            return await show_gone(
                self._pages,
                request,
                files,
                section="functions",
                pages_of="functions/edit",
                file=file,
                kept={"code": code},
                digest=digest,
                text=code,
                wrong=say("functions.wrong", line=wrong.lineno or 1, text=wrong.msg) if wrong else "",
            )
        await files.create(file, code)
        await record(self._deps, request, "function_made", file)
        listed = any(one.file == file for one in _listed(self._project(request)))
        page = f"functions/edit/{file}" if listed else "functions"
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, page, flag="saved"))

    async def ask_to_delete(self, request: web.Request) -> web.StreamResponse:
        """Say what deleting does."""
        return self._pages.show(request, "function_delete.html", section="functions", one=self._find(request))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Remove a function's file."""
        one = self._find(request)
        await self._files[request[PROJECT]].delete(one.file)
        await record(self._deps, request, "function_deleted", one.file)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, "functions"))

    def _editor(
        self,
        request: web.Request,
        one: Listed,
        code: str,
        digest: str,
        problems: list[Problem],
        *,
        wrong: SyntaxError | None = None,
        saved: bool = False,
    ) -> web.StreamResponse:
        return self._pages.show(
            request,
            "function.html",
            status=422 if wrong else 200,
            section="functions",
            one=one,
            code=code,
            digest=digest,
            wrong=wrong,
            saved=saved,
            problems=problems,
            entry=Entry(),
            choices=choices_for(self._project(request), one.function) if one.function else None,
        )

    def _project(self, request: web.Request) -> Project:
        return engine_of(self._deps, request).project

    def _find(self, request: web.Request) -> Listed:
        wanted = request.match_info["file"]
        return first(one for one in _listed(self._project(request)) if one.file == wanted)


def _not_python(code: str) -> SyntaxError | None:
    try:
        parse(code.removeprefix("\ufeff"))
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxError(str(error) or "it is nested too deeply")
    return None


def _listed(project: Project) -> list[Listed]:
    """Give every function, by file, those that cannot be read included."""
    flows = {flow.folder: flow.name for flow in project.flows}
    texts = [text for topic in project.topics for text in (topic.actions, topic.content)]
    texts += [step.prompt for flow in project.flows for step in flow.steps] + [project.rules]
    named = [reference for text in texts for reference in references(text)]
    found = {}
    for module in project.modules:
        if module.function is not None:
            folder = module.file.split("/")[1] if module.file.startswith("flows/") else ""
            used = {
                reference.file
                for reference in named
                if reference.name == module.function.name
                and reference.kind == ("ft" if folder else "fn")
                and (not folder or reference.file.startswith(f"flows/{folder}/"))
            }
            found[module.file] = Listed(
                file=module.file,
                name=module.function.name,
                function=module.function,
                flow=flows.get(folder, ""),
                used_in=tuple(sorted(used)),
            )
    broken = [*project.broken_functions.values()]
    broken += [problem for flow in project.flows for problem in flow.broken_functions.values()]
    for problem in broken:
        name = problem.file.rpartition("/")[2].removesuffix(".py")
        found[problem.file] = Listed(file=problem.file, name=name, problem=problem.text)
    return sorted(found.values(), key=lambda one: (one.flow, one.file))
