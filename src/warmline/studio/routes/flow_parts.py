"""Flows and their steps: made, renamed with everything that names them, and deleted."""

import asyncio
import keyword
import re
from collections.abc import Mapping

from aiohttp import web

from warmline.agent.project.model import Flow, Project, Step
from warmline.agent.project.names import clean_name
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.files import Content, FileRefused, ProjectFiles, edit_yaml
from warmline.studio.finding import engine_of, first
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, keep_project
from warmline.studio.views.flow_changes import (
    Naming,
    digest_of,
    naming_flow,
    naming_step,
    renamed_flow,
    renamed_step,
)

_STEP_NAME = re.compile(r"[\w &,/.\-]{1,80}")
"""What a step may be called (agent-project.md §2.19)."""
_FUNCTION_NAME = re.compile(r"[a-z_][a-z0-9_]{0,79}")
_LONGEST_NAME, _LONGEST_TEXT = 80, 500
_PROMPT = "Say here what the agent asks or does in this step."
_FUNCTION_STEP = """\
from _gen import *  # <AUTO GENERATED>


def {name}(conv: Conversation, flow: Flow):
    conv.exit_flow()
"""
_TRANSITION = """\
from _gen import *  # <AUTO GENERATED>


@func_description("Say here when the agent shall call it.")
def {name}(conv: Conversation, flow: Flow):
    conv.exit_flow()
"""
KINDS = ("advanced_step", "default_step", "function_step", "transition")
"""What can be added to a flow: the two kinds of steps in YAML, a step in Python, a function that steps may call."""


class FlowParts:
    """What changes which flows and steps there are."""

    def __init__(self, deps: StudioDeps, pages: Pages, files: Mapping[str, ProjectFiles]) -> None:
        self._deps = deps
        self._pages = pages
        self._files = files

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/flows/new", self.blank, Role.EDITOR)
        table.post("/flows/new", self.create, Role.EDITOR)
        table.get("/flows/rename/{folder}", self.ask_to_rename_flow, Role.EDITOR)
        table.post("/flows/rename/{folder}", self.rename_flow, Role.EDITOR)
        table.get("/flows/delete/{folder}", self.ask_to_delete_flow, Role.EDITOR)
        table.post("/flows/delete/{folder}", self.delete_flow, Role.EDITOR)
        table.get("/flows/add/{folder}", self.blank_part, Role.EDITOR)
        table.post("/flows/add/{folder}", self.add, Role.EDITOR)
        table.get("/flows/rename-step/{file:.+}", self.ask_to_rename_step, Role.EDITOR)
        table.post("/flows/rename-step/{file:.+}", self.rename_step, Role.EDITOR)
        table.get("/flows/delete-step/{file:.+}", self.ask_to_delete_step, Role.EDITOR)
        table.post("/flows/delete-step/{file:.+}", self.delete_step, Role.EDITOR)

    async def blank(self, request: web.Request) -> web.StreamResponse:
        """The form of a new flow."""
        self._project(request)
        return self._blank(request, {}, "")

    def _blank(self, request: web.Request, entered: Mapping[str, str], problem: str) -> web.StreamResponse:
        return self._pages.show(
            request,
            "flow_new.html",
            status=422 if problem else 200,
            section="flows",
            entered=entered,
            problem=problem,
        )

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Make a flow with one step, where it begins."""
        project = self._project(request)
        form = await request.post()
        entered = {key: " ".join(str(form.get(key, "")).split()) for key in ("name", "description")}
        problem = _wrong_flow(project, entered["name"], None)
        if not entered["description"] or len(entered["description"]) > _LONGEST_TEXT:
            problem = problem or "flows.no_description"
        if problem:
            return self._blank(request, entered, problem)
        folder = f"flows/{clean_name(entered['name'])}"
        after = {
            f"{folder}/flow_config.yaml": edit_yaml("", {**entered, "start_step": "Start"}),
            f"{folder}/steps/start.yaml": edit_yaml(
                "", {"step_type": "advanced_step", "name": "Start", "prompt": _PROMPT}
            ),
        }
        try:
            await self._files[request[PROJECT]].change({}, after)
        except FileRefused as refused:
            if refused.code != "exists":
                raise
            return self._blank(request, entered, "flows.folder_taken")
        await record(self._deps, request, "flow_made", folder)
        raise web.HTTPSeeOther(self._at(request, f"flows/show/{folder.removeprefix('flows/')}"))

    async def ask_to_rename_flow(self, request: web.Request) -> web.StreamResponse:
        """The form of a flow's new name, and what else would change."""
        flow = self._flow(request)
        naming = naming_flow(self._project(request), flow)
        return await self._ask(request, "rename_flow", flow, None, naming, name=flow.name)

    async def rename_flow(self, request: web.Request) -> web.StreamResponse:
        """Give a flow another name, everywhere."""
        await self._reload(request)
        flow, project = self._flow(request), self._project(request)
        naming = naming_flow(project, flow)
        name = " ".join(str((await request.post()).get("name", "")).split())
        problem = _wrong_flow(project, name, flow)
        if problem:
            return await self._ask(request, "rename_flow", flow, None, naming, name=name, problem=problem)
        before = await self._before(request, flow, None, naming)
        after = await asyncio.to_thread(renamed_flow, flow, naming, before, name)
        changed = await self._change(request, before, after)
        if changed:
            return await self._ask(request, "rename_flow", flow, None, naming, name=name, problem=changed)
        await record(self._deps, request, "flow_renamed", f"{flow.name} > {name}")
        flow = next((f for f in self._project(request).flows if f.name == name), flow)
        raise web.HTTPSeeOther(self._at(request, f"flows/show/{flow.folder}"))

    async def ask_to_delete_flow(self, request: web.Request) -> web.StreamResponse:
        """Say what deleting a flow does, and what would lead nowhere."""
        flow = self._flow(request)
        return await self._ask(request, "delete_flow", flow, None, naming_flow(self._project(request), flow))

    async def delete_flow(self, request: web.Request) -> web.StreamResponse:
        """Remove a flow's folder."""
        flow = self._flow(request)
        naming = naming_flow(self._project(request), flow)
        before = await self._before(request, flow, None, Naming({}, {}))
        changed = await self._change(request, before, {})
        if changed:
            return await self._ask(request, "delete_flow", flow, None, naming, problem=changed)
        await record(self._deps, request, "flow_deleted", f"flows/{flow.folder}")
        raise web.HTTPSeeOther(self._at(request, "flows"))

    async def blank_part(self, request: web.Request) -> web.StreamResponse:
        """The form of a new step or transition function."""
        return self._blank_part(request, self._flow(request), {"kind": KINDS[0]}, "")

    def _blank_part(
        self, request: web.Request, flow: Flow, entered: Mapping[str, str], problem: str
    ) -> web.StreamResponse:
        status = 422 if problem else 200
        values = {"flow": flow, "entered": entered, "problem": problem, "kinds": KINDS}
        return self._pages.show(request, "flow_add.html", status=status, section="flows", **values)

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Make a step or a transition function, ready to be edited."""
        flow = self._flow(request)
        form = await request.post()
        name, kind = " ".join(str(form.get("name", "")).split()), str(form.get("kind", ""))
        if kind not in KINDS:
            raise web.HTTPNotFound
        own = f"flows/{flow.folder}"
        if kind in ("function_step", "transition"):
            taken = flow.find(name) is not None or (kind == "transition" and name in flow.functions)
            bad = not _FUNCTION_NAME.fullmatch(name) or keyword.iskeyword(name)
            problem = "functions.bad_name" if bad else "functions.name_taken" if taken else ""
            place = "function_steps" if kind == "function_step" else "functions"
            file = f"{own}/{place}/{name}.py"
            text = (_FUNCTION_STEP if kind == "function_step" else _TRANSITION).format(name=name)
            page = f"functions/edit/{file}"
        else:
            problem = _wrong_step(flow, name, None)
            file = f"{own}/steps/{clean_name(name)}.yaml"
            lists: dict[str, list[str]] = {"extracted_entities": [], "conditions": []} if kind == "default_step" else {}
            text = edit_yaml("", {"step_type": kind, "name": name, "prompt": _PROMPT, **lists})
            page = f"flows/edit/{file}"
        if problem:
            return self._blank_part(request, flow, {"name": name, "kind": kind}, problem)
        try:
            await self._files[request[PROJECT]].create(file, text)
        except FileRefused as refused:
            if refused.code != "exists":
                raise
            return self._blank_part(request, flow, {"name": name, "kind": kind}, "flows.file_taken")
        await record(self._deps, request, "step_made", file)
        raise web.HTTPSeeOther(self._at(request, page))

    async def ask_to_rename_step(self, request: web.Request) -> web.StreamResponse:
        """The form of a step's new name, and what else would change."""
        flow, step = self._step(request)
        naming = naming_step(self._project(request), flow, step)
        return await self._ask(request, "rename_step", flow, step, naming, name=step.name)

    async def rename_step(self, request: web.Request) -> web.StreamResponse:
        """Give a step another name, everywhere."""
        await self._reload(request)
        flow, step = self._step(request)
        naming = naming_step(self._project(request), flow, step)
        name = " ".join(str((await request.post()).get("name", "")).split())
        problem = _wrong_step(flow, name, step)
        if problem:
            return await self._ask(request, "rename_step", flow, step, naming, name=name, problem=problem)
        before = await self._before(request, flow, step, naming)
        after = await asyncio.to_thread(renamed_step, step, naming, before, name)
        changed = await self._change(request, before, after)
        if changed:
            return await self._ask(request, "rename_step", flow, step, naming, name=name, problem=changed)
        await record(self._deps, request, "step_renamed", f"{step.file} > {name}")
        raise web.HTTPSeeOther(self._at(request, f"flows/show/{flow.folder}"))

    async def ask_to_delete_step(self, request: web.Request) -> web.StreamResponse:
        """Say what deleting a step does, and what would lead nowhere."""
        flow, step = self._step(request)
        return await self._ask(request, "delete_step", flow, step, naming_step(self._project(request), flow, step))

    async def delete_step(self, request: web.Request) -> web.StreamResponse:
        """Remove a step's file."""
        flow, step = self._step(request)
        before = await self._before(request, flow, step, Naming({}, {}))
        changed = await self._change(request, before, {})
        if changed:
            naming = naming_step(self._project(request), flow, step)
            return await self._ask(request, "delete_step", flow, step, naming, problem=changed)
        await record(self._deps, request, "step_deleted", step.file)
        raise web.HTTPSeeOther(self._at(request, f"flows/show/{flow.folder}"))

    async def _ask(
        self,
        request: web.Request,
        act: str,
        flow: Flow,
        step: Step | None,
        naming: Naming,
        *,
        name: str = "",
        problem: str = "",
    ) -> web.StreamResponse:
        changed = naming if act.startswith("rename") else Naming({}, {})
        before = await self._before(request, flow, step, changed)
        return self._pages.show(
            request,
            "flow_change.html",
            status=422 if problem else 200,
            section="flows",
            act=act,
            flow=flow,
            step=step,
            name=name,
            problem=problem,
            named_in=naming.files,
            count=len(before),
            digest=digest_of(before),
        )

    async def _before(self, request: web.Request, flow: Flow, step: Step | None, naming: Naming) -> dict[str, Content]:
        """Read everything that changes: the flow's files or the step's, and those that name it."""
        files = self._files[request[PROJECT]]
        own = [step.file] if step else await files.below(f"flows/{flow.folder}")
        return {file: await files.read(file) for file in dict.fromkeys([*own, *naming.files])}

    async def _change(self, request: web.Request, before: Mapping[str, Content], after: Mapping[str, str]) -> str:
        """Do it if it still is what was asked; else give the text's key of why not."""
        if (await request.post()).get("digest") != digest_of(before):
            return "flows.changed_meanwhile"
        try:
            await self._files[request[PROJECT]].change(before, after)
        except FileRefused as refused:
            if refused.code not in ("changed", "gone", "exists"):
                raise
            return "flows.folder_taken" if refused.code == "exists" else "flows.changed_meanwhile"
        return ""

    async def _reload(self, request: web.Request) -> None:
        """Know where files name things now, not when they were last read."""
        self._project(request)
        await self._deps.engines[request[PROJECT]].reload()

    def _project(self, request: web.Request) -> Project:
        return engine_of(self._deps, request).project

    def _flow(self, request: web.Request) -> Flow:
        wanted = request.match_info["folder"]
        return first(flow for flow in self._project(request).flows if flow.folder == wanted)

    def _step(self, request: web.Request) -> tuple[Flow, Step]:
        wanted = request.match_info["file"]
        for flow in self._project(request).flows:
            for step in flow.steps:
                if step.file == wanted:
                    return flow, step
        raise web.HTTPNotFound

    def _at(self, request: web.Request, path: str) -> str:
        return keep_project(self._deps.folders, request, path)


def _wrong_flow(project: Project, name: str, flow: Flow | None) -> str:
    if not clean_name(name) or len(name) > _LONGEST_NAME:
        return "flows.bad_name"
    return "flows.name_taken" if any(f.name == name for f in project.flows if f != flow) else ""


def _wrong_step(flow: Flow, name: str, step: Step | None) -> str:
    if not _STEP_NAME.fullmatch(name) or not clean_name(name):
        return "flows.bad_step_name"
    found = flow.find(name)
    return "flows.step_taken" if found is not None and found != step else ""
