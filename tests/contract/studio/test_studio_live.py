"""Open pages hear that something changed, over a stream that ends with the sign-in and tells nobody anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
import pytest_asyncio

from support.buses import Hub
from support.studio import Visit, add_user, copy_examples, studio_server
from warmline.app import Server
from warmline.domain.catalog import Entry
from warmline.ports import Poke, Role, SessionInfo, Wake
from warmline.studio.hints import Ear, Hints
from warmline.studio.routes import live
from warmline.testing.messaging_client import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with two projects; "limited" sees only the first."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="harbour-dental", two="harbour-dental")
    async with studio_server(tmp_path_factory.mktemp("data"), projects, watch=False) as running:
        await add_user(running, "viewer@example.org", Role.VIEWER)
        await add_user(running, "limited@example.org", Role.VIEWER, ("one",))
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server) -> AsyncIterator[Visit]:
    """The viewer, signed in."""
    async with Visit(server) as visitor:
        await visitor.sign_in("viewer@example.org")
        yield visitor


@asynccontextmanager
async def listening(visit: Visit, query: str) -> AsyncIterator[aiohttp.StreamReader]:
    """A page's stream, opened."""
    async with visit.open(f"/studio/live?{query}") as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert await answer.content.readline() == b"retry: 2000\n"
        yield answer.content


async def changed(content: aiohttp.StreamReader) -> bool:
    """Wait for a hint; False when the stream ends before one."""
    async with asyncio.timeout(PATIENCE_S):
        while line := await content.readline():
            assert line in (b"\n", b"event: changed\n", b"data:\n"), "nothing of anybody is told"
            if line == b"event: changed\n":
                return True
    return False


async def begin(server: Server, project_id: str) -> str:
    info = SessionInfo(connector_id="c", project_id=project_id, subject="user")
    return await server.conversations.start(info)


async def test_pages_hear_of_what_they_show(server: Server, visit: Visit) -> None:
    session_id = await begin(server, "one")
    await server.catalog.write()
    async with (
        listening(visit, "project=one&about=conversations") as rows,
        listening(visit, f"about=conversation&session={session_id}") as detail,
        listening(visit, "about=state") as state,
    ):
        await server.conversations.post(session_id, "hello")
        assert await changed(rows)
        assert await changed(detail)
        assert await changed(state), "it looks now and then"


async def test_only_conversations_that_the_visitor_sees_are_followed(server: Server) -> None:
    hidden = await begin(server, "two")
    shown = await begin(server, "one")
    async with Visit(server) as limited:
        assert (await limited.get("/studio/live?about=state"))[0] == 303, "nobody is signed in"
        await limited.sign_in("limited@example.org")
        for query in ("", "about=nothing", "about=conversations&project=two", f"about=conversation&session={hidden}"):
            assert (await limited.get(f"/studio/live?{query}"))[0] == 404, query
        async with listening(limited, f"about=conversation&session={shown}"):
            pass


@pytest.mark.parametrize("ended", ["sign-out", "role", "projects"])
async def test_a_stream_ends_with_the_sign_in_and_with_the_rights(server: Server, ended: str) -> None:
    user = await add_user(server, f"{ended}@example.org", Role.EDITOR)
    async with Visit(server) as visit:
        await visit.sign_in(user.name)
        async with listening(visit, "about=conversations&project=one") as content:
            if ended == "sign-out":
                await visit.post("/studio/sign-out")
            else:
                changed_user = replace(user, role=Role.VIEWER) if ended == "role" else replace(user, projects=("two",))
                await server.store.change_user(changed_user)
            await begin(server, "one")
            assert [await changed(content) for _ in range(2)][-1] is False


async def test_a_sign_in_has_only_so_many_streams_and_a_page_that_is_left_has_none(
    server: Server, visit: Visit
) -> None:
    pages = [listening(visit, "about=state") for _ in range(live._MOST_EACH)]
    for page in pages:
        await page.__aenter__()
    assert (await visit.get("/studio/live?about=state"))[0] == 429
    async with Visit(server) as other:
        await other.sign_in("limited@example.org")
        async with listening(other, "about=state"):
            pass
    for page in pages:
        await page.__aexit__(None, None, None)
    async with asyncio.timeout(PATIENCE_S):
        while server.studio._hints.count():  # noqa: ASYNC110 (who leaves tells nobody)
            await asyncio.sleep(0.05)


async def test_what_another_node_wrote_is_heard_of_once_its_lists_show_it() -> None:
    hub = Hub()
    here, there = (hub.bus() for _ in range(2))
    for bus in (here, there):
        await bus.start()
    hints = Hints(here)
    rows, detail, other, state = Ear("a", project_id="p"), Ear("a", session_id="s"), Ear("a", session_id="t"), Ear("a")
    with hints.listening(rows), hints.listening(detail), hints.listening(other), hints.listening(state):
        there.send(Poke(session_id="s", upto=4))
        async with asyncio.timeout(PATIENCE_S):
            await rows.news.wait()
            await detail.news.wait()
        assert not other.news.is_set()
        assert not state.news.is_set()
        there.send(Wake("outbox", ("3",)))
        there.send(Wake("connections"))
        async with asyncio.timeout(PATIENCE_S):
            await state.news.wait()
            await other.news.wait()
        rows.news.clear()
        detail.news.clear()
        hints.saved([Entry(session_id="s", project_id="elsewhere")])
        assert (rows.news.is_set(), detail.news.is_set()) == (False, True)
    for bus in (here, there):
        await bus.stop()


async def test_a_server_that_stops_waits_for_no_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with studio_server(tmp_path_factory.mktemp("stopping"), watch=False) as running:
        await add_user(running, "viewer@example.org", Role.VIEWER)
        async with Visit(running) as visit:
            await visit.sign_in("viewer@example.org")
            async with listening(visit, "about=conversations") as content:
                stopping = asyncio.create_task(running.stop())
                while await changed(content):
                    pass
                await stopping
