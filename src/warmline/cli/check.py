"""`warmline check`: finds the mistakes in an agent project without running it."""

from pathlib import Path
from typing import Annotated

import typer

from warmline.agent.brains.topics.abilities import needs_model
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Severity
from warmline.agent.scenarios.scenario import check_scenarios


def check(
    project: Annotated[Path, typer.Argument(help="The folder that holds project.yaml.", file_okay=False)],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Check an agent project: prints `file:line: rule: text`, exits with 1 when there are errors."""
    loaded = load_project(project)
    found = [*check_project(loaded), *needs_model(loaded), *check_scenarios(loaded)]
    problems = sorted(found, key=lambda p: (p.file, p.line))
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    for problem in errors if quiet else problems:
        kind = "" if problem.severity is Severity.ERROR else " (warning)"
        typer.echo(f"{problem}{kind}")
        if problem.remedy:
            typer.echo(f"    {problem.remedy}")
    counts = f"{len(loaded.topics)} topics, {len(loaded.functions)} functions, {len(loaded.flows)} flows"
    warnings = len(problems) - len(errors)
    typer.echo(f"{loaded.name or loaded.root.name}: {counts}; {len(errors)} errors, {warnings} warnings.")
    if errors:
        raise typer.Exit(1)
