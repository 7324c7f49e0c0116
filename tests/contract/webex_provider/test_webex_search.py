"""The provider asks the emulator's Search what became of tasks, over real HTTP (webex-byoc.md §18.1)."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from support.desk import Desk
from support.webex import open_request
from warmline.emulators.webex import RunningSim
from warmline.files import Fetcher
from warmline.handoff.contract import ListsConversations, Reconciles, RemoteState, RemoteStatus, Transcribes
from warmline.handoff.providers.webex import search
from warmline.handoff.registry import Registry
from warmline.ports import Link
from warmline.system import SystemClock
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import Connecting


async def _known(provider: Reconciles, task_id: str, status: RemoteStatus) -> RemoteState:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            state = (await provider.look_up([task_id, str(uuid4())])).get(task_id)
            if state is not None and state.status is status:
                return state
            await asyncio.sleep(0.02)


def _configure(sim: RunningSim, **settings: Any) -> None:
    sim.sim.configure(msgspec.structs.replace(sim.sim.settings, **settings))


async def test_A80_search_tells_the_state_of_a_task_on_its_way(
    connecting: Connecting, registry: Registry, sim: RunningSim
) -> None:
    _configure(sim, search_lag_ms=0)
    _, connection = await connecting()
    assert connection is not None
    provider = registry.get(connection.id)
    assert provider is not None
    assert isinstance(provider, Reconciles)
    request = open_request(session_id=str(uuid4()), message_id=str(uuid4()), at=SystemClock().now())
    opened = await provider.open(request)
    queued = await _known(provider, opened.remote_id, RemoteStatus.QUEUED)
    assert provider.belongs(queued, request)
    assert not provider.belongs(queued, open_request(session_id="another"))
    async with Desk(sim.url) as desk:
        await desk.ready()
        await desk.take()
        live = await _known(provider, opened.remote_id, RemoteStatus.LIVE)
        assert live.agent_id
    link = Link(handoff_id="h", session_id=request.session_id, connection_id=connection.id, remote_id=opened.remote_id)
    await provider.close(link, "REASON_USER_END")
    ended = await _known(provider, opened.remote_id, RemoteStatus.ENDED)
    assert abs(ended.ended_at - SystemClock().now()) < 60_000


async def test_A82_what_the_index_does_not_have_yet_is_left_out(
    connecting: Connecting, registry: Registry, sim: RunningSim
) -> None:
    _configure(sim, search_lag_ms=120_000)
    _, connection = await connecting()
    assert connection is not None
    provider = registry.get(connection.id)
    assert provider is not None
    assert isinstance(provider, Reconciles)
    opened = await provider.open(open_request(session_id=str(uuid4()), message_id=str(uuid4()), at=SystemClock().now()))
    assert await provider.look_up([opened.remote_id]) == {}
    assert await provider.look_up([str(uuid4()) for _ in range(120)]) == {}, "50 to a query"
    searches = [view for view in sim.sim.access.views() if view["endpoint"] == "search"]
    assert [view["status"] for view in searches] == [200] * 4


async def test_A83_the_transcript_of_an_ended_task_can_be_fetched(
    connecting: Connecting, registry: Registry, sim: RunningSim
) -> None:
    _configure(sim, search_lag_ms=0, transcript_delay_ms=0)
    _, connection = await connecting()
    assert connection is not None
    provider = registry.get(connection.id)
    assert provider is not None
    assert isinstance(provider, Transcribes)
    assert isinstance(provider, Reconciles)
    request = open_request(session_id=str(uuid4()), message_id=str(uuid4()), at=SystemClock().now())
    opened = await provider.open(request)
    await _known(provider, opened.remote_id, RemoteStatus.QUEUED)
    assert await provider.transcript(opened.remote_id) == ""
    link = Link(handoff_id="h", session_id=request.session_id, connection_id=connection.id, remote_id=opened.remote_id)
    await provider.close(link, "REASON_USER_END")
    await _known(provider, opened.remote_id, RemoteStatus.ENDED)
    fetcher = Fetcher(relaxed=True)
    try:
        fetched = await fetcher.fetch(await provider.transcript(opened.remote_id))
    finally:
        await fetcher.close()
    assert json.loads(fetched.content)["messages"][0]["text"] == request.text


async def test_the_tasks_of_a_day_are_listed_and_only_ours(
    connecting: Connecting, registry: Registry, sim: RunningSim
) -> None:
    _configure(sim, search_lag_ms=0)
    _, connection = await connecting()
    assert connection is not None
    provider = registry.get(connection.id)
    assert isinstance(provider, ListsConversations)
    now = SystemClock().now()
    ids = []
    for number in range(3):
        request = open_request(session_id=str(uuid4()), message_id=str(uuid4()), at=now)
        ids.append((await provider.open(request)).remote_id)  # type: ignore[attr-defined]
        await _known(provider, ids[number], RemoteStatus.QUEUED)  # type: ignore[arg-type]
    sim.sim.world.tasks[ids[0]].history[-1][1]["origin"] = "somebody else's"
    listed = await provider.listed(now - 60_000, now + 60_000)
    assert sorted(state.remote_id for state in listed) == sorted(ids[1:])
    assert await provider.listed(now - 120_000, now - 60_000) == []


@pytest.mark.parametrize(
    ("info", "cursor"),
    [({"hasNextPage": True, "endCursor": "abc"}, "abc"), ({"hasNextPage": False, "endCursor": "NA"}, ""), (None, "")],
)
def test_the_next_page_is_asked_for_while_there_is_one(info: dict[str, Any] | None, cursor: str) -> None:
    body = json.dumps({"data": {"taskDetails": {"tasks": [], "pageInfo": info}}}).encode()
    assert search.next_page(body) == cursor
    assert 'pagination: {cursor: \\"abc\\"}' in search.listing("address", 1, 2, "abc").decode()
