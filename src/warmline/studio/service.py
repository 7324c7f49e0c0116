"""Puts the Studio together and mounts it."""

import hmac
from collections.abc import Sequence

from aiohttp import web

from warmline.domain import catalog
from warmline.studio.access.sign_in import SignIns
from warmline.studio.deps import StudioDeps
from warmline.studio.files import ProjectFiles
from warmline.studio.guard import Table, guard
from warmline.studio.hints import Hints
from warmline.studio.pages import Pages, static
from warmline.studio.routes.acts import ConversationActs
from warmline.studio.routes.channels import Channels
from warmline.studio.routes.connections import Connections
from warmline.studio.routes.conversations import Conversations
from warmline.studio.routes.dashboard import Dashboard
from warmline.studio.routes.entry import Entry
from warmline.studio.routes.erasing import Erasing
from warmline.studio.routes.flow_parts import FlowParts
from warmline.studio.routes.flows import Flows
from warmline.studio.routes.functions import Functions
from warmline.studio.routes.health import Health
from warmline.studio.routes.home import Home, Offer
from warmline.studio.routes.hooks import Hooks
from warmline.studio.routes.integrations import Integrations
from warmline.studio.routes.keys import Keys
from warmline.studio.routes.knowledge import Knowledge
from warmline.studio.routes.letters import Letters
from warmline.studio.routes.live import Live
from warmline.studio.routes.running import Running
from warmline.studio.routes.secrets import Secrets
from warmline.studio.routes.settings import SettingsPages
from warmline.studio.routes.tables import Tables
from warmline.studio.routes.test_chat import TestChat
from warmline.studio.routes.texting import Texting


class Studio:
    """The pages below `/studio/`."""

    def __init__(self, deps: StudioDeps) -> None:
        """Nothing is read before the first request, except by `first_run_link`."""
        self._deps = deps
        self.application = web.Application(client_max_size=1 << 20)
        # Every node must know it: the link that one has printed leads to any of them.
        self._setup_code = hmac.new(deps.key, b"the first account", "sha256").hexdigest()
        names = {i: engine.project.name or i for i, engine in deps.engines.items()}
        self._pages = Pages(deps.clock, names)
        self._home = Home(deps, self._pages)
        self._hints = Hints(deps.bus)
        secure = deps.public_url.startswith("https://")
        self._sign_ins = SignIns(deps.store, deps.clock, deps.ids, deps.key, secure=secure)

    def offer_emulator(self, connect: Offer) -> None:
        """Let the start page connect an emulated contact centre as long as no other is connected."""
        self._home.emulator = connect

    async def first_run_link(self) -> str | None:
        """The address at which the first user is made, the same on every node; None when there are users."""
        if await self._deps.store.users():
            return None
        return f"{self._deps.public_url}/studio/setup?code={self._setup_code}"

    def saved(self, entries: Sequence[catalog.Entry]) -> None:
        """The lists show something new of these conversations: open pages hear of it."""
        self._hints.saved(entries)

    def mount(self, app: web.Application) -> None:
        """Add the pages to `app`."""
        deps, pages, studio = self._deps, self._pages, self.application
        table = Table(studio)
        guard(studio, deps, self._sign_ins, pages)
        table.open("GET", "/static/{name:[a-z0-9_.]+}", static)
        Entry(deps, pages, self._sign_ins, self._setup_code).routes(table)
        self._home.routes(table)
        Conversations(deps, pages).routes(table)
        ConversationActs(deps, pages).routes(table)
        Letters(deps, pages).routes(table)
        Erasing(deps, pages).routes(table)
        Dashboard(deps, pages).routes(table)
        Keys(deps, pages).routes(table)
        Live(deps, self._sign_ins, self._hints).routes(table)
        studio.on_shutdown.append(self._let_go)
        files = {i: ProjectFiles(folder, deps.engines[i]) for i, folder in deps.folders.items()}
        Knowledge(deps, pages, files).routes(table)
        Functions(deps, pages, files).routes(table)
        Running(deps, pages).routes(table)
        FlowParts(deps, pages, files).routes(table)
        Flows(deps, pages, files).routes(table)
        Tables(deps, pages, files).routes(table)
        Texting(deps, pages, files).routes(table)
        Channels(deps, pages).routes(table)
        TestChat(deps, pages).routes(table)
        Integrations(deps, pages).routes(table)
        Connections(deps, pages).routes(table)
        Secrets(deps, pages).routes(table)
        Health(deps, pages).routes(table)
        Hooks(deps, pages).routes(table)
        SettingsPages(deps, pages).routes(table)
        app.router.add_get("/studio", _with_slash)
        app.add_subapp("/studio/", studio)

    async def _let_go(self, _: web.Application) -> None:
        self._hints.close()


async def _with_slash(_: web.Request) -> web.StreamResponse:
    raise web.HTTPMovedPermanently("/studio/")
