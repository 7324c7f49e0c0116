"""Settings > Secrets: what functions and APIs of a project are given. Set, replaced, deleted; never shown."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace

from aiohttp import web

from warmline.agent.project.secrets import named_secrets
from warmline.agent.services.secrets import secret_key
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.finding import first
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, keep_project

_LONGEST_NAME, _LONGEST = 100, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A secret in the list. `key` is its name in the store and in environment variables.

    `set_at` is when it was set here (epoch milliseconds, 0: it was not), `configured` whether the settings hold it.
    """

    key: str
    name: str
    files: tuple[str, ...] = ()
    optional: bool = False
    set_at: int = 0
    configured: bool = False


class Secrets:
    """The pages below /studio/settings/secrets."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/settings/secrets", self.overview, Role.ADMIN)
        table.post("/settings/secrets", self.save, Role.ADMIN)
        table.get("/settings/secrets/{name}/delete", self.ask_to_delete, Role.ADMIN)
        table.post("/settings/secrets/{name}/delete", self.delete, Role.ADMIN)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The secrets that the project names or that are set, without their values."""
        return await self._overview(request, request.query.get("name", ""), "", saved="saved" in request.query)

    async def _overview(
        self, request: web.Request, entered: str, problem: str, *, saved: bool = False
    ) -> web.StreamResponse:
        return self._pages.show(
            request,
            "secrets.html",
            status=422 if problem else 200,
            section="settings",
            tab="secrets",
            secrets=await self._listed(request),
            prefix=f"WARMLINE_SECRET__{secret_key(request[PROJECT])}__",
            entered=entered,
            problem=problem,
            saved=saved,
        )

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Set or replace a secret."""
        await self._listed(request)
        form = await request.post()
        name = str(form.get("name", "")).strip()
        secret = str(form.get("secret", "")).replace("\r\n", "\n").strip()
        key = secret_key(name)
        problem = "" if key and len(name) <= _LONGEST_NAME else "secrets.bad_name"
        problem = problem or ("" if 0 < len(secret) <= _LONGEST and "\0" not in secret else "secrets.bad_secret")
        if problem:
            return await self._overview(request, name, problem)
        await self._deps.store.save_project_secret(request[PROJECT], key, secret, self._deps.clock.now())
        await record(self._deps, request, "secret_set", key)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, "settings/secrets", "saved"))

    async def ask_to_delete(self, request: web.Request) -> web.StreamResponse:
        """Say what deleting does."""
        return self._pages.show(request, "secret_delete.html", section="settings", secret=await self._find(request))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Forget a secret."""
        secret = await self._find(request)
        await self._deps.store.delete_project_secret(request[PROJECT], secret.key)
        await record(self._deps, request, "secret_deleted", secret.key)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, "settings/secrets"))

    async def _find(self, request: web.Request) -> Listed:
        """The secret that the address names, if it was set here."""
        wanted = request.match_info["name"]
        return first(s for s in await self._listed(request) if s.key == wanted and s.set_at)

    async def _listed(self, request: web.Request) -> list[Listed]:
        project_id = request[PROJECT]
        if project_id not in self._deps.engines:
            raise web.HTTPNotFound
        configured: Collection[str] = self._deps.configured_secrets(project_id)
        set_at = await self._deps.store.project_secret_names(project_id)
        found: dict[str, Listed] = {}
        for named in await asyncio.to_thread(named_secrets, self._deps.engines[project_id].project):
            key = secret_key(named.name)
            known = found.get(key)
            files = (*known.files, *named.files) if known else named.files
            found[key] = Listed(key=key, name=named.name, files=tuple(dict.fromkeys(files)), optional=named.optional)
        for key in sorted({*configured, *set_at} - found.keys()):
            found[key] = Listed(key=key, name=key)
        return [replace(one, set_at=set_at.get(key, 0), configured=key in configured) for key, one in found.items()]
