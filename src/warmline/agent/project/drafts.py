"""A project as it would be with another text in one of its files, so that the text can be checked unsaved."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from warmline.agent.project.checker import check_project
from warmline.agent.project.flow_files import read_flow, read_step
from warmline.agent.project.model import Flow, Function, FunctionKind, Problem, Project
from warmline.agent.project.python_files import parse_module
from warmline.agent.project.yaml_files import Problems, parse_yaml

_T = TypeVar("_T")
_SPECIAL = {"start_function": FunctionKind.START, "end_function": FunctionKind.END}


def check_text(project: Project, file: str, text: str) -> tuple[Problem, ...]:
    """Give what the checker says of `file` with this text: a function's, a step's, or that of a flow's head.

    Nothing is written and nothing of the project is executed.
    """
    return tuple(problem for problem in check_project(with_text(project, file, text)) if problem.file == file)


def with_text(project: Project, file: str, text: str) -> Project:
    """Give the project as it would be with `text` in `file`. A text that cannot be read leaves the part out."""
    problems = Problems()
    text = text.removeprefix("\ufeff")
    parts = file.split("/")
    if file.endswith(".py"):
        changed = _with_function(project, file, text, problems)
    else:
        folder = parts[1]
        flows = tuple(
            _with_yaml(flow, file, text, problems) if flow.folder == folder else flow for flow in project.flows
        )
        changed = replace(project, flows=flows)
    others = tuple(problem for problem in project.problems if problem.file != file)
    return replace(changed, problems=(*others, *problems.found))


def _with_yaml(flow: Flow, file: str, text: str, problems: Problems) -> Flow:
    fields = parse_yaml(text, file, problems)
    if file == flow.file:
        if fields is None:
            return flow
        head = read_flow(fields, flow.folder, problems)
        return replace(flow, name=head.name, line=head.line, description=head.description, start_step=head.start_step)
    steps = {step.file: step for step in flow.steps}
    if fields is None:
        steps.pop(file, None)
    else:
        steps[file] = read_step(fields, problems)
    return replace(flow, steps=tuple(steps[name] for name in sorted(steps)))


def _with_function(project: Project, file: str, text: str, problems: Problems) -> Project:
    parts = file.split("/")
    name = parts[-1].removesuffix(".py")
    kind = _kind(parts, name)
    module = parse_module(text, file, kind, problems)
    modules = tuple(other for other in project.modules if other.file != file)
    project = replace(project, modules=modules if module is None else (*modules, module))
    function = module.function if module else None
    problem = None if function else problems.found[0]
    if kind is FunctionKind.START:
        return replace(project, start_function=function)
    if kind is FunctionKind.END:
        return replace(project, end_function=function)
    if kind is FunctionKind.GLOBAL:
        return replace(
            project,
            functions=_put(project.functions, name, function),
            broken_functions=_put(project.broken_functions, name, problem),
        )
    flows = tuple(
        _with_flow_function(flow, kind, name, function, problem) if flow.folder == parts[1] else flow
        for flow in project.flows
    )
    return replace(project, flows=flows)


def _kind(parts: list[str], name: str) -> FunctionKind:
    if parts[0] != "flows":
        return _SPECIAL.get(name, FunctionKind.GLOBAL)
    return FunctionKind.STEP if parts[2] == "function_steps" else FunctionKind.TRANSITION


def _with_flow_function(
    flow: Flow, kind: FunctionKind, name: str, function: Function | None, problem: Problem | None
) -> Flow:
    broken = _put(flow.broken_functions, name, problem)
    if kind is FunctionKind.STEP:
        return replace(flow, function_steps=_put(flow.function_steps, name, function), broken_functions=broken)
    return replace(flow, functions=_put(flow.functions, name, function), broken_functions=broken)


def _put(values: Mapping[str, _T], name: str, value: _T | None) -> dict[str, _T]:
    rest = {key: other for key, other in values.items() if key != name}
    return rest if value is None else {**rest, name: value}
