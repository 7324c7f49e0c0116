"""`warmline key …`: the keys by which other programs call the REST APIs."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from warmline.cli.installation import DemoOption, Installation, YesOption, chosen_project, chosen_settings, work_on
from warmline.domain.errors import ConfigError
from warmline.web.keys import ApiKeys

app = typer.Typer(help="Keys by which other programs call the REST APIs.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Option(help="What the key is for, such as crm; unique.")],
    project: Annotated[str, typer.Option(help="Id of the only project that it opens; all when left out.")] = "",
    demo: DemoOption = None,
) -> None:
    """Make a key. It is shown this once (SQLite: stop the server for this)."""
    settings = chosen_settings(demo)
    name = name.strip()
    if not 1 <= len(name) <= 100:
        raise ConfigError("--name", "must have 1 to 100 characters")
    project_id = chosen_project(settings, project) if project else ""

    async def run(installation: Installation) -> None:
        keys = ApiKeys(installation.store, installation.clock, installation.ids)
        secret = await keys.make(name, project_id)
        if secret is None:
            raise ConfigError("--name", f"there is a key named {name}; `warmline key list` shows them")
        typer.echo(f"API key: {secret}")
        typer.echo("Keep it now: only its hash is stored.")

    work_on(settings, run, alone=False)


@app.command("list")
def list_keys(demo: DemoOption = None) -> None:
    """Show the names of the keys."""

    async def run(installation: Installation) -> None:
        keys = await installation.store.api_keys()
        if not keys:
            typer.echo("There is no API key. `warmline key add --name crm` makes one.")
        for key in keys:
            made = datetime.fromtimestamp(key.created_at / 1000, UTC)
            opens = f"project {key.project_id}" if key.project_id else "all projects"
            typer.echo(f"{key.name}  {opens}, made {made:%Y-%m-%d}")

    work_on(chosen_settings(demo), run, reading=True)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    yes: YesOption = False,
    demo: DemoOption = None,
) -> None:
    """Revoke a key: it is refused from now on (SQLite: stop the server for this)."""

    async def run(installation: Installation) -> None:
        found = [key for key in await installation.store.api_keys() if key.name == name]
        if not found:
            raise ConfigError("NAME", f"there is no key named {name}; `warmline key list` shows them")
        if not yes and not typer.confirm(f"Revoke the key {name}?"):
            raise typer.Exit(1)
        await installation.store.delete_api_key(found[0].id)
        typer.echo("Revoked.")

    work_on(chosen_settings(demo), run, alone=False)
