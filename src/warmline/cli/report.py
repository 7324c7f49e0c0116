"""How findings are printed: one line each, and under it what to do."""

from collections.abc import Iterable

import typer

from warmline.ports import Finding, Level

_COLORS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def print_findings(findings: Iterable[Finding]) -> None:
    """Print them in order."""
    for item in findings:
        typer.secho(f"{item.level.value:<5}", fg=_COLORS[item.level], bold=True, nl=False)
        typer.echo(f"{item.subject}: {item.text}")
        if item.remedy and item.level is not Level.OK:
            typer.echo(f"     -> {item.remedy}")
