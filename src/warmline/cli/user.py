"""`warmline user …`: who may sign in to the Studio; the way back in for administrators who are locked out."""

from dataclasses import replace
from typing import Annotated

import typer

from warmline.cli.installation import DemoOption, Installation, chosen_settings, work_on
from warmline.domain.errors import ConfigError
from warmline.ports import Role, User
from warmline.studio.access.passwords import hash_password, password_problem
from warmline.studio.routes.entry import USER_NAME
from warmline.studio.words import say

app = typer.Typer(help="Users of the Studio.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="User name, such as an e-mail address.")]


@app.command("list")
def list_users(demo: DemoOption = None) -> None:
    """Show everybody who may sign in."""

    async def run(installation: Installation) -> None:
        users = await installation.store.users()
        if not users:
            typer.echo("There is nobody. `warmline serve` prints the link that makes the first account.")
        for user in users:
            typer.echo(f"{user.name}  {user.role.value}  {', '.join(user.projects) or 'all projects'}")

    work_on(chosen_settings(demo), run, reading=True)


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.ADMIN,
    demo: DemoOption = None,
) -> None:
    """Let somebody in; asks for the password. (SQLite: stop the server for this.)"""
    name = name.strip().lower()
    if not USER_NAME.fullmatch(name):
        raise ConfigError(name, say("user.bad_name"))
    password = _ask_password(name)

    async def run(installation: Installation) -> None:
        user = User(
            id=installation.ids.uuid(),
            name=name,
            role=role,
            password=await hash_password(password),
            created_at=installation.clock.now(),
        )
        if not await installation.store.add_user(user):
            raise ConfigError(name, say("user.taken"))
        typer.echo(f"{name} may sign in as {role.value}.")

    work_on(chosen_settings(demo), run, alone=False)


@app.command()
def password(name: Name, demo: DemoOption = None) -> None:
    """Give a user a new password, and sign them out everywhere. (SQLite: stop the server for this.)"""
    fresh = _ask_password(name.strip().lower())

    async def run(installation: Installation) -> None:
        user = await _find(installation, name)
        await installation.store.change_user(replace(user, password=await hash_password(fresh)))
        await installation.store.end_sign_ins(user_id=user.id)
        typer.echo(f"{user.name} has a new password.")

    work_on(chosen_settings(demo), run, alone=False)


@app.command()
def remove(name: Name, demo: DemoOption = None) -> None:
    """Take somebody's access away at once. (SQLite: stop the server for this.)"""

    async def run(installation: Installation) -> None:
        user = await _find(installation, name)
        await installation.store.delete_user(user.id)
        typer.echo(f"{user.name} cannot sign in any more.")

    work_on(chosen_settings(demo), run, alone=False)


async def _find(installation: Installation, name: str) -> User:
    wanted = name.strip().lower()
    found = next((user for user in await installation.store.users() if user.name == wanted), None)
    if found is None:
        raise ConfigError(wanted, "is no user; `warmline user list` shows them")
    return found


def _ask_password(name: str) -> str:
    given = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    problem = password_problem(given, name)
    if problem:
        raise ConfigError("password", say(problem))
    return given
