"""Channels > Chat API: the keys by which other programs call the REST APIs."""

from aiohttp import web

from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.finding import first
from warmline.studio.guard import Table
from warmline.studio.pages import Pages
from warmline.web.keys import ApiKeys


class Keys:
    """API keys: shown once, revoked at once."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages
        self._keys = ApiKeys(deps.store, deps.clock, deps.ids)

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/channels/keys", self.show, Role.ADMIN)
        table.post("/channels/keys", self.make, Role.ADMIN)
        table.get("/channels/keys/{name}/revoke", self.ask_to_revoke, Role.ADMIN)
        table.post("/channels/keys/{name}/revoke", self.revoke, Role.ADMIN)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The keys."""
        return await self._show(request)

    async def _show(
        self, request: web.Request, *, secret: str = "", name: str = "", problem: str = ""
    ) -> web.StreamResponse:
        return self._pages.show(
            request,
            "keys.html",
            status=422 if problem else 200,
            section="channels",
            tab="keys",
            keys=await self._deps.store.api_keys(),
            secret=secret,
            name=name,
            problem=problem,
            public_url=self._deps.public_url,
        )

    async def make(self, request: web.Request) -> web.StreamResponse:
        """Make a key and show it, once."""
        form = await request.post()
        name, project_id = str(form.get("name", "")).strip(), str(form.get("key_project", ""))
        if not 1 <= len(name) <= 100 or "/" in name or project_id not in ("", *self._deps.folders):
            return await self._show(request, name=name, problem="keys.bad_name")
        secret = await self._keys.make(name, project_id)
        if secret is None:
            return await self._show(request, name=name, problem="keys.taken")
        await record(self._deps, request, "key_made", name)
        return await self._show(request, secret=secret, name=name)

    async def ask_to_revoke(self, request: web.Request) -> web.StreamResponse:
        """Say what revoking does."""
        await self._find(request)
        return self._pages.show(request, "revoke_key.html", section="channels", name=request.match_info["name"])

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Refuse the key from now on."""
        await self._deps.store.delete_api_key(await self._find(request))
        await record(self._deps, request, "key_revoked", request.match_info["name"])
        raise web.HTTPSeeOther("/studio/channels/keys")

    async def _find(self, request: web.Request) -> str:
        """The id of the key that the address names."""
        wanted = request.match_info["name"]
        return first(key for key in await self._deps.store.api_keys() if key.name == wanted).id
