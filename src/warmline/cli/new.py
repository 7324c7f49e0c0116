"""`warmline new`: the beginning of an agent project."""

import shlex
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from warmline.agent.project.names import clean_name
from warmline.domain.errors import ConfigError

_TEMPLATE = files("warmline.cli") / "project_template"
_SUFFIX = ".template"
"""Hides Python files of the template from tools that would take them for ours."""


def new(
    directory: Annotated[Path, typer.Argument(help="The folder to make.", file_okay=False)],
    name: Annotated[str, typer.Option(help="The company's name; made from the folder's when left out.")] = "",
) -> None:
    """Make an agent project that answers questions and hands over to Webex."""
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(str(directory), "the folder is not empty; name a new one")
    folder = directory.resolve().name
    words = clean_name(folder).replace("_", " ")
    title = name.strip() or words.title() or "My Company"
    if any(character in title for character in '"\\\n{}$'):
        raise ConfigError("--name", 'it may not hold any of " \\ { } $')
    values = {"%ID%": clean_name(folder).replace("_", "-") or "my-company", "%NAME%": title}
    _copy(_TEMPLATE, directory, values)
    typer.echo(f"Made {directory}. Next:")
    for command, what in (
        ("check", "find mistakes"),
        ("test", "play its test_suite/"),
        ("chat", "talk to it (--trace shows why it says what it says)"),
        ("demo --project", "try it with the widget and a live agent's desktop"),
    ):
        typer.echo(f"  warmline {command} {shlex.quote(str(directory))}  # {what}")


def _copy(source: Traversable, target: Path, values: dict[str, str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for item in source.iterdir():
        if item.is_dir():
            _copy(item, target / item.name, values)
            continue
        text = item.read_text(encoding="utf-8")
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        (target / item.name.removesuffix(_SUFFIX)).write_text(text, encoding="utf-8")
