"""First run, sign-in and sign-out."""

import hmac
import re

from aiohttp import web

from warmline.ports import Role, User
from warmline.studio.access.passwords import hash_password, password_fits, password_problem
from warmline.studio.access.sign_in import SignIns
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import VISITOR, Pages
from warmline.web.limits import RateLimit, RateLimiter, retry_after
from warmline.web.requests import client_address

USER_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,98}[a-z0-9]")
_NEXT = re.compile(r"/studio/[A-Za-z0-9/_.?=&%-]*")


class Entry:
    """The doors of the Studio."""

    def __init__(self, deps: StudioDeps, pages: Pages, sign_ins: SignIns, setup_code: str) -> None:
        self._deps = deps
        self._pages = pages
        self._sign_ins = sign_ins
        self._setup_code = setup_code
        self._by_address = RateLimiter(RateLimit(count=20, seconds=60), deps.clock)
        self._by_name = RateLimiter(RateLimit(count=5, seconds=60), deps.clock)

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.open("GET", "/setup", self.setup)
        table.open("POST", "/setup", self.make_first_user)
        table.open("GET", "/sign-in", self.ask)
        table.open("POST", "/sign-in", self.sign_in)
        table.post("/sign-out", self.sign_out, Role.VIEWER)

    async def setup(self, request: web.Request) -> web.StreamResponse:
        """The form of the one-time link."""
        if not await self._may_set_up(request.query.get("code", "")):
            return self._pages.show(request, "setup_over.html", status=403)
        return self._pages.show(request, "setup.html", code=request.query["code"], name="", problem="")

    async def make_first_user(self, request: web.Request) -> web.StreamResponse:
        """Create the first administrator and sign them in."""
        form = await request.post()
        code, name, password = (str(form.get(key, "")) for key in ("code", "name", "password"))
        name = name.strip().lower()
        if not await self._may_set_up(code):
            return self._pages.show(request, "setup_over.html", status=403)
        problem = "" if USER_NAME.fullmatch(name) else "user.bad_name"
        problem = problem or password_problem(password, name)
        if problem:
            return self._pages.show(request, "setup.html", status=422, code=code, name=name, problem=problem)
        user = User(
            id=self._deps.ids.uuid(),
            name=name,
            role=Role.ADMIN,
            password=await hash_password(password),
            created_at=self._deps.clock.now(),
        )
        if not await self._deps.store.add_user(user, only_first=True):
            return self._pages.show(request, "setup_over.html", status=403)
        await record(self._deps, request, "first_user", user.name, user=user)
        return await self._signed_in(user, "/studio/")

    async def _may_set_up(self, code: str) -> bool:
        fits = hmac.compare_digest(code.encode(), self._setup_code.encode())
        return fits and not await self._deps.store.users()

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """The sign-in form."""
        back = _safe_next(request.query.get("next", ""))
        if VISITOR in request:
            raise web.HTTPSeeOther(back)
        first = not await self._deps.store.users()
        return self._pages.show(request, "sign_in.html", next=back, name="", problem="", first=first)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Check name and password."""
        form = await request.post()
        name, password = str(form.get("name", "")).strip().lower(), str(form.get("password", ""))
        back = _safe_next(str(form.get("next", "")))
        address = client_address(request, self._deps.trusted_proxies)
        wait = self._by_address.take(address) or self._by_name.take(name)
        problem, status, user = "sign_in.slow_down", 429, None
        if not wait:
            user = next((u for u in await self._deps.store.users() if u.name == name), None)
            fits = len(password) <= 1024 and await password_fits(user.password if user else None, password)
            problem, status, user = "sign_in.wrong", 403, user if fits else None
        if user is None:
            page = self._pages.show(
                request, "sign_in.html", status=status, next=back, name=name, problem=problem, first=False
            )
            if wait:
                page.headers["Retry-After"] = retry_after(wait)
            return page
        self._by_address.give_back(address)
        self._by_name.give_back(name)
        await record(self._deps, request, "sign_in", user=user)
        return await self._signed_in(user, back)

    async def _signed_in(self, user: User, back: str) -> web.StreamResponse:
        response = web.Response(status=303, headers={"Location": back})
        await self._sign_ins.start(response, user)
        return response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """End this browser's sign-in."""
        response = web.Response(status=303, headers={"Location": "/studio/sign-in"})
        await self._sign_ins.end(response, request[VISITOR])
        return response


def _safe_next(wanted: str) -> str:
    """Where to go after the sign-in: only to pages of the Studio."""
    harmless = _NEXT.fullmatch(wanted) and "//" not in wanted and ".." not in wanted
    return wanted if harmless else "/studio/"
