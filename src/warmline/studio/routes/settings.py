"""Settings: users and their roles, the own password, the audit log."""

from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web

from warmline.ports import Role, User
from warmline.studio.access.passwords import hash_password, password_fits, password_problem
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.finding import first
from warmline.studio.guard import Table
from warmline.studio.pages import VISITOR, Pages
from warmline.studio.routes.entry import USER_NAME

_PAGE = 100


class SettingsPages:
    """Who may use the Studio, and who did what."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/settings", self.show)
        table.post("/settings/password", self.change_password, Role.VIEWER)
        table.get("/settings/users", self.users, Role.ADMIN)
        table.post("/settings/users", self.add_user, Role.ADMIN)
        table.get("/settings/users/{user}", self.user, Role.ADMIN)
        table.post("/settings/users/{user}", self.change_user, Role.ADMIN)
        table.post("/settings/users/{user}/remove", self.remove_user, Role.ADMIN)
        table.get("/settings/audit", self.audit, Role.ADMIN)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The visitor's own account."""
        return self._own(request, problem="", changed=False)

    def _own(self, request: web.Request, *, problem: str, changed: bool) -> web.StreamResponse:
        status = 422 if problem else 200
        return self._pages.show(
            request, "settings.html", status=status, section="settings", tab="own", problem=problem, changed=changed
        )

    async def change_password(self, request: web.Request) -> web.StreamResponse:
        """Replace the visitor's password; other browsers are signed out."""
        form = await request.post()
        visitor = request[VISITOR]
        if not await password_fits(visitor.user.password, str(form.get("current", ""))):
            return self._own(request, problem="password.wrong_current", changed=False)
        password = str(form.get("password", ""))
        problem = password_problem(password, visitor.user.name)
        if problem:
            return self._own(request, problem=problem, changed=False)
        await self._deps.store.change_user(replace(visitor.user, password=await hash_password(password)))
        await self._deps.store.end_sign_ins(user_id=visitor.user.id)
        await self._deps.store.save_sign_in(visitor.sign_in)
        await record(self._deps, request, "password_changed", visitor.user.name)
        return self._own(request, problem="", changed=True)

    async def users(self, request: web.Request) -> web.StreamResponse:
        """Everybody who may sign in."""
        return await self._users(request, entered={}, problem="")

    async def _users(self, request: web.Request, *, entered: dict[str, str], problem: str) -> web.StreamResponse:
        return self._pages.show(
            request,
            "users.html",
            status=422 if problem else 200,
            section="settings",
            tab="users",
            users=await self._deps.store.users(),
            entered=entered,
            problem=problem,
        )

    async def add_user(self, request: web.Request) -> web.StreamResponse:
        """Let somebody in."""
        form = await request.post()
        name, password = str(form.get("name", "")).strip().lower(), str(form.get("password", ""))
        role = _role(form.get("role"))
        entered = {"name": name, "role": role.value}
        problem = "" if USER_NAME.fullmatch(name) else "user.bad_name"
        problem = problem or password_problem(password, name)
        if problem:
            return await self._users(request, entered=entered, problem=problem)
        user = User(
            id=self._deps.ids.uuid(),
            name=name,
            role=role,
            password=await hash_password(password),
            projects=self._projects(form.getall("projects", [])),
            created_at=self._deps.clock.now(),
        )
        if not await self._deps.store.add_user(user):
            return await self._users(request, entered=entered, problem="user.taken")
        await record(self._deps, request, "user_added", f"{name} {role.value}")
        raise web.HTTPSeeOther("/studio/settings/users")

    async def user(self, request: web.Request) -> web.StreamResponse:
        """One user's form."""
        return self._user(request, await self._find(request), problem="")

    def _user(self, request: web.Request, user: User, *, problem: str) -> web.StreamResponse:
        status = 422 if problem else 200
        return self._pages.show(
            request, "user.html", status=status, section="settings", tab="users", user=user, problem=problem
        )

    async def change_user(self, request: web.Request) -> web.StreamResponse:
        """Change role, projects or password of a user."""
        user = await self._find(request)
        form = await request.post()
        password = str(form.get("password", ""))
        changed = replace(user, role=_role(form.get("role")), projects=self._projects(form.getall("projects", [])))
        problem = password_problem(password, user.name) if password else ""
        if not problem and changed.role is not Role.ADMIN and await self._last_admin(user):
            problem = "user.last_admin"
        if problem:
            return self._user(request, changed, problem=problem)
        if password:
            changed = replace(changed, password=await hash_password(password))
            await self._deps.store.end_sign_ins(user_id=user.id)
        await self._deps.store.change_user(changed)
        await record(self._deps, request, "user_changed", f"{user.name} {changed.role.value}")
        raise web.HTTPSeeOther("/studio/settings/users")

    async def remove_user(self, request: web.Request) -> web.StreamResponse:
        """Take somebody's access away at once."""
        user = await self._find(request)
        if await self._last_admin(user):
            return self._user(request, user, problem="user.last_admin")
        await self._deps.store.delete_user(user.id)
        await record(self._deps, request, "user_removed", user.name)
        raise web.HTTPSeeOther("/studio/settings/users")

    async def audit(self, request: web.Request) -> web.StreamResponse:
        """Who did what, newest first."""
        before = request.query.get("before", "")
        entries = await self._deps.store.audit(before=int(before) if before.isdigit() else 0, limit=_PAGE)
        older = entries[-1].id if len(entries) == _PAGE else 0
        return self._pages.show(request, "audit.html", section="settings", tab="audit", entries=entries, older=older)

    async def _find(self, request: web.Request) -> User:
        wanted = request.match_info["user"]
        return first(u for u in await self._deps.store.users() if u.id == wanted)

    async def _last_admin(self, user: User) -> bool:
        """Tell whether nobody could manage users without this one."""
        admins = [u.id for u in await self._deps.store.users() if u.role is Role.ADMIN]
        return admins == [user.id]

    def _projects(self, wanted: Iterable[object]) -> tuple[str, ...]:
        chosen = {str(project_id) for project_id in wanted}
        return tuple(project_id for project_id in self._deps.folders if project_id in chosen)


def _role(given: object) -> Role:
    try:
        return Role(str(given))
    except ValueError:
        return Role.VIEWER
