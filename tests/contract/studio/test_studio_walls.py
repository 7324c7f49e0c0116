"""What customers, agents and functions write runs on no page, and nobody reaches another project: by enumeration."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import pytest
import pytest_asyncio

from support.evil import ADDRESS, EVIL, evil_talk, harm
from support.studio import Visit, add_user, copy_examples, studio_server
from warmline.app import Server
from warmline.channels.sms import setup
from warmline.emulators.sms import SmsSettings, demo_values
from warmline.ports import TEST_CHAT, ApiKey, AuditEntry, Connection, Connector, Receiver, Role, User
from warmline.studio.guard import needed_role

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = frozenset({"session", "connection", "connector", "row", "message"})
"""Placeholders of routes for what has an id in all projects."""
PLAIN = frozenset({"file", "folder", "name", "number", "table", "provider", "user", "receiver"})
"""Placeholders for what is found within a project only, or by administrators, who see all of them."""
SHOWN = ("conversations", "test-chat", "deliveries", "dashboard", "integrations", "channels", "settings", "")
"""The parts of the Studio whose pages all show something here; those of files show the projects' own."""


@dataclass
class Filled:
    """A server with an evil conversation in each of two projects. `ids` are those of project "two"."""

    server: Server
    ids: Mapping[str, str] = field(default_factory=dict)
    test_chat: str = ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Filled]:
    """Two projects and everything in them."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="lumen-energy", two="lumen-energy")
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as server:
        await add_user(server, "admin@example.org", Role.ADMIN)
        await add_user(server, "editor@example.org", Role.EDITOR)
        await add_user(server, "limited@example.org", Role.EDITOR, ("one",))
        assert await server.store.add_user(User(id="evil", name=EVIL, role=Role.VIEWER, password="x"))
        yield await fill(server)


async def fill(server: Server) -> Filled:
    store, now = server.store, server.clock.now()
    await store.save_connection(
        Connection(
            id="in-two",
            provider="webex",
            name=EVIL,
            project_id="two",
            values={"asset_webhook_url": ADDRESS, "queue_name": EVIL, "region": EVIL},
            state="misconfigured",
            state_reason=EVIL,
            created_at=1,
        )
    )
    numbers = demo_values(SmsSettings(), "http://localhost:1")
    text = await setup.save(store, server.clock, server.ids, "two", numbers, EVIL, relaxed=True)
    await store.save_connection(replace(text, state="misconfigured", state_reason=EVIL))
    server.sms.connections.forget()
    receiver = Receiver(id="receiver", name=EVIL, url=f"https://example.com/{EVIL}", kinds=(EVIL,), created_at=1)
    await store.save_receiver(receiver)
    await store.save_connector(
        Connector(
            id="web-two",
            token="token-two",
            project_id="two",
            host=EVIL,
            variant=EVIL,
            agent_name=EVIL,
            settings={"widget": {"header_text": EVIL, "agent_image_url": ADDRESS}},
        )
    )
    await store.add_api_key(ApiKey(id="0" * 64, name=EVIL, project_id="two", created_at=1))
    entry = AuditEntry(at=now, user_id="x", user_name=EVIL, act="connector_made", subject=EVIL, project_id="two")
    await store.record(entry)
    session = await evil_talk(server, "two")
    chat = await evil_talk(server, "two", connector_id=TEST_CHAT)
    row = next(row.id for row, dead in await store.deliveries(session) if dead)
    ids = {"session": session, "connection": "in-two", "connector": "web-two", "row": str(row), "message": "m1"}
    ids |= {"text": text.id, "receiver": "receiver", "number": "all", "user": "evil"}
    return Filled(server, ids, chat)


def routes(server: Server) -> list[tuple[str, str, Role | None]]:
    """Method, path with its placeholders, and the role it needs, of every route below /studio/."""
    studio = server.studio.application
    found = []
    for route in studio.router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            found.append((route.method, route.resource.canonical, needed_role(studio, route.handler)))
    return found


def blanks(path: str) -> list[str]:
    """The names of a path's placeholders."""
    return re.findall(r"\{(\w+)[^}]*\}", path)


def filled_in(path: str, filled: Filled) -> str:
    """The path to what is in project "two"."""
    ids = dict(filled.ids)
    if "test-chat" in path:
        ids["session"] = filled.test_chat
    if "channels/sms" in path:
        ids["connection"] = filled.ids["text"]
    return re.sub(r"\{(\w+)[^}]*\}", lambda m: quote(ids.get(m[1], "x")), path)


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
