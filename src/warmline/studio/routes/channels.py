"""Channels > Webchat: where the widget may be embedded, how it looks, and a live preview of both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from aiohttp import web

from warmline import widget
from warmline.ports import Connector, Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, VISITOR, Pages
from warmline.web.hosts import normal_host

ENVIRONMENTS = ("live", "pre-release", "sandbox")
_PREVIEW = "studio-preview-"
_FRAME_POLICY = (
    "default-src 'self'; img-src 'self' data: https:; connect-src 'self' ws: wss:; style-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of the widget, by its name in `widget.embed_script`."""

    key: str
    kind: Literal["text", "long", "color", "bool", "url", "languages"]
    most: int = 200


OPTIONS = (
    Option("header_text", "text", 60),
    Option("color", "color"),
    Option("agent_image_url", "url", 500),
    Option("welcome_message", "long", 500),
    Option("bubble_text", "text", 120),
    Option("bubble_color", "color"),
    Option("languages", "languages"),
    Option("disclaimer", "long", 2000),
    Option("disclaimer_consent", "bool"),
    Option("disclaimer_always", "bool"),
    Option("privacy_url", "url", 500),
    Option("terms_url", "url", 500),
)


class Channels:
    """Connectors and their widgets."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/channels", self.overview)
        table.post("/channels", self.add, Role.EDITOR)
        table.get("/channels/{connector}", self.show)
        table.post("/channels/{connector}", self.save, Role.EDITOR)
        table.get("/channels/{connector}/preview", self.preview, Role.EDITOR)
        table.get("/channels/{connector}/preview.js", self.preview_script, Role.EDITOR)
        table.get("/channels/{connector}/revoke", self.ask_to_revoke, Role.EDITOR)
        table.post("/channels/{connector}/revoke", self.revoke, Role.EDITOR)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The websites of the project."""
        return await self._overview(request, {}, "")

    async def _overview(self, request: web.Request, entered: Mapping[str, str], problem: str) -> web.StreamResponse:
        known = [c for c in await self._deps.store.connectors() if c.project_id == request[PROJECT]]
        return self._pages.show(
            request,
            "channels.html",
            status=422 if problem else 200,
            section="channels",
            tab="webchat",
            connectors=[c for c in known if not c.id.startswith(_PREVIEW)],
            environments=ENVIRONMENTS,
            variants=self._variants(request),
            entered=entered,
            problem=problem,
        )

    def _variants(self, request: web.Request) -> tuple[str, ...]:
        engine = self._deps.engines.get(request[PROJECT])
        return tuple(engine.project.variants) if engine else ()

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Make a connector token for a website or an app."""
        form = await request.post()
        entered = {key: str(form.get(key, "")).strip() for key in ("host", "environment", "variant", "agent_name")}
        host = normal_host(entered["host"])
        if not host or " " in host or not request[PROJECT]:
            return await self._overview(request, entered, "channels.bad_host")
        connector = Connector(
            id=self._deps.ids.uuid(),
            token=self._deps.ids.secret(24),
            project_id=request[PROJECT],
            host=host,
            variant=entered["variant"] if entered["variant"] in self._variants(request) else "",
            environment=entered["environment"] if entered["environment"] in ENVIRONMENTS else "live",
            agent_name=entered["agent_name"][:60],
        )
        await self._deps.store.save_connector(connector)
        await record(self._deps, request, "connector_made", f"{connector.id} {host}")
        raise web.HTTPSeeOther(self._page(request, connector))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The configurator."""
        return self._show(request, await self._find(request), {}, saved="saved" in request.query)

    def _show(
        self, request: web.Request, connector: Connector, wrong: Mapping[str, str], *, saved: bool = False
    ) -> web.StreamResponse:
        return self._pages.show(
            request,
            "channel.html",
            status=422 if wrong else 200,
            section="channels",
            connector=connector,
            options=OPTIONS,
            values=_shown(connector),
            environments=ENVIRONMENTS,
            variants=self._variants(request),
            wrong=wrong,
            saved=saved,
            snippet=f'<script src="{self._deps.public_url}/widget/{connector.token}.js" async></script>',
        )

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Keep host, names and looks; the website shows them at its next page load."""
        connector = await self._find(request)
        form = {key: str(value) for key, value in (await request.post()).items()}
        look, wrong = _read_options(form)
        host = normal_host(form.get("host", ""))
        if not host or " " in host:
            wrong["host"] = "channels.bad_host"
        changed = replace(
            connector,
            host=host,
            agent_name=form.get("agent_name", "").strip()[:60],
            environment=form["environment"] if form.get("environment") in ENVIRONMENTS else connector.environment,
            variant=form["variant"] if form.get("variant") in self._variants(request) else "",
            settings={**connector.settings, "widget": {**_unknown(connector), **look}},
        )
        if wrong:
            return self._show(request, changed, wrong)
        await self._deps.store.save_connector(changed)
        await record(self._deps, request, "connector_changed", connector.id)
        raise web.HTTPSeeOther(f"{self._page(request, connector)}{'&' if len(self._deps.folders) > 1 else '?'}saved")

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """A page with the widget as the form's values (in the query) make it."""
        connector = await self._find(request)
        page = self._pages.show(request, "preview.html", connector=connector, query=request.rel_url.raw_query_string)
        page.headers["Content-Security-Policy"] = _FRAME_POLICY
        return page

    async def preview_script(self, request: web.Request) -> web.StreamResponse:
        """The embed script of the preview: it talks to the project through a connector of its own."""
        connector = await self._find(request)
        look, wrong = _read_options(request.query)
        preview = Connector(
            id=_PREVIEW + connector.id,
            token=f"preview-{connector.token}",
            project_id=connector.project_id,
            host=normal_host(request.host),
            variant=connector.variant,
            environment="sandbox",
            agent_name=request.query.get("agent_name", connector.agent_name)[:60],
        )
        if preview not in await self._deps.store.connectors():
            await self._deps.store.save_connector(preview)
        kept = {key: value for key, value in look.items() if key not in wrong}
        named = {"agent_name": preview.agent_name} if preview.agent_name else {}
        script = widget.embed_script({**named, **kept, "token": preview.token, "host": ""})
        return web.Response(
            text=script, content_type="text/javascript", charset="utf-8", headers={"Cache-Control": "no-store"}
        )

    async def ask_to_revoke(self, request: web.Request) -> web.StreamResponse:
        """Say what revoking does."""
        connector = await self._find(request)
        return self._pages.show(request, "revoke_connector.html", section="channels", connector=connector)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Let the token lead nowhere."""
        connector = await self._find(request)
        await self._deps.store.delete_connector(connector.id)
        await self._deps.store.delete_connector(_PREVIEW + connector.id)
        await record(self._deps, request, "connector_revoked", f"{connector.id} {connector.host}")
        raise web.HTTPSeeOther("/studio/channels")

    async def _find(self, request: web.Request) -> Connector:
        wanted = request.match_info["connector"]
        found = next((c for c in await self._deps.store.connectors() if c.id == wanted), None)
        if found is None or wanted.startswith(_PREVIEW) or not request[VISITOR].user.sees(found.project_id):
            raise web.HTTPNotFound
        return found

    def _page(self, request: web.Request, connector: Connector) -> str:
        query = f"?project={request[PROJECT]}" if len(self._deps.folders) > 1 else ""
        return f"/studio/channels/{connector.id}{query}"


def _configured(connector: Connector) -> dict[str, object]:
    own = connector.settings.get("widget")
    return dict(own) if isinstance(own, Mapping) else {}


def _shown(connector: Connector) -> dict[str, object]:
    """The settings as the form's fields show them."""
    return {key: ", ".join(v) if isinstance(v, list) else v for key, v in _configured(connector).items()}


def _unknown(connector: Connector) -> dict[str, object]:
    """What the configurator has no field for and leaves as it is, such as own texts."""
    shown = {option.key for option in OPTIONS}
    return {key: value for key, value in _configured(connector).items() if key not in shown}


def _read_options(form: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """Give the widget's settings in a form, and what is wrong with them by key."""
    look: dict[str, object] = {}
    wrong: dict[str, str] = {}
    for option in OPTIONS:
        value = form.get(option.key, "").strip()
        if option.kind == "bool":
            look[option.key] = value == "true"
        elif option.kind == "languages" and value:
            tags = [tag.strip().lower() for tag in value.split(",") if tag.strip()]
            look[option.key] = tags
            if not set(tags) <= set(widget.LANGUAGES):
                wrong[option.key] = "channels.bad_language"
        elif value:
            look[option.key] = value
            problem = _problem(option, value)
            if problem:
                wrong[option.key] = problem
    return look, wrong


def _problem(option: Option, value: str) -> str:
    if len(value) > option.most:
        return "channels.too_long"
    if option.kind == "color" and (len(value) != 7 or value[0] != "#" or not _is_hex(value[1:])):
        return "channels.bad_color"
    if option.kind == "url" and not value.startswith("https://"):
        return "channels.bad_url"
    return ""


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)
