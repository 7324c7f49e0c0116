"""What renaming or deleting a flow or a step does to the project's files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from warmline.agent.project.model import Flow, Project, Step
from warmline.agent.project.names import clean_name
from warmline.studio.files import Content, edit_yaml
from warmline.studio.files.renames import renamed_in_python, renamed_in_yaml


@dataclass(frozen=True, slots=True)
class Naming:
    """The files that name a flow or a step: Python files with the lines, YAML files with the key that does."""

    python: Mapping[str, frozenset[int]]
    yaml: Mapping[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(sorted({*self.python, *self.yaml}))


def naming_flow(project: Project, flow: Flow) -> Naming:
    """Find what enters a flow by its name, or names a step of it together with the flow."""
    python = {}
    for module in project.modules:
        lines = {line for name, line in module.flows_entered if name == flow.name}
        lines |= {line for where, _, line in module.steps_entered if where == flow.name}
        if lines:
            python[module.file] = frozenset(lines)
    return Naming(python, {})


def naming_step(project: Project, flow: Flow, step: Step) -> Naming:
    """Find what leads to a step: the flow's start, conditions of its steps, functions by a literal name."""
    own = f"flows/{flow.folder}/"
    python = {}
    for module in project.modules:
        here = ("", flow.name) if module.file.startswith(own) else (flow.name,)
        lines = {line for where, name, line in module.steps_entered if name == step.name and where in here}
        if lines:
            python[module.file] = frozenset(lines)
    named = {flow.file: "start_step"} if flow.start_step.value == step.name else {}
    for other in flow.steps:
        if any(condition.child_step.value == step.name for condition in other.conditions):
            named[other.file] = "child_step"
    return Naming(python, named)


def renamed_flow(flow: Flow, naming: Naming, before: Mapping[str, Content], name: str) -> dict[str, str]:
    """Give the texts of all files after the flow got a new name, and with it the folder that belongs to it.

    Raises:
        WarmlineError: a file cannot be changed by itself.
    """
    folder = clean_name(name) if clean_name(flow.name) == flow.folder else flow.folder
    after = {}
    for file, content in before.items():
        text = content.text
        if file == flow.file:
            text = edit_yaml(text, {"name": name})
        text = renamed_in_python(text, naming.python.get(file, ()), flow.name, name) if file in naming.python else text
        own = f"flows/{flow.folder}/"
        after[f"flows/{folder}/{file.removeprefix(own)}" if file.startswith(own) else file] = text
    return after


def renamed_step(step: Step, naming: Naming, before: Mapping[str, Content], name: str) -> dict[str, str]:
    """Give the texts of all files after the step got a new name, and with it the file that belongs to it.

    Raises:
        WarmlineError: a file cannot be changed by itself.
    """
    place, _, last = step.file.rpartition("/")
    stem, _, suffix = last.rpartition(".")
    to = f"{place}/{clean_name(name)}.{suffix}" if stem == clean_name(step.name) else step.file
    after = {}
    for file, content in before.items():
        text = content.text
        if file in naming.python:
            text = renamed_in_python(text, naming.python[file], step.name, name)
        if file in naming.yaml:
            text = renamed_in_yaml(text, naming.yaml[file], step.name, name)
        if file == step.file:
            text = edit_yaml(text, {"name": name})
        after[to if file == step.file else file] = text
    return after


def digest_of(before: Mapping[str, Content]) -> str:
    """Give what tells whether any of these files has changed since."""
    return hashlib.sha256("".join(f"{file}{before[file].digest}" for file in sorted(before)).encode()).hexdigest()
