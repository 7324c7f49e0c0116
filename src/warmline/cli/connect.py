"""`warmline connect …`: the connections of an installation. Secrets are shown when they are made, never again."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from warmline.cli.fields import ask_for_missing, from_environment, from_file, refuse_wrong
from warmline.cli.installation import DemoOption, Installation, chosen_project, chosen_settings, opened
from warmline.cli.logs import quiet_logging
from warmline.cli.report import print_findings
from warmline.config import Settings
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.handoff import connect as connecting
from warmline.handoff.contract import RemovesRegistrations
from warmline.handoff.manifest import Field, Manifest
from warmline.handoff.rotate import rotate as rotate_secret
from warmline.handoff.rotate import rotations
from warmline.handoff.verdicts import CheckReport
from warmline.health import finding
from warmline.ports import Connection, InboxRow

app = typer.Typer(help="Connections to contact centres.", no_args_is_help=True)

_DATES = {"access_expires_at": "access token until", "refresh_expires_at": "refresh token until"}

Wanted = Annotated[str, typer.Argument(metavar="ID", help="Id of the connection, its beginning, or its name.")]
ValuesOption = Annotated[
    Path | None,
    typer.Option("--values", metavar="FILE", help="TOML file with fields by key; also WARMLINE_CONNECT_… variables."),
]


@app.command("list")
def list_connections(demo: DemoOption = None) -> None:
    """Show every connection: state, why, when each webhook path was last heard, dates of tokens."""
    quiet_logging()
    asyncio.run(_list(chosen_settings(demo)))


async def _list(settings: Settings) -> None:
    async with opened(settings, reading=True) as installation:
        connections = await installation.store.connections()
        heard = await installation.store.last_webhooks()
        now = installation.clock.now()
        if not connections:
            typer.echo("There is no connection. `warmline connect add webex` makes one.")
        for connection in connections:
            _print_connection(installation.registry.manifests.get(connection.provider), connection, heard, now)


@app.command()
def show(wanted: Wanted, demo: DemoOption = None) -> None:
    """Show one connection's fields and webhook URLs; secrets are not shown."""
    quiet_logging()

    async def run() -> None:
        async with opened(chosen_settings(demo), reading=True) as installation:
            connection = await installation.connection(wanted)
            manifest = installation.registry.manifests[connection.provider]
            heard = await installation.store.last_webhooks()
            _print_connection(manifest, connection, heard, installation.clock.now())
            for item in manifest.fields:
                if item.secret and not item.hidden:
                    typer.echo(f"  {item.key}: {'set' if connection.secrets.get(item.key) else 'not set'}")
                elif connection.values.get(item.key):
                    typer.echo(f"  {item.key}: {connection.values[item.key]}")

    asyncio.run(run())


@app.command()
def add(
    provider: Annotated[str, typer.Argument(help="Contact centre, such as webex.")],
    project: Annotated[str, typer.Option(help="Id of the project; needed where there are several.")] = "",
    name: Annotated[str, typer.Option(help="How you call the connection.")] = "",
    values: ValuesOption = None,
    demo: DemoOption = None,
) -> None:
    """Connect a contact centre: asks for its fields, tests them against it, saves them when all is well."""
    quiet_logging()
    asyncio.run(_add(chosen_settings(demo), provider, project, name, values))


async def _add(settings: Settings, provider: str, project: str, name: str, values: Path | None) -> None:
    async with opened(settings) as installation:
        registry = installation.registry
        if provider not in registry.manifests:
            raise ConfigError(provider, f"is not installed; there are: {', '.join(registry.manifests)}")
        manifest = registry.manifests[provider]
        project_id = chosen_project(settings, project)
        connection_id, generated = connecting.draft(registry, installation.ids, provider)
        known = from_environment(manifest) | (from_file(manifest, values) if values else {})
        generated |= {key: value for key, value in known.items() if key in generated}
        typer.echo(f"{manifest.title}: {manifest.summary}")
        refuse_wrong(manifest, known, relaxed=settings.relaxed)
        given = ask_for_missing(
            manifest, known, _ask, lambda text: typer.secho(f"  {text}", fg="yellow"), relaxed=settings.relaxed
        )
        report, connection = await connecting.connect(
            installation.store,
            registry,
            installation.clock,
            installation.ids,
            provider,
            project_id,
            {**generated, **given},
            {},
            name or manifest.title,
            connection_id=connection_id,
        )
        _print_report(report)
        if connection is None:
            typer.echo("\nNothing was saved. Mend what failed, then run this again.")
            raise typer.Exit(1)
        typer.echo(f"\nConnected as {connection.id}, for project {project_id}.\n")
        _print_generated(manifest, generated)
        typer.echo("\nSecrets are not shown again. Now start the server (warmline serve), then see one conversation")
        typer.echo(f"through: warmline verify {provider}")


@app.command("test")
def check(wanted: Wanted, demo: DemoOption = None) -> None:
    """Test a connection against the contact centre, and repair its registrations there."""
    quiet_logging()
    asyncio.run(_change(chosen_settings(demo), wanted, {}))


@app.command()
def probe(wanted: Wanted, demo: DemoOption = None) -> None:
    """Open a test conversation at the contact centre and end it: rings an agent. The server must be running."""
    quiet_logging()
    if not asyncio.run(_probe(chosen_settings(demo), wanted)):
        raise typer.Exit(1)


async def _probe(settings: Settings, wanted: str) -> bool:
    async with opened(settings, reading=True) as installation:
        connection = await installation.connection(wanted)
        module = installation.registry.module(connection.provider)
        if not isinstance(module, connecting.ProbesConnections):
            raise ConfigError(connection.provider, "offers no test conversation")

        async def news(remote_id: str) -> list[InboxRow]:
            rows = await installation.store.inbox_pending()
            return [row for row in rows if (row.connection_id, row.remote_id) == (connection.id, remote_id)]

        verdicts = await module.probe(connection, installation.registry.environment(connection.id), news)
        print_findings([finding(verdict, connection.name) for verdict in verdicts])
        return all(verdict.ok for verdict in verdicts)


@app.command()
def change(wanted: Wanted, values: ValuesOption = None, demo: DemoOption = None) -> None:
    """Change fields of a connection. Running handoffs go on; nothing is saved unless the test passes."""
    quiet_logging()

    async def run() -> None:
        settings = chosen_settings(demo)
        async with opened(settings, reading=True) as installation:
            manifest = installation.registry.manifests[(await installation.connection(wanted)).provider]
        given = from_environment(manifest) | (from_file(manifest, values) if values else {})
        if not given:
            raise ConfigError("--values", "give at least one field to change, by file or WARMLINE_CONNECT_… variables")
        await _change(settings, wanted, given)

    asyncio.run(run())


async def _change(settings: Settings, wanted: str, given: Mapping[str, str]) -> None:
    async with opened(settings) as installation:
        existing = await installation.connection(wanted)
        report = await _reconnect(installation, existing, given)
        _print_report(report)
        if not report.ok:
            raise typer.Exit(1)
        typer.echo("\nAll is well. Start the server again if you stopped it for this.")


@app.command()
def remove(
    wanted: Wanted,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    demo: DemoOption = None,
) -> None:
    """Disconnect: removes what Warmline registered at the contact centre, and the connection with its secrets."""
    quiet_logging()
    asyncio.run(_remove(chosen_settings(demo), wanted, yes))


async def _remove(settings: Settings, wanted: str, yes: bool) -> None:
    async with opened(settings) as installation:
        connection = await installation.connection(wanted)
        typer.echo(f"{connection.name} ({connection.provider}, {connection.id}), project {connection.project_id}:")
        typer.echo("  - Warmline's own webhook registrations at the contact centre are deleted, no others;")
        typer.echo("  - its fields and secrets are deleted here;")
        typer.echo("  - running handoffs are cut off: what customers write is not delivered, and they are told;")
        typer.echo("  - new handoffs find no connection;")
        typer.echo("  - what an administrator entered there (asset, URL, secret) stays, and should be removed there.")
        if not yes and not typer.confirm("Remove it?"):
            raise typer.Exit(1)
        await _unregister(installation, connection)
        await installation.store.delete_connection(connection.id)
        typer.echo("Removed.")


async def _unregister(installation: Installation, connection: Connection) -> None:
    registry = installation.registry
    try:
        provider = registry.module(connection.provider).create(connection, registry.environment(connection.id))
        if isinstance(provider, RemovesRegistrations):
            await provider.unregister()
    except WarmlineError as error:
        typer.secho(f"The contact centre's registrations were not deleted: {error}", fg="yellow")


@app.command()
def rotate(
    wanted: Wanted,
    which: Annotated[str, typer.Argument(metavar="asset|subscription|client", help="Which secret.")],
    values: ValuesOption = None,
    demo: DemoOption = None,
) -> None:
    """Replace a secret. Webhooks are taken with the old and the new one; running handoffs go on."""
    quiet_logging()
    asyncio.run(_rotate(chosen_settings(demo), wanted, which, values))


async def _rotate(settings: Settings, wanted: str, which: str, values: Path | None) -> None:
    async with opened(settings) as installation:
        connection = await installation.connection(wanted)
        manifest = installation.registry.manifests[connection.provider]
        known = rotations(manifest)
        if which not in known:
            raise ConfigError(which, f"{manifest.title} knows {', '.join(known)}")
        if all(item.generate for item in known[which]):
            await _new_secret(installation, connection, which)
            return
        given = from_environment(manifest) | (from_file(manifest, values) if values else {})
        given = {item.key: given.get(item.key) or _ask(item) for item in known[which]}
        report = await _reconnect(installation, connection, given)
        _print_report(report)
        if not report.ok:
            typer.echo("\nThe connection keeps what it had.")
            raise typer.Exit(1)
        typer.echo("\nThe new values are in use.")


async def _new_secret(installation: Installation, connection: Connection, which: str) -> None:
    rotated = await rotate_secret(
        installation.store, installation.registry, installation.clock, installation.ids, connection.id, which
    )
    provider = installation.registry.get(connection.id)
    refusal = provider.ready() if provider else None
    if rotated.item.hidden:
        typer.echo("A new secret is stored and given to the contact centre by Warmline.")
        if refusal is not None:
            typer.secho(f"It could not be reached yet ({refusal}); the server does it when it starts.", fg="yellow")
    else:
        typer.echo(f"{rotated.item.label}: {rotated.secret}")
        typer.echo(rotated.item.help)
    if rotated.previous_until is None:
        typer.echo("The old one is accepted until the first webhook comes that was signed with the new one.")
    else:
        typer.echo(f"The old one is accepted until {_moment(rotated.previous_until)}.")


async def _reconnect(installation: Installation, existing: Connection, given: Mapping[str, str]) -> CheckReport:
    report, _ = await connecting.connect(
        installation.store,
        installation.registry,
        installation.clock,
        installation.ids,
        existing.provider,
        existing.project_id,
        given,
        {},
        existing.name,
        connection_id=existing.id,
    )
    return report


def _ask(item: Field) -> str:
    typer.echo(f"\n{item.help}" if item.help else "")
    options = f" ({', '.join(item.options)})" if item.options else ""
    answer = typer.prompt(
        f"{item.label}{options}", default=item.default, hide_input=item.secret, show_default=bool(item.default)
    )
    return str(answer)


def _print_generated(manifest: Manifest, generated: Mapping[str, str]) -> None:
    for item in manifest.fields:
        if item.key in generated and not item.hidden:
            typer.secho(f"{item.label}: ", bold=True, nl=False)
            typer.echo(generated[item.key])
            typer.echo(f"  {item.help}")


def _print_report(report: CheckReport) -> None:
    typer.echo()
    print_findings(finding(verdict) for verdict in report.verdicts)


def _print_connection(
    manifest: Manifest | None, connection: Connection, heard: Mapping[tuple[str, str], int], now: int
) -> None:
    color = "green" if connection.state == "connected" else "red"
    typer.secho(f"{connection.id}  {connection.provider}  {connection.name}  ", bold=True, nl=False)
    typer.secho(connection.state, fg=color)
    typer.echo(f"  project: {connection.project_id}")
    if connection.state_reason:
        typer.echo(f"  reason: {connection.state_reason}")
    for endpoint in manifest.webhook_endpoints if manifest else ():
        at = heard.get((connection.id, endpoint))
        typer.echo(f"  last webhook on {endpoint}: {_moment(at) if at else 'none that is remembered'}")
    for key, text in _DATES.items():
        at = int(connection.secrets.get(key) or 0)
        if at:
            typer.echo(f"  {text}: {_moment(at)}{' (over)' if at <= now else ''}")


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
