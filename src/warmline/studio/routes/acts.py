"""Acts on a conversation: end its handoff, take it back to the virtual agent, send a lost message again."""

from aiohttp import web

from warmline.domain.errors import SessionNotFound
from warmline.ports import Role, StoredSession
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import Pages, keep_project
from warmline.studio.routes.conversations import find_conversation


class ConversationActs:
    """Each act that ends something asks first."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/conversations/{session}/end", self.ask_to_end, Role.EDITOR)
        table.post("/conversations/{session}/end", self.end, Role.EDITOR)
        table.get("/conversations/{session}/return", self.ask_to_return, Role.EDITOR)
        table.post("/conversations/{session}/return", self.back, Role.EDITOR)
        table.post("/conversations/{session}/messages/{message}/retry", self.retry, Role.EDITOR)

    async def ask_to_end(self, request: web.Request) -> web.StreamResponse:
        """Say what ending the handoff does."""
        return await self._ask(request, "end")

    async def ask_to_return(self, request: web.Request) -> web.StreamResponse:
        """Say what returning to the virtual agent does."""
        return await self._ask(request, "return")

    async def _ask(self, request: web.Request, act: str) -> web.StreamResponse:
        stored = await find_conversation(self._deps, request)
        handoff = stored.session.active_handoff
        if handoff is None:
            return self._to_conversation(request, stored, "over")
        connections = {c.id: c.name for c in await self._deps.store.connections()}
        return self._pages.show(
            request,
            "conversation_act.html",
            section="conversations",
            stored=stored,
            handoff=handoff,
            act=act,
            live=handoff.agent is not None,
            connection=connections.get(handoff.connection_id, handoff.connection_id),
        )

    async def end(self, request: web.Request) -> web.StreamResponse:
        """End the handoff and the conversation."""
        stored, handoff = await self._meant(request)
        done = await self._deps.acts.end_handoff(stored.session.id, handoff)
        if done:
            await record(self._deps, request, "handoff_ended", f"{stored.session.id} {handoff}")
        return self._to_conversation(request, stored, "ended" if done else "over")

    async def back(self, request: web.Request) -> web.StreamResponse:
        """Give the conversation back to the virtual agent."""
        stored, handoff = await self._meant(request)
        done = await self._deps.acts.return_to_virtual_agent(stored.session.id, handoff)
        if done:
            await record(self._deps, request, "handoff_returned", f"{stored.session.id} {handoff}")
        return self._to_conversation(request, stored, "returned" if done else "over")

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Send a message again that did not arrive."""
        stored, handoff = await self._meant(request)
        message_id = request.match_info["message"]
        try:
            done = await self._deps.acts.retry_message(stored.session.id, handoff, message_id)
        except SessionNotFound:
            done = False
        if done:
            await record(self._deps, request, "message_retried", f"{stored.session.id} {message_id}")
        return self._to_conversation(request, stored, "retried" if done else "not_known")

    async def _meant(self, request: web.Request) -> tuple[StoredSession, str]:
        """The conversation, and the handoff that the page was about when it was opened."""
        stored = await find_conversation(self._deps, request)
        return stored, str((await request.post()).get("handoff", ""))

    def _to_conversation(self, request: web.Request, stored: StoredSession, done: str) -> web.StreamResponse:
        path = f"conversations/{stored.session.id}"
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, path, f"done={done}"))
