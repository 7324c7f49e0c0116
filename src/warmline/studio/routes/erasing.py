"""Erasing a customer, and how long things are kept."""

from aiohttp import web

from warmline.conversation.erase import Customer
from warmline.conversation.retention import PERIODS, Retention
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import Pages, keep_project
from warmline.studio.routes.conversations import find_conversation


class Erasing:
    """The page that asks before a customer is erased, and the settings of retention."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/conversations/{session}/erase", self.ask, Role.ADMIN)
        table.post("/conversations/{session}/erase", self.erase, Role.ADMIN)
        table.get("/settings/retention", self.retention, Role.ADMIN)
        table.post("/settings/retention", self.save_retention, Role.ADMIN)

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """Say what erasing the customer of a conversation does."""
        session_id, customer = await self._customer(request)
        return self._pages.show(
            request, "erase.html", section="conversations", session_id=session_id, customer=customer
        )

    async def erase(self, request: web.Request) -> web.StreamResponse:
        """Erase them."""
        session_id, customer = await self._customer(request)
        erased = await self._deps.eraser.erase(customer)
        await record(self._deps, request, "customer_erased", f"{session_id}: {erased.sessions}")
        return self._pages.show(request, "erased.html", section="conversations", erased=erased)

    async def _customer(self, request: web.Request) -> tuple[str, Customer]:
        stored = await find_conversation(self._deps, request)
        customer = await self._deps.eraser.find(stored.session.id)
        if customer is None:
            raise web.HTTPNotFound
        return stored.session.id, customer

    async def retention(self, request: web.Request) -> web.StreamResponse:
        """How long things are kept."""
        kept = await Retention.settings(self._deps.store)
        return self._show(request, {key: str(days) for key, days in kept.items()}, problem="")

    def _show(self, request: web.Request, entered: dict[str, str], *, problem: str) -> web.StreamResponse:
        return self._pages.show(
            request,
            "retention.html",
            status=422 if problem else 200,
            section="settings",
            tab="retention",
            periods=PERIODS,
            entered=entered,
            problem=problem,
            saved="saved" in request.query,
        )

    async def save_retention(self, request: web.Request) -> web.StreamResponse:
        """Change it."""
        form = await request.post()
        entered = {key: str(form.get(key, "")).strip() for key in PERIODS}
        for key, given in entered.items():
            if not (given.isascii() and given.isdigit() and len(given) <= 5):
                return self._show(request, entered, problem=key)
        for key, given in entered.items():
            await self._deps.store.save_setting(PERIODS[key], str(int(given)))
        told = " ".join(f"{key}={int(given)}" for key, given in entered.items())
        await record(self._deps, request, "retention_changed", told)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, "settings/retention", "saved=1"))
