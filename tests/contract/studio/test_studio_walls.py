"""What customers, agents and functions write runs on no page, and nobody reaches another project: by enumeration."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.evil import ADDRESS, EVIL, harm
from support.filled_studio import Filled, blanks, fill, filled_in, routes
from support.studio import Visit, add_user, copy_examples, studio_server
from warmline.ports import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = frozenset({"session", "connection", "connector", "row", "message"})
"""Placeholders of routes for what has an id in all projects."""
PLAIN = frozenset({"file", "folder", "name", "number", "table", "provider", "user", "receiver"})
"""Placeholders for what is found within a project only, or by administrators, who see all of them."""
SHOWN = ("conversations", "test-chat", "deliveries", "dashboard", "integrations", "channels", "settings", "")
"""The parts of the Studio whose pages all show something here; those of files show the projects' own."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Filled]:
    """Two projects and everything in them."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="lumen-energy", two="lumen-energy")
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as server:
        await add_user(server, "admin@example.org", Role.ADMIN)
        await add_user(server, "editor@example.org", Role.EDITOR)
        await add_user(server, "limited@example.org", Role.EDITOR, ("one",))
        yield await fill(server, "two")


async def test_every_placeholder_is_known_here(filled: Filled) -> None:
    known = IDS | PLAIN
    for _, path, needs in routes(filled.server):
        if needs is not None:
            assert set(blanks(path)) <= known, f"{path}: say above whether it is the id of something"


async def test_the_judge_sees_what_would_run() -> None:
    for page in (f"<p>{EVIL}</p>", f"<a href='{ADDRESS}'>a</a>", "<p onclick='x'>a</p>", "<script>x</script>"):
        assert harm(page), page
    assert harm('<p title="&#34;&gt;&lt;img src=x onerror=x">&lt;script&gt;</p><script src="/a.js"></script>') == []


async def test_what_was_written_runs_on_no_page(filled: Filled) -> None:
    pages = [path for method, path, needs in routes(filled.server) if method == "GET" and needs is not None]
    assert len(pages) > 30
    seen = 0
    async with Visit(filled.server) as visit:
        await visit.sign_in("admin@example.org")
        for path in pages:
            part = path.removeprefix("/studio/").partition("/")[0]
            full = filled_in(path, filled)
            for fragment in ({}, {"HX-Request": "true"}):
                status, page = await visit.get(f"{full}?project=two&sandbox=yes", headers=fragment)
                assert harm(page) == [] or not page.lstrip().startswith("<"), (path, harm(page))
                if part in SHOWN and set(blanks(path)) <= set(filled.ids):
                    assert status == 200, (path, status)
                seen += "onerror=alert(1)" in page
    assert seen >= 16


async def test_nobody_reaches_another_project(filled: Filled) -> None:
    before = await state(filled)
    async with Visit(filled.server) as limited, Visit(filled.server) as editor:
        await limited.sign_in("limited@example.org")
        await editor.sign_in("editor@example.org")
        for method, path, needs in routes(filled.server):
            if needs is None or needs is Role.ADMIN or path in ("/studio/sign-out", "/studio/settings/password"):
                continue
            full = filled_in(path, filled)
            send = limited.get if method == "GET" else limited.post
            assert (await send(f"{full}?project=two"))[0] == 404, (method, path)
            if set(blanks(path)) & IDS:
                assert (await send(full))[0] == 404, (method, path)
                assert (await send(f"{full}?project=one"))[0] == 404, (method, path)
                if method == "GET":
                    # It is there for those who see the project.
                    assert (await editor.get(f"{full}?project=two"))[0] in (200, 303, 409), path
    assert await state(filled) == before


async def state(filled: Filled) -> tuple[object, ...]:
    """All that somebody from elsewhere might have changed."""
    store = filled.server.store
    sessions = [await store.session(session_id) for session_id in (filled.ids["session"], filled.test_chat)]
    return (
        [one.session.last_sequence for one in sessions if one is not None],
        await store.connections(),
        await store.text_connections(),
        [c for c in await store.connectors() if not c.id.startswith("studio-preview-")],
        await store.deliveries(filled.ids["session"]),
    )
