"""`warmline test`: plays the conversations in a project's `test_suite/`."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as Xml

import typer

from warmline.agent.project.yaml_files import Problems
from warmline.agent.scenarios.mocks import MockedApis
from warmline.agent.scenarios.play import Player, Result, Status
from warmline.agent.scenarios.scenario import Scenario, read_scenarios
from warmline.cli.agents import require_project, running_agent
from warmline.cli.logs import configure_logging
from warmline.domain.errors import ConfigError

_COLOURS = {Status.PASSED: "green", Status.PENDING: "yellow"}


def run_tests(
    project: Annotated[Path, typer.Argument(help="The folder that holds project.yaml.", file_okay=False)],
    brain: Annotated[str, typer.Option(help="topics or llm; WARMLINE_BRAIN when left out.")] = "",
    only: Annotated[list[str] | None, typer.Option(help="Name or tag of scenarios to play; repeatable.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.", dir_okay=False)] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the conversations.")] = False,
) -> None:
    """Play a project's test_suite/: exits with 1 when a scenario fails, 2 when there is none to play."""
    configure_logging("console", level=logging.CRITICAL)
    require_project(project)
    problems = Problems()
    known = list(read_scenarios(project, problems))
    scenarios = [scenario for scenario in known if not only or _meant(scenario, only)]
    for problem in problems.found:
        typer.secho(str(problem), fg="red" if problem.severity == "error" else "yellow", err=True)
    if not scenarios:
        names = ", ".join(scenario.name for scenario in known)
        text = f"--only: no scenario has this name or tag; there are {names}."
        typer.secho(text if known else f"There is no scenario to play in {project / 'test_suite'}.", fg="red", err=True)
        raise typer.Exit(2)
    results = asyncio.run(_play(project, brain, scenarios, verbose))
    if junit is not None:
        try:
            junit.write_text(junit_report(project.resolve().name, results), encoding="utf-8")
        except OSError as error:
            raise ConfigError("--junit", f"{junit} cannot be written: {error.strerror}") from None
    counts = [(status, sum(result.status is status for result in results)) for status in Status]
    typer.echo(", ".join(f"{count} {status.value.replace('_', ' ')}" for status, count in counts if count) + ".")
    if any(result.wrong for result in results) or any(problem.severity == "error" for problem in problems.found):
        raise typer.Exit(1)


def _meant(scenario: Scenario, names: Sequence[str]) -> bool:
    wanted = {name.lower() for name in names}
    return bool(wanted & {scenario.name.lower(), Path(scenario.file).stem.lower(), *map(str.lower, scenario.tags)})


async def _play(project: Path, brain: str, scenarios: Sequence[Scenario], verbose: bool) -> list[Result]:
    apis = MockedApis()
    async with running_agent(project, brain, apis=apis) as agent:
        player = Player(agent.engine, brain=agent.brain, apis=apis, model=agent.model)
        results = []
        for scenario in scenarios:
            results.append(await player.play(scenario))
            _print(results[-1], verbose)
        return results


def _print(result: Result, verbose: bool) -> None:
    colour = _COLOURS.get(result.status, "red")
    typer.secho(f"{result.status.value:<9} {result.scenario.name} ({result.duration_s:.1f} s)", fg=colour)
    for problem in result.problems:
        typer.echo(f"    {problem}")
    for note in result.notes:
        typer.secho(f"    {note}", dim=True)
    if verbose or result.wrong:
        for who, text in result.lines:
            typer.secho(f"      {who:<8} {text}", dim=True)


def junit_report(suite: str, results: Sequence[Result]) -> str:
    """Give the results as JUnit XML, the format that build servers read."""
    root = Xml.Element(
        "testsuite",
        name=suite,
        tests=str(len(results)),
        failures=str(sum(result.status is Status.FAILED for result in results)),
        errors=str(sum(result.status in (Status.ERRORED, Status.TIMED_OUT) for result in results)),
        skipped=str(sum(result.status is Status.PENDING for result in results)),
        time=f"{sum(result.duration_s for result in results):.3f}",
    )
    for result in results:
        case = Xml.SubElement(
            root,
            "testcase",
            name=result.scenario.name,
            classname=suite,
            file=result.scenario.file,
            time=f"{result.duration_s:.3f}",
        )
        text = "\n".join([*result.problems, *(f"{who}: {said}" for who, said in result.lines)])
        if result.status is Status.PENDING:
            Xml.SubElement(case, "skipped", message="; ".join(result.notes))
        elif result.wrong:
            kind = "failure" if result.status is Status.FAILED else "error"
            Xml.SubElement(case, kind, message=next(iter(result.problems), result.status.value)).text = text
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
