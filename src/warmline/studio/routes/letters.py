"""Dead deliveries of all conversations: found, understood, retried or discarded."""

from aiohttp import web

from warmline.conversation.acts import Hindrance
from warmline.ports import OutboxRow, Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, VISITOR, Pages, keep_project
from warmline.studio.views.letters import letter

_PAGE = 50


class Letters:
    """The list and what can be done about each."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/deliveries", self.overview)
        table.post("/deliveries/{row}/retry", self.retry, Role.EDITOR)
        table.get("/deliveries/{row}/discard", self.ask_to_discard, Role.EDITOR)
        table.post("/deliveries/{row}/discard", self.discard, Role.EDITOR)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """Those of the project, newest first."""
        query = request.query
        connection_id, before = query.get("connection", ""), query.get("before", "")
        rows = await self._deps.store.dead_letters(
            request[PROJECT],
            connection_id=connection_id,
            before=int(before) if before.isdigit() and len(before) < 16 else 0,
            limit=_PAGE + 1,
        )
        letters = [letter(row, await self._deps.acts.hindrance(row)) for row in rows[:_PAGE]]
        given = query.get("done", "")
        return self._pages.show(
            request,
            "letters.html",
            section="conversations",
            letters=letters,
            names=await self._names(request[PROJECT]),
            chosen=connection_id,
            older=rows[_PAGE - 1].id if len(rows) > _PAGE else 0,
            done=given if given in ("retried", "discarded") or given in set(Hindrance) else "",
        )

    async def _names(self, project_id: str) -> dict[str, str]:
        store = self._deps.store
        connections = [*await store.connections(), *await store.text_connections()]
        return {c.id: c.name for c in connections if c.project_id == project_id}

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Try it again, or say why not."""
        row = await self._find(request)
        hindrance = await self._deps.acts.retry(row.id)
        if hindrance is Hindrance.NONE:
            await record(self._deps, request, "delivery_retried", f"{row.session_id} {type(row.effect).__name__}")
        return await self._back(request, row, hindrance.value or "retried")

    async def ask_to_discard(self, request: web.Request) -> web.StreamResponse:
        """Say what discarding does."""
        row = await self._find(request)
        return self._pages.show(
            request,
            "letter_discard.html",
            section="conversations",
            letter=letter(row, await self._deps.acts.hindrance(row)),
            names=await self._names(request[PROJECT]),
        )

    async def discard(self, request: web.Request) -> web.StreamResponse:
        """Drop it."""
        row = await self._find(request)
        if await self._deps.acts.discard(row.id):
            await record(self._deps, request, "delivery_discarded", f"{row.session_id} {type(row.effect).__name__}")
        return await self._back(request, row, "discarded")

    async def _find(self, request: web.Request) -> OutboxRow:
        """The dead delivery, if it is of a conversation that the visitor may see."""
        wanted = request.match_info["row"]
        row = await self._deps.store.dead_letter(int(wanted)) if wanted.isdigit() and len(wanted) < 16 else None
        stored = None if row is None else await self._deps.store.session(row.session_id)
        if row is None or stored is None or not request[VISITOR].user.sees(stored.info.project_id):
            raise web.HTTPNotFound
        return row

    async def _back(self, request: web.Request, row: OutboxRow, done: str) -> web.StreamResponse:
        """To where the visitor came from: the conversation, or the list."""
        if (await request.post()).get("from") == "conversation":
            path = f"conversations/{row.session_id}"
        else:
            path = "deliveries"
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, path, f"done={done}"))
