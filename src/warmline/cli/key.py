"""`warmline key …`: the keys by which other programs call the REST APIs."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from warmline.cli.installation import DemoOption, chosen_project, chosen_settings, opened
from warmline.cli.logs import quiet_logging
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
    quiet_logging()
    settings = chosen_settings(demo)
    name = name.strip()
    if not 1 <= len(name) <= 100:
        raise ConfigError("--name", "must have 1 to 100 characters")
    project_id = chosen_project(settings, project) if project else ""

    async def run() -> None:
        async with opened(settings, alone=False) as installation:
            keys = ApiKeys(installation.store, installation.clock, installation.ids)
            secret = await keys.make(name, project_id)
            if secret is None:
                raise ConfigError("--name", f"there is a key named {name}; `warmline key list` shows them")
            typer.echo(f"API key: {secret}")
            typer.echo("Keep it now: only its hash is stored.")

    asyncio.run(run())


@app.command("list")
def list_keys(demo: DemoOption = None) -> None:
    """Show the names of the keys."""
    quiet_logging()

    async def run() -> None:
        async with opened(chosen_settings(demo), reading=True) as installation:
            keys = await installation.store.api_keys()
            if not keys:
                typer.echo("There is no API key. `warmline key add --name crm` makes one.")
            for key in keys:
                made = datetime.fromtimestamp(key.created_at / 1000, UTC)
                opens = f"project {key.project_id}" if key.project_id else "all projects"
                typer.echo(f"{key.name}  {opens}, made {made:%Y-%m-%d}")

    asyncio.run(run())


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    demo: DemoOption = None,
) -> None:
    """Revoke a key: it is refused from now on (SQLite: stop the server for this)."""
    quiet_logging()

    async def run() -> None:
        async with opened(chosen_settings(demo), alone=False) as installation:
            found = [key for key in await installation.store.api_keys() if key.name == name]
            if not found:
                raise ConfigError("NAME", f"there is no key named {name}; `warmline key list` shows them")
            if not yes and not typer.confirm(f"Revoke the key {name}?"):
                raise typer.Exit(1)
            await installation.store.delete_api_key(found[0].id)
            typer.echo("Revoked.")

    asyncio.run(run())
