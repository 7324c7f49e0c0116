"""Erasing a customer in the Studio while the server runs, and how long things are kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.studio import Visit, add_user, studio_server
from warmline.app import Server
from warmline.domain import commands as c
from warmline.domain import texts
from warmline.domain.messages import LiveAgent, Say
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome
from warmline.ports import Connector, Role, SessionInfo, StoredFile

pytestmark = pytest.mark.asyncio(loop_scope="module")
MARKER = "Zebrafinch"
IDENTITY = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the database lies."""
    return tmp_path_factory.mktemp("data")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    """A server with an administrator and an editor."""
    async with studio_server(folder) as running:
        for role in Role:
            await add_user(running, f"{role}@example.org", role)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def admin(server: Server) -> AsyncIterator[Visit]:
    """The administrator, signed in."""
    async with Visit(server) as visitor:
        await visitor.sign_in("admin@example.org")
        yield visitor


async def talked(server: Server, *, handed_over: bool, subject: str = IDENTITY) -> str:
    """A conversation in which the customer says the marker."""
    talk, now = server.conversations, server.clock.now()
    info = SessionInfo(connector_id="c", project_id=server.project_ids[0], subject=subject)
    session_id = await talk.start(info)
    await talk.join(session_id, Connector(id="c", token="t", project_id=info.project_id, host="", agent_name="Lumi"))
    await talk.post(session_id, f"My secret is {MARKER}")
    file = StoredFile(
        id=f"f-{session_id}",
        session_id=session_id,
        name="x.txt",
        mime_type="text/plain",
        content=MARKER.encode(),
        created_at=now,
        expires_at=now + 10**9,
    )
    await server.store.save_file(file)
    if handed_over:
        outcome = TurnOutcome(says=(Say(text=MARKER),), handoff=HandoffRequest(integration="webex_integration"))
        plan = c.HandoffPlan(handoff_id=f"h-{session_id}", connection_id="gone", provider="webex", queue_timeout_s=60)
        turn = c.ApplyTurn(at=now, kind=TurnKind.START, outcome=outcome, message_ids=("says",), plan=plan)
        await talk.apply(session_id, turn)
        joined = c.AgentJoined(at=now, handoff_id=plan.handoff_id, agent=LiveAgent(id="a", name=MARKER))
        await talk.apply(session_id, joined)
    await server.catalog.write()
    return session_id


async def test_a_customer_is_erased_while_the_server_runs(server: Server, admin: Visit, folder: Path) -> None:
    first, second = await talked(server, handed_over=True), await talked(server, handed_over=False)
    other = await talked(server, handed_over=False, subject="program")
    status, page = await admin.get(f"/studio/conversations/{first}/erase")
    assert status == 200
    assert "2 conversations are known to be this customer&#39;s" in page
    assert "2 of them still run" in page
    heard: list[str] = []
    server.conversations.watch(lambda done: heard.extend(getattr(r.event, "text", "") for r in done.events))
    status, page = await admin.post(f"/studio/conversations/{first}/erase")
    assert status == 200
    assert "2 conversations were deleted" in page
    assert "Nothing of it is left in unused parts" in page
    assert heard.count(texts.ENDED_BY_OPERATOR) == 2, "who still was there is told"
    for session_id in (first, second):
        assert await server.store.session(session_id) is None
        assert (await admin.get(f"/studio/conversations/{session_id}"))[0] == 404
    assert await server.store.session(other) is not None
    entry = (await server.store.audit())[0]
    assert (entry.act, entry.subject) == ("customer_erased", f"{first}: 2")
    assert await server.store.file(f"f-{first}") is None
    # The other conversation has the marker too: erased, nothing of it is left in the file and what lies beside it.
    await admin.get(f"/studio/conversations/{other}/erase")
    assert "1 conversation" not in (await admin.post(f"/studio/conversations/{other}/erase"))[1]
    raw = b"".join(path.read_bytes() for path in folder.glob("warmline.db*"))
    assert MARKER.encode() not in raw
    assert (await admin.get(f"/studio/conversations?words={MARKER}"))[1].count("badge") == 0


async def test_only_administrators_erase_and_decide_how_long_things_are_kept(server: Server, admin: Visit) -> None:
    session_id = await talked(server, handed_over=False, subject="program")
    async with Visit(server) as editor:
        await editor.sign_in("editor@example.org")
        assert "Erase this customer" not in (await editor.get(f"/studio/conversations/{session_id}"))[1]
        assert (await editor.post(f"/studio/conversations/{session_id}/erase"))[0] == 403
        assert (await editor.post("/studio/settings/retention", conversations="1", dead="1", audit="1"))[0] == 403
    assert await server.store.session(session_id) is not None
    assert "Erase this customer" in (await admin.get(f"/studio/conversations/{session_id}"))[1]
    for path in ("nobody", "x' OR 1=1"):
        assert (await admin.post(f"/studio/conversations/{path}/erase"))[0] == 404


async def test_periods_are_saved_and_bad_ones_named(server: Server, admin: Visit) -> None:
    status, page = await admin.get("/studio/settings/retention")
    assert status == 200
    assert page.count('value="0"') == 3
    for bad in ("", "-1", "x", "1.5", "123456", "²"):
        status, page = await admin.post("/studio/settings/retention", conversations="30", dead=bad, audit="0")
        assert status == 422
        assert "Dead deliveries: give a number of days" in page
    assert await server.store.settings("retention/") == {}
    done = await admin.post("/studio/settings/retention", conversations="030", dead="14", audit="0")
    assert done == (303, "/studio/settings/retention?saved=1")
    assert (await server.store.settings("retention/")) == {
        "retention/conversations": "30",
        "retention/dead": "14",
        "retention/audit": "0",
    }
    assert (await server.store.audit())[0].subject == "conversations=30 dead=14 audit=0"
    assert 'value="30"' in (await admin.get("/studio/settings/retention?saved=1"))[1]
