"""`warmline secrets …`: what lies sealed in the database, and changing the key that seals it."""

from collections import Counter
from collections.abc import Sequence

import typer

from warmline.channels.messaging.context import generation
from warmline.channels.messaging.tokens import LIFETIME_S
from warmline.cli.installation import DemoOption, Installation, YesOption, chosen_settings, work_on
from warmline.files.relay import AGENT_TTL_S
from warmline.ports import AuditEntry, SealedBy, SealedSecret

app = typer.Typer(help="What lies sealed in the database, and changing the key that seals it.", no_args_is_help=True)

_STATES = {
    SealedBy.CURRENT: "current key",
    SealedBy.PREVIOUS: "previous key",
    SealedBy.UNKNOWN: "CANNOT BE OPENED: sealed with a key that is not in WARMLINE_SECRET_KEY",
    SealedBy.DAMAGED: "CANNOT BE OPENED: damaged",
}
_ENTER_AGAIN = {
    "connection": "change each of these connections in the Studio and enter its secrets again;",
    "project": "set the projects' secrets again in the Studio, Settings > Secrets;",
    "receiver": "give each of these receivers a new secret in the Studio, Settings > Event webhooks, and resume it.",
}
_HOURS = max(LIFETIME_S, AGENT_TTL_S) // 3600
"""So long customers' access tokens and the addresses of files are good (messaging-protocol.md §2.1)."""


@app.command("list")
def list_secrets(demo: DemoOption = None) -> None:
    """Show what is sealed and by which key, never the secrets themselves. Exit 1 when one cannot be opened."""

    async def run(installation: Installation) -> None:
        found = await installation.store.sealed_secrets()
        if not found:
            typer.echo("Nothing is sealed in this database.")
        for secret in found:
            typer.echo(_line(secret))
        states = Counter(secret.by for secret in found)
        if states[SealedBy.PREVIOUS]:
            typer.echo(f"{states[SealedBy.PREVIOUS]} with a previous key: `warmline secrets rotate` seals them anew.")
        _refuse_unopened(found)

    work_on(chosen_settings(demo), run, reading=True)


@app.command()
def rotate(yes: YesOption = False, demo: DemoOption = None) -> None:
    """Seal everything with the current key, the first of WARMLINE_SECRET_KEY. (SQLite: stop the server for this.)

    May be stopped and repeated at any time. How a key is changed: docs/guide/operating.md.
    """
    settings = chosen_settings(demo)

    async def run(installation: Installation) -> None:
        store = installation.store
        found = await store.sealed_secrets()
        to_do = [secret for secret in found if secret.by is SealedBy.PREVIOUS]
        nodes = await store.nodes(installation.clock.now()) if to_do else []
        if nodes and not yes:
            typer.echo(f"{len(to_do)} secrets are to be sealed anew while these run: {', '.join(nodes)}.")
            typer.confirm("Were all of them started with the current key in WARMLINE_SECRET_KEY?", abort=True)
        sealed = await store.seal_anew(to_do)
        if sealed:
            await store.record(_entry(installation, "secrets_sealed_anew", sealed))
        now = await store.sealed_secrets()
        typer.echo(f"Sealed anew: {sealed} of {len(now)}.")
        if left := [secret for secret in now if secret.by is SealedBy.PREVIOUS]:
            for secret in left:
                typer.echo(_line(secret))
            typer.echo("Saved with a previous key meanwhile: a server runs that was not started with the current one.")
            typer.echo("Start it with the current key first in WARMLINE_SECRET_KEY, then run this again.")
            raise typer.Exit(1)
        _refuse_unopened(now)
        await _tell_next(installation)

    work_on(settings, run, alone=False)


@app.command()
def forget(yes: YesOption = False, demo: DemoOption = None) -> None:
    """Delete the secrets that cannot be opened, for good: a server does not start with them. (SQLite: stop it.)

    Only when their key is lost, or they are damaged and in no backup. Everything else stays.
    """
    settings = chosen_settings(demo)

    async def run(installation: Installation) -> None:
        store = installation.store
        shut = [secret for secret in await store.sealed_secrets() if not secret.by.opens]
        if not shut:
            typer.echo("Everything can be opened: nothing is deleted.")
            return
        for secret in shut:
            typer.echo(_line(secret))
        if not yes:
            typer.confirm("Delete these? No key will bring them back.", abort=True)
        count = await store.forget_sealed(shut)
        await store.record(_entry(installation, "secrets_forgotten", count))
        typer.echo(f"Deleted: {count}. Start the server, then")
        kinds = {secret.kind for secret in shut}
        for kind, remedy in _ENTER_AGAIN.items():
            if kind in kinds:
                typer.echo(f"- {remedy}")

    work_on(settings, run, alone=False)


def _line(secret: SealedSecret) -> str:
    owner = f"{secret.owner} ({secret.owner_id})" if secret.owner else secret.owner_id
    return f"{secret.kind}  {owner}  {secret.name}  {_STATES[secret.by]}"


def _refuse_unopened(found: Sequence[SealedSecret]) -> None:
    """Tell what cannot be opened, with the remedy, and end with exit code 1; nothing when all can."""
    shut = [secret for secret in found if not secret.by.opens]
    if not shut:
        return
    typer.echo(f"{len(shut)} cannot be opened:", err=True)
    for secret in shut:
        typer.echo(f"  {_line(secret)}", err=True)
    if any(secret.by is SealedBy.UNKNOWN for secret in shut):
        typer.echo("Add the key that sealed them to WARMLINE_SECRET_KEY, behind the others and a comma.", err=True)
    typer.echo("What is damaged can come from a backup (docs/guide/backup.md).", err=True)
    typer.echo("`warmline secrets forget` deletes what is lost for good, so that it can be entered again.", err=True)
    raise typer.Exit(1)


async def _tell_next(installation: Installation) -> None:
    if len(installation.settings.secret_keys) == 1:
        typer.echo(
            "WARMLINE_SECRET_KEY holds one key, and it opens everything. To change it, put the new one in front,"
        )
        typer.echo("separated by a comma, and run this again: docs/guide/operating.md tells each step.")
        return
    typer.echo(
        "Everything opens with the current key alone. Take the others out of WARMLINE_SECRET_KEY, on every node,"
    )
    typer.echo(f"and restart, {_HOURS} hours after the last node was started with the current key in front: so long do")
    typer.echo("access tokens of chats and addresses of files that a previous key signed hold.")
    signing = [c.host or c.project_id for c in await installation.store.connectors() if generation(c)]
    if signing:
        typer.echo(f"Before that, give the servers of {', '.join(signing)} their new signing keys of verified context:")
        typer.echo("`warmline connector context TOKEN` shows them.")


def _entry(installation: Installation, act: str, count: int) -> AuditEntry:
    return AuditEntry(
        at=installation.clock.now(), user_id="", user_name="warmline secrets", act=act, subject=str(count)
    )
