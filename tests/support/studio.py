"""The Studio of a real server, and a browser without a window that uses it."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Self

import aiohttp
from yarl import URL

from support.installation import LUMEN, ROOT
from warmline.app import Server
from warmline.config import Settings
from warmline.ports import Role, User
from warmline.studio.access.passwords import hash_password
from warmline.testing.server import free_port

PASSWORD = "a long enough password"


@asynccontextmanager
async def studio_server(
    folder: Path, projects: Path = LUMEN, *, watch: bool = True, **more: Any
) -> AsyncIterator[Server]:
    """A server with an empty data folder and `more` settings; `watch`: it looks for changed project files by itself."""
    port = free_port()
    settings = Settings(
        database_url=f"sqlite:///{folder}/warmline.db",
        public_url=f"http://localhost:{port}",
        secret_key="k" * 40,
        projects=projects,
        port=port,
        relaxed=True,
        watch_projects=watch,
        **more,
    )
    server = await Server.start(settings)
    try:
        yield server
    finally:
        await server.stop()


async def add_user(server: Server, name: str, role: Role, projects: tuple[str, ...] = ()) -> User:
    """Somebody who may sign in with PASSWORD."""
    user = User(id=name, name=name, role=role, password=await hash_password(PASSWORD), projects=projects)
    assert await server.store.add_user(user)
    return user


async def add_editors(server: Server, *, elsewhere: str) -> None:
    """An editor and a viewer of everything, and "other", an editor who may see the project `elsewhere` only."""
    await add_user(server, "editor@example.org", Role.EDITOR)
    await add_user(server, "viewer@example.org", Role.VIEWER)
    await add_user(server, "other@example.org", Role.EDITOR, (elsewhere,))


def copy_examples(projects: Path, **examples: str) -> None:
    """Copy sample projects, by their names, to be changed; each keyword is the id and the folder of a copy."""
    for name, example in examples.items():
        shutil.copytree(ROOT / "examples" / example, projects / name)
        file = projects / name / "project.yaml"
        file.write_text(re.sub(r"(?m)^project_id:.*$", f"project_id: {name}", file.read_text("utf-8")), "utf-8")


class Visit:
    """A browser's cookies and the form token of the last page."""

    def __init__(self, server: Server) -> None:
        self.url = f"http://localhost:{server.port}"
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.form_token = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    @property
    def cookie(self) -> str:
        """The value of the Studio's cookie; "" without one."""
        return next((c.value for c in self._http.cookie_jar if c.key == "warmline_studio"), "")

    def set_cookie(self, value: str) -> None:
        """Give the browser a cookie, as somebody else would."""
        cookie: SimpleCookie = SimpleCookie({"warmline_studio": value})
        cookie["warmline_studio"]["path"] = "/studio"
        self._http.cookie_jar.update_cookies(cookie, URL(self.url))

    async def get(self, path: str, **more: object) -> tuple[int, str]:
        """Status and text of a page; redirects are not followed."""
        async with self._http.get(self.url + path, allow_redirects=False, **more) as answer:  # type: ignore[arg-type]
            text = await answer.text()
            found = re.search(r'"X-Form-Token": "(\w+)"', text)
            self.form_token = found[1] if found else self.form_token
            return answer.status, answer.headers.get("Location", "") or text

    def open(self, path: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """An answer that is read as it comes."""
        return self._http.get(self.url + path, allow_redirects=False)

    async def post(
        self, path: str, token: bool = True, headers: dict[str, str] | None = None, **form: str
    ) -> tuple[int, str]:
        """Send a form."""
        data = {"form_token": self.form_token, **form} if token else form
        async with self._http.post(self.url + path, data=data, headers=headers, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location", "") or await answer.text()

    async def sign_in(self, name: str, password: str = PASSWORD) -> tuple[int, str]:
        """Use the sign-in form, then open the start page."""
        answer = await self.post("/studio/sign-in", name=name, password=password)
        if answer[0] == 303:
            await self.get("/studio/")
        return answer
