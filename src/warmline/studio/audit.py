"""Writes down who did what."""

from aiohttp import web

from warmline.ports import AuditEntry, User
from warmline.studio.deps import StudioDeps
from warmline.studio.pages import PROJECT, VISITOR


async def record(
    deps: StudioDeps, request: web.Request, act: str, subject: str = "", *, user: User | None = None
) -> None:
    """Add what the visitor (or `user`) did to the audit log. `act` is a key below `act.` in the texts."""
    who = user or request[VISITOR].user
    await deps.store.record(
        AuditEntry(
            at=deps.clock.now(),
            user_id=who.id,
            user_name=who.name,
            act=act,
            subject=subject,
            project_id=request.get(PROJECT, ""),
        )
    )
