"""Where a project names a row of one of its tables, to be told before the row goes."""

import ast
from pathlib import Path

from warmline.agent.project.model import Project, Text
from warmline.agent.project.names import clean_name
from warmline.agent.project.references import references
from warmline.agent.project.syntax import parse

_MOST_BYTES = 1 << 20
_SUFFIXES = (".yaml", ".yml", ".py")


def files_naming(project: Project, name: str, kinds: tuple[str, ...], own: str) -> tuple[str, ...]:
    """Give the files, except `own`, that refer to `name` by a reference of these kinds or by the word itself in Python.

    A name that a function puts together while it runs is not found.
    """
    found = {step.file for flow in project.flows for step in flow.steps if "entity" in kinds and name in step.entities}
    found |= {
        step.file
        for flow in project.flows
        for step in flow.steps
        for condition in step.conditions
        if "entity" in kinds and name in condition.required_entities
    }
    for path in sorted(project.root.rglob("*")):
        file = path.relative_to(project.root).as_posix()
        if path.suffix not in _SUFFIXES or file == own or any(part.startswith(".") for part in file.split("/")):
            continue
        text = _read(path)
        if name in text and (_refers(text, name, kinds) or (path.suffix == ".py" and _says(text, name))):
            found.add(file)
    if "ho" in kinds and name in project.handoffs:
        found.add("config/handoffs.yaml")
    return tuple(sorted(found))


def files_of_variant(project: Project, variant: str) -> tuple[str, ...]:
    """Give the files of the topics that only this variant knows."""
    folder = f"child_topics/{clean_name(variant)}/"
    return tuple(topic.file for topic in project.topics if topic.file.startswith(folder))


def _refers(text: str, name: str, kinds: tuple[str, ...]) -> bool:
    return any(reference.kind in kinds and reference.name == name for reference in references(Text(text)))


def _says(text: str, name: str) -> bool:
    try:
        nodes = list(ast.walk(parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return False
    words = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return name in words or any(isinstance(node, ast.Attribute) and node.attr == name for node in nodes)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig") if path.stat().st_size <= _MOST_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""
