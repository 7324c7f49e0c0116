"""`warmline sms …`: the numbers over which customers text. Secrets are write-only."""

from pathlib import Path
from typing import Annotated

import typer

from warmline.channels.sms import setup
from warmline.channels.sms.connections import manifest, numbers, webhook_url
from warmline.cli.fields import ask_for_missing, from_environment, from_file, refuse_wrong
from warmline.cli.installation import DemoOption, Installation, YesOption, chosen_project, chosen_settings, work_on
from warmline.cli.report import print_findings
from warmline.domain.errors import ConfigError
from warmline.handoff.manifest import Field
from warmline.health import finding
from warmline.ports import Connection

app = typer.Typer(help="Numbers over which customers text with the virtual agent.", no_args_is_help=True)

Wanted = Annotated[str, typer.Argument(metavar="CONNECTION", help="Id, beginning of the id, name, or a number of it.")]
ValuesOption = Annotated[
    Path | None,
    typer.Option("--values", metavar="FILE", help="TOML file with fields by key; also WARMLINE_CONNECT_… variables."),
]


@app.command()
def add(
    project: Annotated[str, typer.Option(help="Id of the project; needed where there are several.")] = "",
    name: Annotated[str, typer.Option(help="How you call the connection.")] = "SMS",
    values: ValuesOption = None,
    demo: DemoOption = None,
) -> None:
    """Add numbers of a Twilio account: asks for what is missing, checks it there, prints the webhook to enter."""
    settings = chosen_settings(demo)

    async def run(installation: Installation) -> None:
        fields = manifest()
        project_id = chosen_project(settings, project)
        known = from_environment(fields) | (from_file(fields, values) if values else {})
        refuse_wrong(fields, known, relaxed=settings.relaxed)
        given = ask_for_missing(fields, known, _ask, typer.echo, relaxed=settings.relaxed)
        connection = await setup.save(
            installation.store,
            installation.clock,
            installation.ids,
            project_id,
            given,
            name,
            relaxed=settings.relaxed,
        )
        typer.echo(f"Saved as {connection.id}, for project {project_id}. A running server knows it within seconds.")
        typer.echo('Enter this at each number as "A message comes in", HTTP POST:')
        typer.echo(f"  {webhook_url(settings.public_url, connection.id)}")
        await _check(installation, connection)

    work_on(settings, run, alone=False)


@app.command("list")
def list_connections(demo: DemoOption = None) -> None:
    """Show every SMS connection with its numbers and webhook."""
    settings = chosen_settings(demo)

    async def run(installation: Installation) -> None:
        connections = await installation.store.text_connections()
        if not connections:
            typer.echo("There is no SMS connection. `warmline sms add` makes one.")
        for connection in connections:
            why = f" ({connection.state_reason})" if connection.state_reason else ""
            typer.echo(f"{connection.name}  {connection.id}  project {connection.project_id}")
            typer.echo(f"  state    {connection.state}{why}")
            typer.echo(f"  numbers  {', '.join(numbers(connection))}")
            typer.echo(f"  webhook  {webhook_url(settings.public_url, connection.id)}")

    work_on(settings, run, reading=True)


@app.command("test")
def check(wanted: Wanted, demo: DemoOption = None) -> None:
    """Ask the carrier whether account, numbers and webhooks are as they must be. Sends no text."""
    settings = chosen_settings(demo)

    async def run(installation: Installation) -> None:
        if not await _check(installation, await _connection(installation, wanted)):
            raise typer.Exit(1)

    work_on(settings, run, reading=True)


@app.command()
def remove(
    wanted: Wanted,
    yes: YesOption = False,
    demo: DemoOption = None,
) -> None:
    """Remove an SMS connection: its texts are refused from then on. Opt-outs stay remembered."""

    async def run(installation: Installation) -> None:
        connection = await _connection(installation, wanted)
        if not yes:
            typer.confirm(f"Remove {connection.name} ({', '.join(numbers(connection))})?", abort=True)
        await installation.store.delete_connection(connection.id)
        typer.echo(f"Removed {connection.name}. Take its webhook out at the carrier too.")

    work_on(chosen_settings(demo), run, alone=False)


async def _check(installation: Installation, connection: Connection) -> bool:
    verdicts = await setup.check(installation.http, connection, installation.settings.public_url)
    print_findings(finding(verdict) for verdict in verdicts)
    return all(verdict.ok for verdict in verdicts)


async def _connection(installation: Installation, wanted: str) -> Connection:
    known = await installation.store.text_connections()
    exact = [c for c in known if wanted in (c.id, c.name, *numbers(c))]
    fitting = exact or [c for c in known if c.id.startswith(wanted)]
    if len(fitting) != 1:
        why = "fits more than one SMS connection" if fitting else "is no SMS connection"
        raise ConfigError(wanted, f"{why}; `warmline sms list` shows them")
    return fitting[0]


def _ask(item: Field) -> str:
    if item.help:
        typer.echo(f"  {item.help}")
    return str(typer.prompt(item.label, default=item.default or "", hide_input=item.secret, show_default=False))
