"""Finds mistakes in the flows of a project (agent-project.md §2.18 to §2.20)."""

import re
from collections import Counter
from collections.abc import Iterator

from warmline.agent.project.model import Flow, FunctionKind, Module, Problem, Project, Severity, Step, StepType

_STEP_NAME = re.compile(r"[^\W_]?[\w &,/.\-]*")
_LONGEST_LABEL = 50


def check_flows(project: Project) -> Iterator[Problem]:
    """Give what is wrong within flows and between them and what enters them."""
    for name, count in Counter(flow.name for flow in project.flows).items():
        if count > 1:
            file = [flow.file for flow in project.flows if flow.name == name][-1]
            yield _problem("duplicate-flow", f"There are {count} flows called `{name}`.", "Rename one.", file, 1)
    for flow in project.flows:
        yield from _flow(flow)
        for step in flow.steps:
            yield from _step(project, flow, step)
    for module in project.modules:
        yield from _moves(project, module)


def _problem(rule: str, text: str, remedy: str, file: str, line: int, *, warning: bool = False) -> Problem:
    severity = Severity.WARNING if warning else Severity.ERROR
    return Problem(rule=rule, text=text, remedy=remedy, file=file, line=line, severity=severity)


def _flow(flow: Flow) -> Iterator[Problem]:
    if not flow.description:
        text, remedy = f"The flow `{flow.name}` has no description.", "A hosted platform refuses the project otherwise."
        yield _problem("no-description", text, remedy, flow.file, flow.line, warning=True)
    start = flow.start_step
    if start and flow.find(start.value) is None:
        text = f"The start step `{start.value}` does not exist."
        yield _problem("unknown-step", text, _like(flow, start.value), start.file, start.line)
    names = [step.name for step in flow.steps] + list(flow.function_steps)
    for name, count in Counter(names).items():
        if count > 1:
            file = next((step.file for step in reversed(flow.steps) if step.name == name), flow.file)
            text = f"The flow `{flow.name}` has {count} steps called `{name}`; only the first is ever entered."
            yield _problem("duplicate-step", text, "Give each its own name.", file, 1)


def _like(flow: Flow, name: str) -> str:
    """Give the remedy for an unknown step."""
    near = [step.name for step in flow.steps if step.name.lower() == name.lower()]
    if near:
        return f"Write `{near[0]}`: names are exact."
    return "Name a step of this flow, exactly as inside its file, or the file of a function step."


def _step(project: Project, flow: Flow, step: Step) -> Iterator[Problem]:
    if not _STEP_NAME.fullmatch(step.name):
        text = f"`{step.name}` holds signs that the name of a step may not have."
        yield _problem(
            "step-name", text, "Use letters, digits, blanks and _ & , / . -", step.file, step.line, warning=True
        )
    if step.type is StepType.DEFAULT:
        yield from _default_step(project, flow, step)
    elif step.conditions or step.entities:
        text = f"`{step.name}` is an advanced step: its entities and conditions are ignored."
        yield _problem(
            "ignored-conditions", text, "Make it a default_step, or remove them.", step.file, step.line, warning=True
        )


def _default_step(project: Project, flow: Flow, step: Step) -> Iterator[Problem]:
    for name in step.entities:
        if name not in project.entities:
            text, remedy = f"There is no entity `{name}`.", "Add it to config/entities.yaml or correct the name."
            yield _problem("unknown-entity", text, remedy, step.file, step.line)
    if not step.conditions:
        text = f"No condition leads out of the default step `{step.name}`."
        yield _problem(
            "no-way-out", text, "Give it a condition, or make it an advanced_step.", step.file, step.line, warning=True
        )
    for label, count in Counter(condition.name for condition in step.conditions).items():
        if count > 1:
            text = f"`{step.name}` has {count} conditions called `{label}`."
            yield _problem("duplicate-condition", text, "Give each its own name.", step.file, step.line)
    for condition in step.conditions:
        child = condition.child_step
        if child and flow.find(child.value) is None:
            text = f"The child step `{child.value}` does not exist."
            yield _problem("unknown-step", text, _like(flow, child.value), step.file, child.line)
        if len(condition.name) > _LONGEST_LABEL:
            text = f"The name of the condition is longer than {_LONGEST_LABEL} characters."
            yield _problem("condition-name", text, "Shorten it.", step.file, condition.line, warning=True)
        for name in condition.required_entities:
            if name not in project.entities:
                text, remedy = f"There is no entity `{name}`.", "Add it to config/entities.yaml or correct the name."
                yield _problem("unknown-entity", text, remedy, step.file, condition.line)
            elif name not in step.entities:
                text = f"`{condition.name}` needs `{name}`, which the step does not collect."
                remedy = "Add it to `extracted_entities`, unless an earlier step collects it."
                yield _problem("entity-not-collected", text, remedy, step.file, condition.line, warning=True)


def _moves(project: Project, module: Module) -> Iterator[Problem]:
    """Check the literal names of flows and steps in a function file."""
    flows = {flow.name: flow for flow in project.flows}
    for name, line in module.flows_entered:
        if name not in flows:
            remedy = "Names of flows are those inside flow_config.yaml, exactly."
            yield _problem("unknown-flow", f"There is no flow `{name}`.", remedy, module.file, line)
    in_flow = module.kind in (FunctionKind.TRANSITION, FunctionKind.STEP)
    own = next((f for f in project.flows if in_flow and module.file.split("/")[1] == f.folder), None)
    for flow_name, name, line in module.steps_entered:
        # A global helper gets the `flow` of whoever calls it: any flow's step will do.
        places = [flows[flow_name]] if flow_name in flows else [own] if own else list(project.flows)
        if flow_name and flow_name not in flows:
            continue
        if places and all(flow.find(name) is None for flow in places):
            where = f" of the flow `{places[0].name}`" if len(places) == 1 else ""
            text, remedy = f"There is no step `{name}`{where}.", _like(places[0], name)
            yield _problem("unknown-step", text, remedy, module.file, line)
