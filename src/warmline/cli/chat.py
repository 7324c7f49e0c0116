"""`warmline chat`: a conversation with an agent project in the terminal."""

import asyncio
import logging
import time
import uuid
from pathlib import Path
from typing import Annotated

import typer

from warmline.agent import engine_for
from warmline.cli.logs import configure_logging
from warmline.domain.turn import HistoryItem, TurnInput, TurnKind, TurnOutcome
from warmline.ports import TurnEngine

_APOLOGY = "Sorry, I'm having trouble responding right now. Please try again."
_NO_HANDOFF = "Sorry, handoff could not be initiated."


def chat(
    project: Annotated[Path, typer.Argument(help="The folder that holds project.yaml.", file_okay=False)],
    trace: Annotated[bool, typer.Option("--trace", help="Show topics, function calls and timings.")] = False,
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
    asyncio.run(_Conversation(project, settings, trace).run())


class _Conversation:
    def __init__(self, project: Path, settings: dict[str, str | None], trace: bool) -> None:
        self._engine = engine_for(project, watch=True)
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._trace = trace
        self._session_id = str(uuid.uuid4())
        self._history: list[HistoryItem] = []
        self._memory = b""

    async def run(self) -> None:
        await self._engine.start()
        for finding in self._engine.findings if self._trace else ():
            typer.secho(f"  {finding.file}:{finding.line}: {finding.rule}: {finding.text}", fg="yellow")
        try:
            outcome = await self._turn(self._engine, TurnKind.START)
            while not (outcome.end or outcome.handoff):
                text = await asyncio.to_thread(_read_line)
                if not text:
                    break
                self._history.append(HistoryItem(role="user", text=text))
                outcome = await self._turn(self._engine, TurnKind.MESSAGE, text)
            await self._turn(self._engine, TurnKind.END)
        finally:
            await self._engine.close()

    async def _turn(self, engine: TurnEngine, kind: TurnKind, text: str = "") -> TurnOutcome:
        turn = TurnInput(
            turn_id=str(uuid.uuid4()),
            session_id=self._session_id,
            kind=kind,
            text=text,
            history=tuple(self._history),
            memory=self._memory,
            **self._settings,  # type: ignore[arg-type]
        )
        started = time.perf_counter()
        outcome = await engine.run(turn, _nothing)
        self._memory = outcome.memory
        self._history += [HistoryItem(role="agent", text=say.text) for say in outcome.says]
        if self._trace:
            _print_trace(outcome, (time.perf_counter() - started) * 1000)
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
        typer.secho(f"agent  {_APOLOGY}", fg="cyan")
    if outcome.handoff_error:
        typer.secho(f"agent  {_NO_HANDOFF}", fg="cyan")
    if outcome.handoff is not None:
        to = outcome.handoff.integration or outcome.handoff.destination or "the default"
        reason = f", reason: {outcome.handoff.reason}" if outcome.handoff.reason else ""
        typer.secho(f"       -> handoff to {to}{reason}", fg="green")
    if outcome.end:
        typer.secho("       -> the conversation has ended", fg="green")
    for finding in outcome.findings:
        typer.secho(f"       {finding.file}:{finding.line}: {finding.rule}: {finding.text}", fg="yellow")


def _print_trace(outcome: TurnOutcome, duration_ms: float) -> None:
    topic = f"topic {outcome.topic!r} " if outcome.topic else ""
    why = f"({outcome.why}) " if outcome.why else ""
    typer.secho(f"  {topic}{why}{duration_ms:.1f} ms", dim=True)
    for call in outcome.calls:
        arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
        result = call.error or "ok"
        typer.secho(f"  {call.name}({arguments}): {result}, {call.duration_ms} ms", dim=True)
        for log in call.logs:
            typer.secho(f"    {log.get('level')}: {log.get('content')}", dim=True)
    for name, value in outcome.metrics:
        typer.secho(f"  metric {name} = {value!r}", dim=True)
