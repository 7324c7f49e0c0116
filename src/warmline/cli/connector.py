"""`warmline connector …`: the tokens by which widgets and apps reach a project."""

from dataclasses import replace
from typing import Annotated

import typer

from warmline.cli.installation import DemoOption, Installation, YesOption, chosen_project, chosen_settings, work_on
from warmline.domain.errors import ConfigError
from warmline.ports import Connector

app = typer.Typer(help="Connector tokens, by which widgets and apps reach a project.", no_args_is_help=True)


@app.command()
def add(
    host: Annotated[str, typer.Option(help="Host of the page that embeds the widget, such as www.example.com.")],
    project: Annotated[str, typer.Option(help="Id of the project; needed where there are several.")] = "",
    agent_name: Annotated[str, typer.Option(help="Name that the virtual agent has in the widget.")] = "",
    environment: Annotated[str, typer.Option(help="sandbox, pre-release or live.")] = "live",
    variant: Annotated[str, typer.Option(help="Variant of the project.")] = "",
    demo: DemoOption = None,
) -> None:
    """Make a connector token. A running server knows it within five seconds (SQLite: stop the server for this)."""
    settings = chosen_settings(demo)
    host = _host(host)
    if environment not in ("sandbox", "pre-release", "live"):
        raise ConfigError("--environment", "must be sandbox, pre-release or live")
    project_id = chosen_project(settings, project)

    async def run(installation: Installation) -> None:
        connector = Connector(
            id=installation.ids.uuid(),
            token=installation.ids.secret(24),
            project_id=project_id,
            host=host,
            variant=variant,
            environment=environment,
            agent_name=agent_name,
        )
        await installation.store.save_connector(connector)
        typer.echo(f"Connector token: {connector.token}")
        typer.echo("Embed the widget on pages of that host:")
        typer.echo(f'  <script src="{settings.public_url}/widget/{connector.token}.js" async></script>')

    work_on(settings, run, alone=False)


@app.command("list")
def list_connectors(demo: DemoOption = None) -> None:
    """Show every connector."""

    async def run(installation: Installation) -> None:
        connectors = await installation.store.connectors()
        if not connectors:
            typer.echo("There is no connector. `warmline connector add --host www.example.com` makes one.")
        for c in connectors:
            variant = f", variant {c.variant}" if c.variant else ""
            named = f", as {c.agent_name}" if c.agent_name else ""
            typer.echo(f"{c.token}  host {c.host or '(none: refuses all)'}, project {c.project_id}, ", nl=False)
            typer.echo(f"{c.environment}{variant}{named}")

    work_on(chosen_settings(demo), run, reading=True)


@app.command()
def context(
    token: Annotated[str, typer.Argument(help="The token.")],
    rotate: Annotated[bool, typer.Option("--rotate", help="Make another signing key; the present one ends.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Take no verified context any more.")] = False,
    demo: DemoOption = None,
) -> None:
    """Take verified context from pages, and show the key that their server signs it with (docs/guide/context.md)."""
    from warmline.channels.messaging.context import generation, key_of_installation, signing_key, with_generation

    settings = chosen_settings(demo)

    async def run(installation: Installation) -> None:
        found = await _by_token(installation, token)
        number = 0 if off else max(1, generation(found) + rotate)
        changed = replace(found, settings=with_generation(found.settings, number))
        await installation.store.save_connector(changed)
        if off:
            typer.echo("Verified context is off.")
            return
        typer.echo(f"Key id (kid): {changed.id}")
        typer.echo(f"Signing key:  {signing_key(key_of_installation(settings.secret_keys[0]), changed)}")
        typer.echo("The key belongs on the page's server, never into the page.")

    work_on(settings, run, alone=False)


@app.command()
def remove(
    token: Annotated[str, typer.Argument(help="The token.")],
    yes: YesOption = False,
    demo: DemoOption = None,
) -> None:
    """Remove a connector: pages that use its token get no new sessions."""

    async def run(installation: Installation) -> None:
        found = await _by_token(installation, token)
        if not yes and not typer.confirm(f"Remove the connector of host {found.host}?"):
            raise typer.Exit(1)
        await installation.store.delete_connector(found.id)
        typer.echo("Removed.")

    work_on(chosen_settings(demo), run, alone=False)


async def _by_token(installation: Installation, token: str) -> Connector:
    found = [c for c in await installation.store.connectors() if c.token == token]
    if not found:
        raise ConfigError("TOKEN", "there is no such connector; `warmline connector list` shows them")
    return found[0]


def _host(given: str) -> str:
    from warmline.web.hosts import normal_host

    host = normal_host(given)
    if not host or " " in host:
        raise ConfigError("--host", "must be a host name, such as www.example.com")
    return host
