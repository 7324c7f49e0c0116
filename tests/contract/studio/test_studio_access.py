"""Who may do what in the Studio: first run, sign-in, roles by enumeration, forms from elsewhere, other projects."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
import pytest_asyncio

from support.studio import PASSWORD, Visit, add_user, copy_examples, studio_server
from warmline.app import Server
from warmline.ports import Connection, Role
from warmline.studio.guard import needed_role

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Two projects, and one user of each role."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="lumen-energy", two="lumen-energy")
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as running:
        await first_run(running)
        for role in Role:
            await add_user(running, f"{role.value}@example.org", role)
        await add_user(running, "limited@example.org", Role.EDITOR, ("one",))
        yield running


async def first_run(server: Server) -> None:
    link = await server.studio.first_run_link()
    assert link is not None
    path = link.removeprefix(f"http://localhost:{server.port}")
    async with Visit(server) as visit:
        assert (await visit.get("/studio/setup?code=guessed"))[0] == 403
        assert (await visit.get(path))[0] == 200
        code = path.partition("code=")[2]
        status, text = await visit.post("/studio/setup", code=code, name="first@example.org", password="short")
        assert status == 422
        assert "at least 12 characters" in text
        status, where = await visit.post("/studio/setup", code=code, name="First@Example.org ", password=PASSWORD)
        assert (status, where) == (303, "/studio/")
        assert (await visit.get("/studio/"))[0] == 200
        again = await visit.post("/studio/setup", code=code, name="second@example.org", password=PASSWORD)
        assert again[0] == 403
    assert await server.studio.first_run_link() is None
    assert [user.name for user in await server.store.users()] == ["first@example.org"]


async def test_wrong_and_unknown_names_get_the_same_answer(server: Server) -> None:
    async with Visit(server) as visit:
        known = await visit.sign_in("viewer@example.org", "not the password")
        unknown = await visit.sign_in("nobody@example.org", "not the password")
    assert known[0] == unknown[0] == 403
    assert known[1].replace("viewer", "nobody") == unknown[1]


async def test_guessing_is_slowed_down(server: Server) -> None:
    """All at once: one more is allowed every twelve seconds, which is what some take one after the other."""
    async with Visit(server) as visit:
        guesses = [visit.sign_in("victim@example.org", f"guess number {n}") for n in range(7)]
        answers = await asyncio.gather(*guesses)
    assert sorted(status for status, _ in answers) == [403] * 5 + [429] * 2


async def test_signing_in_gives_a_new_cookie_whatever_there_was(server: Server) -> None:
    async with Visit(server) as visit:
        visit.set_cookie("planted-by-somebody-else")
        await visit.sign_in("viewer@example.org")
        assert visit.cookie not in ("", "planted-by-somebody-else")
    async with Visit(server) as thief:
        thief.set_cookie("planted-by-somebody-else")
        assert (await thief.get("/studio/"))[0] == 303


async def test_signing_out_ends_the_sign_in_on_the_server(server: Server) -> None:
    async with Visit(server) as visit:
        await visit.sign_in("viewer@example.org")
        kept = visit.cookie
        assert (await visit.post("/studio/sign-out"))[0] == 303
        visit.set_cookie(kept)
        assert (await visit.get("/studio/"))[0] == 303


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/studio/../x", "/studio//evil"])
async def test_the_sign_in_leads_to_no_other_site(server: Server, wanted: str) -> None:
    async with Visit(server) as visit:
        status, where = await visit.post("/studio/sign-in", name="admin@example.org", password=PASSWORD, next=wanted)
    assert (status, where) == (303, "/studio/")


def every_route(server: Server) -> list[tuple[str, str, Role | None]]:
    """(method, path, needed role) of every route below /studio/, placeholders filled in."""
    studio = server.studio.application
    found = []
    for route in studio.router.routes():
        if route.method == "HEAD":
            continue
        assert route.resource is not None
        path = re.sub(r"\{[^}]*\}", "x", route.resource.canonical)
        found.append((route.method, path, needed_role(studio, route.handler)))
    return found


async def test_every_route_refuses_those_who_may_not(server: Server) -> None:
    routes = every_route(server)
    assert len(routes) > 20
    visits = {role: Visit(server) for role in Role}
    stranger = Visit(server)
    try:
        for role, visit in visits.items():
            await visit.sign_in(f"{role.value}@example.org")
        for method, path, needs in routes:
            if needs is None:
                continue
            send = stranger.get if method == "GET" else stranger.post
            status, where = await send(path)
            assert status == 303, path
            assert where.startswith("/studio/sign-in"), path
            for role, visit in visits.items():
                if role.covers(needs) or path == "/studio/sign-out":
                    continue
                status, _ = await (visit.get(path) if method == "GET" else visit.post(path))
                assert status == 403, (method, path, role)
    finally:
        for visit in (*visits.values(), stranger):
            await visit.__aexit__()


async def test_parts_of_pages_tell_those_who_are_signed_out(server: Server) -> None:
    part = {"HX-Request": "true"}
    async with Visit(server) as visit:
        assert await visit.get("/studio/conversations", headers=part) == (200, "200: OK")
        status, text = await visit.post("/studio/knowledge/check", headers=part)
        assert status == 401
        assert "You are signed out" in text


async def test_a_viewer_changes_nothing(server: Server) -> None:
    allowed = {"/studio/sign-out", "/studio/settings/password"}
    changing = [(path, needs) for method, path, needs in every_route(server) if method != "GET" and needs is not None]
    assert {path for path, needs in changing if needs is Role.VIEWER} == allowed


async def test_changes_are_posts(server: Server) -> None:
    assert {method for method, _, _ in every_route(server)} == {"GET", "POST"}


async def test_forms_from_elsewhere_are_refused(server: Server) -> None:
    async with Visit(server) as visit:
        await visit.sign_in("admin@example.org")
        form = {"name": "new@example.org", "password": PASSWORD, "role": "admin"}
        assert (await visit.post("/studio/settings/users", token=False, **form))[0] == 403
        forged = {"form_token": "0" * 64, **form}
        assert (await visit.post("/studio/settings/users", token=False, **forged))[0] == 403
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await visit.post("/studio/settings/users", headers=headers, **form))[0] == 403
        assert all(user.name != "new@example.org" for user in await server.store.users())
        assert (await visit.post("/studio/settings/users", **form))[0] == 303
        assert any(user.name == "new@example.org" for user in await server.store.users())
    async with Visit(server) as visit:
        login = {"name": "admin@example.org", "password": PASSWORD}
        headers = {"Sec-Fetch-Site": "cross-site"}
        assert (await visit.post("/studio/sign-in", headers=headers, **login))[0] == 403


async def test_nobody_sees_another_project(server: Server) -> None:
    connection = Connection(id="in-two", provider="webex", name="Two", project_id="two", values={}, created_at=1)
    await server.store.save_connection(connection)
    await server.store.save_connection(replace(connection, id="in-one", name="One", project_id="one"))
    async with Visit(server) as visit:
        await visit.sign_in("limited@example.org")
        assert (await visit.get("/studio/integrations/in-one"))[0] == 200
        assert (await visit.get("/studio/integrations/in-two"))[0] == 404
        assert (await visit.get("/studio/?project=two"))[0] == 404
        status, text = await visit.get("/studio/integrations")
        assert status == 200
        assert "in-one" in text
        assert "in-two" not in text


async def test_what_people_enter_is_shown_as_text(server: Server) -> None:
    evil = '"><script>alert(1)</script>'
    connection = Connection(
        id="evil", provider="webex", name=evil, project_id="one", values={"asset_webhook_url": evil}, state_reason=evil
    )
    await server.store.save_connection(connection)
    async with Visit(server) as visit:
        await visit.sign_in("admin@example.org")
        for path in (
            "/studio/",
            "/studio/integrations",
            "/studio/integrations/evil",
            "/studio/integrations/evil/disconnect",
        ):
            status, text = await visit.get(path)
            assert status == 200
            assert "<script>alert" not in text
            assert "alert(1)" in text
        _, text = await visit.post("/studio/settings/users", name=evil, password="x")
        assert "<script>alert" not in text


async def test_the_last_administrator_stays(server: Server) -> None:
    async with Visit(server) as visit:
        await visit.sign_in("admin@example.org")
        for user in await server.store.users():
            if user.role is Role.ADMIN and user.name != "admin@example.org":
                assert (await visit.post(f"/studio/settings/users/{user.id}/remove"))[0] == 303
        _, text = await visit.post("/studio/settings/users/admin@example.org/remove")
        assert "only administrator" in text
        _, text = await visit.post("/studio/settings/users/admin@example.org", role="viewer")
        assert "only administrator" in text
        status, text = await visit.get("/studio/settings/audit")
        assert status == 200
        assert "removed a user" in text


async def test_pages_carry_a_strict_policy_and_are_not_stored(server: Server) -> None:
    async with Visit(server) as visit, visit._http.get(f"{visit.url}/studio/sign-in") as answer:
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"


async def test_static_files_are_fetched_once(server: Server) -> None:
    address = f"http://localhost:{server.port}/studio/static/studio.css"
    async with aiohttp.ClientSession() as browser:
        async with browser.get(address, headers={"Accept-Encoding": "gzip"}) as first:
            assert first.status == 200
            assert first.headers["Content-Encoding"] == "gzip"
            assert ".card" in await first.text()
        async with browser.get(address, headers={"If-None-Match": first.headers["ETag"]}) as again:
            assert (again.status, await again.read()) == (304, b"")
        async with browser.get(address, headers={"If-None-Match": '"another"'}) as other:
            assert other.status == 200
