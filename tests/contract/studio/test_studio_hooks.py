"""Settings > Event webhooks and System health: what administrators add, test, pause, rotate and remove there."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.studio import Visit, add_user, studio_server
from warmline.app import Server
from warmline.domain.catalog import Entry, Followed
from warmline.domain.events import Recorded, UserMessage
from warmline.ports import Connection, Role

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = "/studio/settings/hooks"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with studio_server(tmp_path_factory.mktemp("hooks")) as running:
        for role in Role:
            await add_user(running, role.value, role)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def admin(server: Server) -> AsyncIterator[Visit]:
    async with Visit(server) as visit:
        await visit.sign_in("admin")
        yield visit


async def add(admin: Visit, name: str, url: str, kinds: str = "customer.message") -> str:
    """Add a receiver with the form; gives the page that shows its secret."""
    await admin.get(PAGE)
    status, text = await admin.post(PAGE, name=name, url=url, kinds=kinds, hook_project="")
    assert status == 200, text
    return text


async def receiver_id(server: Server, name: str) -> str:
    return next(r.id for r in await server.store.receivers() if r.name == name)


async def test_a_receiver_is_added_tested_paused_and_removed(server: Server, admin: Visit) -> None:
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append((await request.json())["type"])
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/in", hear)
    async with TestServer(app) as program:
        text = await add(admin, "CRM", str(program.make_url("/in")))
        assert re.search(r'value="whsec_[A-Za-z0-9+/]{43}="', text)
        path = f"{PAGE}/{await receiver_id(server, 'CRM')}"
        status, text = await admin.get(path)
        assert (status, "whsec_" in text) == (200, False), "the secret is shown once"
        _, text = await admin.post(f"{path}/test")
        assert ("accepted the test: 202" in text, heard) == (True, ["test"])
    _, text = await admin.post(f"{path}/test")
    assert "could not be reached" in text
    assert (await admin.post(f"{path}/pause"))[0] == 303
    assert "Paused" in (await admin.get(path))[1]
    assert (await admin.post(f"{path}/pause"))[0] == 303
    first = (await server.store.receivers())[0]
    _, text = await admin.post(f"{path}/rotate")
    rotated = (await server.store.receivers())[0]
    assert rotated.previous == first.secret != rotated.secret
    assert rotated.secret in text.replace("&#43;", "+").replace("&#x2F;", "/")
    assert "Remove CRM?" in (await admin.get(f"{path}/remove"))[1]
    assert (await admin.post(f"{path}/remove"))[0] == 303
    assert await server.store.receivers() == []
    acts = [entry.act for entry in await server.store.audit()]
    assert {"receiver_added", "receiver_paused", "receiver_resumed", "receiver_rotated", "receiver_removed"} <= {*acts}


async def test_the_sandbox_is_told_of_only_when_it_is_ticked(server: Server, admin: Visit) -> None:
    await add(admin, "Lake", "https://lake.example/in")
    path = f"{PAGE}/{await receiver_id(server, 'Lake')}"
    form = {"name": "Lake", "url": "https://lake.example/in", "kinds": "customer.message", "hook_project": ""}
    for ticked in (False, True, False):
        page = (await admin.get(path))[1]
        assert ('name="sandbox" value="yes" checked' in page) == (await server.store.receivers())[0].sandbox
        assert (await admin.post(path, **form, **({"sandbox": "yes"} if ticked else {})))[0] == 303
        assert (await server.store.receivers())[0].sandbox == ticked
    await admin.post(f"{path}/remove")


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"name": "", "url": "https://a.example", "kinds": "customer.message"}, "Enter a name"),
        ({"name": "x", "url": "ftp://a.example", "kinds": "customer.message"}, "begins with https"),
        ({"name": "x", "url": "https://u:p@a.example", "kinds": "customer.message"}, "begins with https"),
        ({"name": "x", "url": "https://a.example", "kinds": "nonsense"}, "at least one kind"),
        (
            {"name": "x", "url": "https://a.example", "kinds": "session.ended", "hook_project": "none"},
            "Choose one of the projects",
        ),
    ],
)
async def test_wrong_fields_are_named_and_nothing_is_saved(
    server: Server, admin: Visit, form: dict[str, str], problem: str
) -> None:
    await admin.get(PAGE)
    status, text = await admin.post(PAGE, **form)
    assert (status, problem in text) == (422, True)
    assert await server.store.receivers() == []


async def test_what_was_given_up_is_shown_and_sent_again(server: Server, admin: Visit) -> None:
    await add(admin, "Gone", "http://127.0.0.1:9/nobody")
    receiver = (await server.store.receivers())[0]
    message = Recorded(sequence=3, id="e3", at=server.clock.now(), event=UserMessage(message_id="m", text="x"))
    entry = Entry(session_id="s-hook", project_id="lumen-energy", sequence=3)
    await server.store.save_receiver(replace(receiver, paused=True))
    await server.event_hooks.changed()
    await server.store.save_catalog([Followed(entry=entry, log=(message,))], [receiver])
    (due,) = await server.store.events_due(receiver.id, list(range(64)), server.clock.now(), 9)
    await server.store.event_failed(replace(due, attempts=9, error="http_401"), dead=True)
    _, text = await admin.get(f"{PAGE}/{receiver.id}")
    assert "It answered 401 instead of a 2xx" in text
    assert "s-hook" in text
    assert "event webhooks" in (await admin.get("/studio/settings/health"))[1]
    await admin.get(PAGE)
    assert (await admin.post(f"{PAGE}/{receiver.id}/redeliver"))[0] == 303
    assert (await server.store.backlogs())[receiver.id].dead == 0
    await admin.post(f"{PAGE}/{receiver.id}/remove")
    assert await server.store.backlogs() == {}


async def test_health_tells_of_every_part_and_refreshes_itself(server: Server) -> None:
    async with Visit(server) as visit:
        await visit.sign_in("viewer")
        status, text = await visit.get("/studio/settings/health")
        assert (status, 'data-live="/studio/live?about=state"' in text) == (200, True)
        for subject in ("store", "bus", "delivery", "disk", "database", "clock", "nodes", "outbox", "inbox", "version"):
            assert f"<strong>{subject}</strong>" in text, subject
        assert "64 of 64 partitions" in text
        assert "There is none: handoffs will fail." in text
        status, text = await visit.get("/studio/settings/health", headers={"HX-Request": "true"})
        assert (status, "<html" in text, "What to do: " in text or "Remedy" in text or "remedy" in text) == (
            200,
            False,
            True,
        )


async def test_health_shows_connections_of_seen_projects_only(server: Server) -> None:
    secret = Connection(
        id="cx", provider="webex", name="Hidden one", project_id="another", values={}, state="auth_failed"
    )
    await server.store.save_connection(secret)
    try:
        await add_user(server, "narrow", Role.EDITOR, ("lumen-energy",))
        async with Visit(server) as visit:
            await visit.sign_in("narrow")
            assert "Hidden one" not in (await visit.get("/studio/settings/health"))[1]
        async with Visit(server) as visit:
            await visit.sign_in("viewer")
            assert "Hidden one" in (await visit.get("/studio/settings/health"))[1]
    finally:
        await server.store.delete_connection("cx")
