"""`warmline erase`: deletes everything that is stored of a customer."""

import asyncio
from typing import Annotated

import typer

from warmline.agent.project.folders import find_projects
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Project
from warmline.bus.memory import MemoryBus
from warmline.cli.installation import DemoOption, Installation, chosen_settings, opened
from warmline.cli.logs import quiet_logging
from warmline.conversation.erase import Customer, Eraser
from warmline.conversation.service import Conversations
from warmline.domain.errors import ConfigError
from warmline.ports import AuditEntry


def erase(
    customer: Annotated[
        str, typer.Argument(help="A session id, a phone number such as +15550123, or a user identity.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also if a contact centre cannot be told that a conversation is over.")
    ] = False,
    demo: DemoOption = None,
) -> None:
    """Delete everything that is stored of a customer, for good. (SQLite: stop the server for this, or use the Studio.)

    Contact centres and carriers keep copies of their own, and so do backups.
    """
    quiet_logging()
    asyncio.run(_erase(customer.strip(), yes=yes, anyway=anyway, demo=demo))


async def _erase(wanted: str, *, yes: bool, anyway: bool, demo: DemoOption) -> None:
    async with opened(chosen_settings(demo), alone=False) as installation:
        serving = bool(await installation.store.nodes(installation.clock.now()))
        eraser = _eraser(installation, wait_s=15.0 if serving else 0.0)
        customer = await eraser.find(wanted)
        if customer is None:
            raise ConfigError(wanted, "nothing is stored of such a session, number or identity")
        if customer.handed_over and not (serving or anyway):
            raise ConfigError(
                wanted,
                f"{customer.handed_over} of {len(customer.sessions)} conversations are with a contact centre, and no "
                "server runs that could end them there. Erase the customer in the Studio, or say --anyway and end "
                "them there yourself.",
            )
        typer.echo(_told(customer))
        if not yes:
            typer.confirm("Delete all of it? This cannot be undone.", abort=True)
        erased = await eraser.erase(customer)
        named = wanted if wanted in customer.sessions else ""
        await installation.store.record(_entry(installation, named, erased.sessions))
        typer.echo(f"{erased.sessions} conversations are deleted: {sum(erased.rows.values())} rows.")
        if erased.unclosed:
            typer.echo(f"{erased.unclosed} could not be closed at the contact centre in time: end them there.")
        if not erased.scrubbed:
            typer.echo(
                "Unused parts of the database may hold remains until they are used again: VACUUM overwrites them."
            )


def _told(customer: Customer) -> str:
    running = f", {len(customer.running)} of them still running" if customer.running else ""
    return f"{len(customer.sessions)} conversations are this customer's{running}."


def _entry(installation: Installation, session_id: str, sessions: int) -> AuditEntry:
    # A number or an identity would name the customer: the audit log must not.
    subject = f"{session_id}: {sessions}" if session_id else str(sessions)
    return AuditEntry(
        at=installation.clock.now(),
        user_id="",
        user_name="warmline erase",
        act="customer_erased",
        subject=subject,
    )


def _eraser(installation: Installation, *, wait_s: float) -> Eraser:
    folders = find_projects(installation.settings.projects)

    def project(project_id: str) -> Project | None:
        folder = folders.get(project_id)
        return None if folder is None else load_project(folder)

    i = installation
    conversations = Conversations(i.store, MemoryBus(), i.clock, i.ids)
    return Eraser(i.store, conversations, i.clock, project, wait_s=wait_s, scrub_bytes=0)
