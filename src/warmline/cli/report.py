"""How findings are printed: one line each, and under it what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import typer

from warmline.handoff.verdicts import Verdict


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


_COLORS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` tells what to do about it."""

    level: Level
    subject: str
    text: str
    remedy: str = ""


def finding(verdict: Verdict, subject: str = "") -> Finding:
    """A provider's verdict; one that is fine and has a remedy is a warning."""
    level = Level.FAIL if not verdict.ok else Level.WARN if verdict.remedy else Level.OK
    text = f"{verdict.field}: {verdict.text}" if verdict.field and level is Level.FAIL else verdict.text
    return Finding(level, f"{subject} {verdict.step}".strip(), text, verdict.remedy)


def print_findings(findings: Iterable[Finding]) -> None:
    """Print them in order."""
    for item in findings:
        typer.secho(f"{item.level.value:<5}", fg=_COLORS[item.level], bold=True, nl=False)
        typer.echo(f"{item.subject}: {item.text}")
        if item.remedy and item.level is not Level.OK:
            typer.echo(f"     -> {item.remedy}")
