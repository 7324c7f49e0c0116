"""Where the messaging channel is mounted."""

from aiohttp import web

from warmline.channels.messaging.deps import MessagingDeps
from warmline.channels.messaging.handshake import Sockets
from warmline.channels.messaging.rest import Rest
from warmline.channels.messaging.tokens import AccessTokens
from warmline.channels.messaging.uploads import Uploads
from warmline.channels.messaging.widget import WidgetFiles
from warmline.web.cors import Handler, preflight
from warmline.web.paths import tolerant


def routes(app: web.Application, deps: MessagingDeps) -> None:
    """Mount `/api/v1/access-token`, `/api/v1/sessions…`, `/ws` and `/widget/…` on `app`.

    `app` should have `web.middleware.install` applied. Its shutdown closes the sockets so that clients come back.
    """
    tokens = AccessTokens(deps.jwt_secrets, deps.clock, deps.ids)
    uploads = Uploads(deps, tokens)
    rest, sockets, files = Rest(deps, tokens), Sockets(deps, tokens), WidgetFiles(deps.connectors)
    _mount(app, "POST", "/api/v1/access-token", rest.access_token)
    _mount(app, "POST", "/api/v1/sessions", rest.sessions)
    _mount(app, "PUT", "/api/v1/sessions/{session_id:[^/]+}/context", rest.context)
    _mount(app, "POST", "/api/v1/sessions/{session_id:[^/]+}/files", uploads.post)
    _mount(app, "GET", "/ws", sockets.open)
    _mount(app, "GET", "/widget/assets/{version}/{name:[^/].*}", files.asset)
    _mount(app, "GET", "/widget/{token:[^/]+}.js", files.script)
    app.on_shutdown.append(sockets.stop)


def _mount(app: web.Application, method: str, path: str, handler: Handler) -> None:
    """The exact path first: it is found without a search."""
    for variant in (path, tolerant(path)):
        resource = app.router.add_resource(variant)
        resource.add_route(method, handler)
        resource.add_route("OPTIONS", preflight(f"{method}, OPTIONS"))
