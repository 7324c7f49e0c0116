"""Settings > Event webhooks: programs outside that are told what happens in conversations."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from warmline.domain.published import KINDS
from warmline.ports import Receiver, Role, Tried
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.finding import first
from warmline.studio.guard import Table
from warmline.studio.pages import Pages

_ROTATED_FOR_MS = 24 * 3_600_000
"""So long after a rotation both secrets sign."""
_KEY_BYTES = 32


class Hooks:
    """Receivers: add, change, test, pause, rotate, send again, remove."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/settings/hooks", self.overview, Role.ADMIN)
        table.post("/settings/hooks", self.add, Role.ADMIN)
        table.get("/settings/hooks/{receiver}", self.show, Role.ADMIN)
        table.post("/settings/hooks/{receiver}", self.change, Role.ADMIN)
        table.post("/settings/hooks/{receiver}/test", self.test, Role.ADMIN)
        table.post("/settings/hooks/{receiver}/pause", self.pause, Role.ADMIN)
        table.post("/settings/hooks/{receiver}/rotate", self.rotate, Role.ADMIN)
        table.post("/settings/hooks/{receiver}/redeliver", self.redeliver, Role.ADMIN)
        table.get("/settings/hooks/{receiver}/remove", self.ask_to_remove, Role.ADMIN)
        table.post("/settings/hooks/{receiver}/remove", self.remove, Role.ADMIN)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """All receivers, and the form for another one."""
        return await self._overview(request, {}, "")

    async def _overview(self, request: web.Request, entered: Mapping[str, Any], problem: str) -> web.StreamResponse:
        return self._pages.show(
            request,
            "hooks.html",
            status=422 if problem else 200,
            section="settings",
            tab="hooks",
            receivers=await self._deps.store.receivers(),
            backlogs=await self._deps.store.backlogs(),
            kinds=tuple(KINDS.values()),
            entered=entered,
            problem=problem,
        )

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Make a receiver and show its secret, once."""
        entered = await self._entered(request)
        if problem := self._problem(entered):
            return await self._overview(request, entered, problem)
        receiver = Receiver(
            id=self._deps.ids.uuid(), secret=self._secret(), created_at=self._deps.clock.now(), **entered
        )
        await self._deps.store.save_receiver(receiver)
        await self._deps.sender.changed()
        await record(self._deps, request, "receiver_added", receiver.name)
        return await self._show(request, receiver, secret=receiver.secret)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """One receiver: how it does, and everything that can be done with it."""
        return await self._show(request, await self._find(request))

    async def _show(
        self,
        request: web.Request,
        receiver: Receiver,
        *,
        entered: Mapping[str, Any] | None = None,
        problem: str = "",
        secret: str = "",
        tried: Tried | None = None,
    ) -> web.StreamResponse:
        return self._pages.show(
            request,
            "hook.html",
            status=422 if problem else 200,
            section="settings",
            tab="hooks",
            receiver=receiver,
            backlog=(await self._deps.store.backlogs()).get(receiver.id),
            dead=await self._deps.store.dead_events(receiver.id, 20),
            kinds=tuple(KINDS.values()),
            entered=entered
            or {name: getattr(receiver, name) for name in ("name", "url", "kinds", "project_id", "sandbox")},
            problem=problem,
            secret=secret,
            tried=tried,
            now=self._deps.clock.now(),
        )

    async def change(self, request: web.Request) -> web.StreamResponse:
        """Change name, address, kinds, project or whether it hears of the sandbox."""
        receiver = await self._find(request)
        entered = await self._entered(request)
        if problem := self._problem(entered):
            return await self._show(request, receiver, entered=entered, problem=problem)
        return await self._save(request, replace(receiver, **entered), "receiver_changed")

    async def test(self, request: web.Request) -> web.StreamResponse:
        """Send a test event and tell what was answered."""
        receiver = await self._find(request)
        return await self._show(request, receiver, tried=await self._deps.sender.test(receiver))

    async def pause(self, request: web.Request) -> web.StreamResponse:
        """Send nothing until it is resumed, or go on."""
        receiver = await self._find(request)
        paused = not receiver.paused
        return await self._save(
            request, replace(receiver, paused=paused), "receiver_paused" if paused else "receiver_resumed"
        )

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        """Make a new secret and show it, once; the old one signs for another day."""
        receiver = await self._find(request)
        until = self._deps.clock.now() + _ROTATED_FOR_MS
        receiver = replace(receiver, secret=self._secret(), previous=receiver.secret, previous_until=until)
        await self._deps.store.save_receiver(receiver)
        await self._deps.sender.changed()
        await record(self._deps, request, "receiver_rotated", receiver.name)
        return await self._show(request, receiver, secret=receiver.secret)

    async def redeliver(self, request: web.Request) -> web.StreamResponse:
        """Send again what was given up."""
        receiver = await self._find(request)
        await self._deps.store.redeliver_events(receiver.id, self._deps.clock.now())
        return await self._save(request, receiver, "receiver_redelivered")

    async def ask_to_remove(self, request: web.Request) -> web.StreamResponse:
        """Say what removing does."""
        receiver = await self._find(request)
        backlog = (await self._deps.store.backlogs()).get(receiver.id)
        return self._pages.show(
            request, "hook_remove.html", section="settings", tab="hooks", receiver=receiver, backlog=backlog
        )

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """Tell it nothing any more."""
        receiver = await self._find(request)
        await self._deps.store.delete_receiver(receiver.id)
        await self._deps.sender.changed()
        await record(self._deps, request, "receiver_removed", receiver.name)
        raise web.HTTPSeeOther("/studio/settings/hooks")

    async def _save(self, request: web.Request, receiver: Receiver, act: str) -> web.StreamResponse:
        await self._deps.store.save_receiver(receiver)
        await self._deps.sender.changed()
        await record(self._deps, request, act, receiver.name)
        raise web.HTTPSeeOther(f"/studio/settings/hooks/{receiver.id}")

    async def _find(self, request: web.Request) -> Receiver:
        wanted = request.match_info["receiver"]
        return first(r for r in await self._deps.store.receivers() if r.id == wanted)

    async def _entered(self, request: web.Request) -> dict[str, Any]:
        form = await request.post()
        chosen = {str(kind) for kind in form.getall("kinds", [])}
        return {
            "name": str(form.get("name", "")).strip(),
            "url": str(form.get("url", "")).strip(),
            "kinds": tuple(kind for kind in KINDS.values() if kind in chosen),
            "project_id": str(form.get("hook_project", "")),
            "sandbox": "sandbox" in form,
        }

    def _problem(self, entered: Mapping[str, Any]) -> str:
        """The text's key of what is wrong with what was entered; "" when nothing is."""
        if not 1 <= len(entered["name"]) <= 100:
            return "hooks.bad_name"
        if len(entered["url"]) > 2000 or (code := self._deps.sender.problem(entered["url"])) == "bad_address":
            return "hooks.bad_address"
        if code:
            return "hooks.private_address"
        if not entered["kinds"]:
            return "hooks.no_kinds"
        return "" if entered["project_id"] in ("", *self._deps.folders) else "hooks.bad_project"

    def _secret(self) -> str:
        raw = self._deps.ids.secret(_KEY_BYTES)
        return "whsec_" + base64.b64encode(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))).decode()
