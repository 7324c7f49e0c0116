"""Every request to the Studio passes here: who is it, may they, does the form come from us, which project."""

import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from warmline.domain.errors import StoreUnavailable, WarmlineError
from warmline.ports import Role
from warmline.studio.access.sign_in import SignIns, Visitor, same_origin
from warmline.studio.deps import StudioDeps
from warmline.studio.pages import PROJECT, VISITOR, Pages

_log = structlog.get_logger(__name__)

FORM_TOKEN = "form_token"  # noqa: S105  (the name of a field)
_SAFE = frozenset({"GET", "HEAD"})
_NEEDS: web.AppKey[dict[Handler, Role | None]] = web.AppKey("needs", dict)

StudioHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Table:
    """The Studio's routes. Each says which role it needs; a route that says nothing cannot be made."""

    def __init__(self, app: web.Application) -> None:
        """Add routes to the application that is mounted at `/studio`."""
        self._app = app
        app[_NEEDS] = {}

    def open(self, method: str, path: str, handler: StudioHandler) -> None:
        """A route for everybody, signed in or not."""
        self._add(method, path, None, handler)

    def get(self, path: str, handler: StudioHandler, needs: Role = Role.VIEWER) -> None:
        """A page."""
        self._add("GET", path, needs, handler)

    def post(self, path: str, handler: StudioHandler, needs: Role) -> None:
        """A change."""
        self._add("POST", path, needs, handler)

    def _add(self, method: str, path: str, needs: Role | None, handler: StudioHandler) -> None:
        self._app.router.add_route(method, path, handler)
        self._app[_NEEDS][handler] = needs


def needed_role(app: web.Application, handler: Handler) -> Role | None:
    """The role that a route's handler needs; None when it is open to everybody.

    Raises:
        KeyError: the handler is not in the table.
    """
    return app[_NEEDS][handler]


def guard(app: web.Application, deps: StudioDeps, sign_ins: SignIns, pages: Pages) -> None:
    """Let nobody past who may not do what they ask for."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await _admit(app, deps, sign_ins, request)
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _explain(request, error.status)
        except StoreUnavailable:
            return _explain(request, 503)
        except WarmlineError as error:
            _log.info("studio.refused", code=error.code)
            return _show(request, 400, "refused", str(error))
        except Exception:
            _log.exception("studio.page_failed", method=request.method, route=_route(request))
            return _explain(request, 500)

    def _explain(request: web.Request, status: int) -> web.StreamResponse:
        key = str(status) if status in (401, 403, 404, 413, 429, 503) else "other"
        return _show(request, status, key)

    def _show(request: web.Request, status: int, key: str, detail: str = "") -> web.StreamResponse:
        part = "HX-Request" in request.headers
        template = "error_part.html" if part else "error.html"
        response = pages.show(request, template, status=status, status_key=key, detail=detail)
        if part:
            # The page stays as it is; why a part of it has no news is told beside it.
            response.headers.update({"HX-Retarget": "#trouble", "HX-Reswap": "innerHTML", "HX-Reselect": "#why"})
        return response

    app.middlewares.append(check)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


async def _admit(app: web.Application, deps: StudioDeps, sign_ins: SignIns, request: web.Request) -> None:
    """Raise unless the request may go on; remember who sends it and for which project."""
    if request.match_info.http_exception is not None:
        needs: Role | None = Role.VIEWER
    else:
        needs = needed_role(app, request.match_info.handler)
    if request.method not in _SAFE and not same_origin(request):
        raise web.HTTPForbidden
    visitor = await sign_ins.visitor(request)
    if visitor is not None:
        request[VISITOR] = visitor
        request[PROJECT] = _project(deps, visitor, request)
    if needs is None:
        return
    if visitor is None:
        raise _to_sign_in(request)
    if request.method not in _SAFE:
        await _check_form(visitor, request)
    if not visitor.user.role.covers(needs):
        raise web.HTTPForbidden


def _to_sign_in(request: web.Request) -> web.HTTPException:
    if "HX-Request" in request.headers and request.method not in _SAFE:
        # What was written stays on the page.
        return web.HTTPUnauthorized()
    if "HX-Request" in request.headers:
        # A fragment must not become the sign-in page: the whole page goes there.
        response = web.HTTPOk()
        response.headers["HX-Redirect"] = "/studio/sign-in"
        return response
    back = f"?next={quote(request.path_qs, safe='')}" if request.method in _SAFE else ""
    return web.HTTPSeeOther(f"/studio/sign-in{back}")


async def _check_form(visitor: Visitor, request: web.Request) -> None:
    given = request.headers.get("X-Form-Token") or str((await request.post()).get(FORM_TOKEN, ""))
    if not hmac.compare_digest(given.encode(), visitor.form_token.encode()):
        raise web.HTTPForbidden


def _project(deps: StudioDeps, visitor: Visitor, request: web.Request) -> str:
    """The project that the page is about: the one asked for, else the first that the user sees."""
    seen = [project_id for project_id in deps.folders if visitor.user.sees(project_id)]
    wanted = request.query.get("project", "")
    if wanted and wanted not in seen:
        raise web.HTTPNotFound
    return wanted or (seen[0] if seen else "")
