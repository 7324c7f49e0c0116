"""Which secrets a project's files name: those that functions read, and those of its APIs (agent-project.md §2.13)."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from warmline.agent.project.integrations import APIS
from warmline.agent.project.model import Project
from warmline.agent.project.syntax import parse

_READS = "get_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSecret:
    """A secret as the project names it, with the files that do. One that need not be set is `optional`."""

    name: str
    files: tuple[str, ...]
    optional: bool = False


def named_secrets(project: Project) -> tuple[NamedSecret, ...]:
    """Give the secrets by name.

    Functions are read, never run: a name that is put together while they run is not found. An API's credentials are
    `api_<name>`, or `api_<name>_<environment>` where an environment has its own.
    """
    found: dict[str, list[str]] = {}
    for name, file in (*_of_functions(project), *_of_apis(project)):
        found.setdefault(name, []).append(file)
    needed = [NamedSecret(name=name, files=tuple(dict.fromkeys(files))) for name, files in sorted(found.items())]
    own = sorted(
        f"api_{api.name}_{environment}"
        for api in project.apis.values()
        for environment, settings in api.environments.items()
        if settings.auth_type != "none"
    )
    return (*needed, *(NamedSecret(name=name, files=(APIS,), optional=True) for name in own if name not in found))


def _of_functions(project: Project) -> Iterator[tuple[str, str]]:
    for module in project.modules:
        try:
            tree = parse((project.root / module.file).read_text("utf-8-sig"))
        except (OSError, ValueError, SyntaxError, RecursionError):
            # It has changed since it was loaded; the engine tells what is wrong with it.
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name_of(node.func) == _READS:
                given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]
                for value in given:
                    if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                        yield value.value, module.file


def _name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _of_apis(project: Project) -> Iterator[tuple[str, str]]:
    for api in project.apis.values():
        if any(settings.auth_type != "none" for settings in api.environments.values()):
            yield f"api_{api.name}", APIS
