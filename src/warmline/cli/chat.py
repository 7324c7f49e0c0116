"""`warmline chat`: a conversation with an agent project in the terminal."""

import asyncio
import logging
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer

from warmline.agent.project.integrations import ENVIRONMENTS
from warmline.agent.project.model import Project
from warmline.agent.turn.engine import ProjectEngine
from warmline.cli.agents import running_agent
from warmline.cli.logs import configure_logging
from warmline.cli.trace import print_trace
from warmline.domain.errors import ConfigError
from warmline.domain.texts import HANDOFF_NOT_STARTED, TURN_FAILED
from warmline.domain.turn import HistoryItem, TurnInput, TurnKind, TurnOutcome


def chat(
    project: Annotated[Path, typer.Argument(help="The folder that holds project.yaml.", file_okay=False)],
    trace: Annotated[bool, typer.Option("--trace", help="Show topics, tools, moves, changes and timings.")] = False,
    brain: Annotated[str, typer.Option(help="topics or llm; WARMLINE_BRAIN when left out.")] = "",
    channel: Annotated[str, typer.Option(help="Channel type, such as sms.twilio.")] = "webchat.polyai",
    environment: Annotated[str, typer.Option(help="sandbox, pre-release or live.")] = "sandbox",
    variant: Annotated[str | None, typer.Option(help="Name of a variant.")] = None,
    language: Annotated[str | None, typer.Option(help="Such as en-GB.")] = None,
    caller_number: Annotated[str | None, typer.Option(help="The customer's number.")] = None,
) -> None:
    """Talk to an agent project. An empty line or Ctrl-D ends the conversation; changed files count at once."""
    configure_logging("console", level=logging.ERROR)
    settings = {
        "channel": channel,
        "environment": environment,
        "variant": variant,
        "language": language,
        "caller_number": caller_number,
    }
    asyncio.run(_chat(project, brain, settings, trace))


async def _chat(project: Path, brain: str, settings: dict[str, str | None], trace: bool) -> None:
    async with running_agent(project, brain, watch=True) as agent:
        _check_settings(agent.engine.project, settings)
        for finding in agent.engine.findings if trace else ():
            typer.secho(f"  {finding.file}:{finding.line}: {finding.rule}: {finding.text}", fg="yellow")
        await _Conversation(agent.engine, settings, trace).run()


def _check_settings(project: Project, settings: dict[str, str | None]) -> None:
    """Refuse settings that a conversation would silently do without."""
    variant = settings["variant"]
    if variant is not None and variant not in project.variants:
        known = ", ".join(project.variants)
        raise ConfigError("--variant", f"there is no variant {variant!r}; {f'use {known}' if known else 'none at all'}")
    if settings["environment"] not in ENVIRONMENTS:
        raise ConfigError("--environment", f"use {', '.join(ENVIRONMENTS)}")


class _Conversation:
    def __init__(self, engine: ProjectEngine, settings: dict[str, str | None], trace: bool) -> None:
        self._engine = engine
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._trace = trace
        self._session_id = str(uuid.uuid4())
        self._started_at = round(time.time() * 1000)
        self._history: list[HistoryItem] = []
        self._memory = b""

    async def run(self) -> None:
        outcome = await self._turn(TurnKind.START)
        while not (outcome.end or outcome.handoff):
            text = await asyncio.to_thread(_read_line)
            if not text:
                break
            self._history.append(HistoryItem(role="user", text=text))
            outcome = await self._turn(TurnKind.MESSAGE, text)
        await self._turn(TurnKind.END)

    async def _turn(self, kind: TurnKind, text: str = "") -> TurnOutcome:
        turn = TurnInput(
            turn_id=str(uuid.uuid4()),
            session_id=self._session_id,
            kind=kind,
            text=text,
            started_at=self._started_at,
            history=tuple(self._history),
            memory=self._memory,
            **self._settings,  # type: ignore[arg-type]
        )
        started = time.perf_counter()
        outcome = await self._engine.run(turn, _nothing)
        self._memory = outcome.memory
        self._history += [HistoryItem(role="agent", text=say.text) for say in outcome.says]
        if self._trace:
            print_trace(outcome, (time.perf_counter() - started) * 1000)
        _print_outcome(outcome)
        return outcome


async def _nothing() -> None:
    pass


def _read_line() -> str:
    try:
        return input("you    ").strip()
    except EOFError:
        return ""


def _print_outcome(outcome: TurnOutcome) -> None:
    for say in outcome.says:
        typer.secho(f"agent  {say.text}", fg="cyan")
        for attachment in say.attachments:
            typer.echo(f"       [{attachment.title or attachment.kind}] {attachment.content_url}")
        for action in say.call_actions:
            typer.echo(f"       [{action.title or 'Call'}] {action.contact_number}")
        if say.suggestions:
            typer.echo(f"       {' | '.join(say.suggestions)}")
    if outcome.failed:
        typer.secho(f"agent  {TURN_FAILED}", fg="cyan")
    if outcome.handoff_error:
        typer.secho(f"agent  {HANDOFF_NOT_STARTED}", fg="cyan")
    for wish in outcome.sms:
        typer.secho(f"       -> text message to {wish.to}: {wish.text}", fg="green")
    if outcome.handoff is not None:
        where = outcome.handoff.integration or "any contact centre"
        to = f"{outcome.handoff.destination} by {where}" if outcome.handoff.destination else where
        reason = f", reason: {outcome.handoff.reason}" if outcome.handoff.reason else ""
        typer.secho(f"       -> handoff to {to}{reason}", fg="green")
    if outcome.end:
        typer.secho("       -> the conversation has ended", fg="green")
    for finding in outcome.findings:
        # What is wrong with the model's endpoint stands in no file.
        place = f"{finding.file}:{finding.line}: " if finding.file else ""
        typer.secho(f"       {place}{finding.rule}: {finding.text}", fg="yellow")
