"""Conversations in the Studio: the list, the search, one conversation, its export."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace

import pytest
import pytest_asyncio

from support.studio import Visit, add_user, studio_server
from warmline.app import Server
from warmline.domain import commands as c
from warmline.domain.effects import OpenConversation
from warmline.domain.messages import LiveAgent, Say
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome
from warmline.ports import Connector, Role, SessionInfo
from warmline.store import codec

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = "<img src=x onerror=alert(1)>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server, and somebody who may look."""
    async with studio_server(tmp_path_factory.mktemp("data")) as running:
        await add_user(running, "viewer@example.org", Role.VIEWER)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server) -> AsyncIterator[Visit]:
    """The viewer, signed in."""
    async with Visit(server) as visitor:
        await visitor.sign_in("viewer@example.org")
        yield visitor


async def talk(server: Server, *texts: str, project_id: str = "") -> str:
    """A conversation that a live agent takes over; nobody at a contact centre knows of it."""
    info = SessionInfo(connector_id="c", project_id=project_id or server.project_ids[0], subject="user")
    talk = server.conversations
    session_id = await talk.start(info)
    await talk.join(session_id, Connector(id="c", token="t", project_id=info.project_id, host="", agent_name="Lumi"))
    now = server.clock.now()
    for text in texts:
        await talk.post(session_id, text)
    handoff = TurnOutcome(says=(Say(text="One moment."),), handoff=HandoffRequest(integration="webex_integration"))
    plan = c.HandoffPlan(
        handoff_id=f"h-{session_id}", connection_id="gone", provider="webex", queue_timeout_s=60, reason=EVIL
    )
    turn = c.ApplyTurn(at=now, kind=TurnKind.START, outcome=handoff, message_ids=("says",), plan=plan)
    await talk.apply(session_id, turn)
    await talk.apply(session_id, c.ConversationQueued(at=now, handoff_id=plan.handoff_id))
    joined = c.AgentJoined(at=now, handoff_id=plan.handoff_id, agent=LiveAgent(id="a", name=EVIL))
    await talk.apply(session_id, joined)
    told = c.AgentMessage(at=now, handoff_id=plan.handoff_id, message_id="m", text=EVIL, agent=joined.agent)
    await talk.apply(session_id, told)
    await server.catalog.write()
    return session_id


async def test_the_list_finds_conversations_by_what_was_said(server: Server, visit: Visit) -> None:
    status, text = await visit.get("/studio/conversations?words=nothing")
    assert status == 200
    assert "No conversation fits" in text
    wanted = await talk(server, "Where is my parcel?")
    other = await talk(server, "The heating is cold")
    _, text = await visit.get("/studio/conversations")
    assert wanted in text
    assert other in text
    _, text = await visit.get("/studio/conversations?words=parcel")
    assert wanted in text
    assert other not in text
    for query in ("show=nonsense", "before=nonsense", "before=9:", "words=%22%20OR%201", "channel=x&connection=y"):
        assert (await visit.get(f"/studio/conversations?{query}"))[0] == 200


async def test_the_list_tells_who_answers(server: Server, visit: Visit) -> None:
    session_id = await talk(server, "Who are you?")
    _, text = await visit.get("/studio/conversations")
    (cell,) = re.findall(rf'conversations/{session_id}".*?</td>\s*<td>(.*?)</td>', text, re.DOTALL)
    assert cell == "&lt;img src=x onerror=alert(1)&gt;"


async def test_every_channel_can_be_filtered(server: Server, visit: Visit) -> None:
    """Those under which sessions begin: messaging-protocol.md §17.4."""
    made = {}
    for channel in ("webchat.polyai", "sms.polyai", "whatsapp.polyai", "chat.polyai"):
        info = SessionInfo(connector_id="c", project_id=server.project_ids[0], subject="user")
        made[channel] = await server.conversations.start(info, channel=channel)
    await server.catalog.write()
    _, page = await visit.get("/studio/conversations")
    for channel, session_id in made.items():
        assert f'<option value="{channel}"' in page, channel
        assert session_id in (await visit.get(f"/studio/conversations?channel={channel}"))[1]


async def test_a_conversation_is_shown_whole_and_harmless(server: Server, visit: Visit) -> None:
    session_id = await talk(server, EVIL)
    status, text = await visit.get(f"/studio/conversations/{session_id}")
    assert status == 200
    assert EVIL not in text
    steps = [text.index(f"<strong>{step}</strong>") for step in ("Requested", "In the queue", "Agent joined")]
    assert steps == sorted(steps)
    assert "<dd>Webchat</dd>" in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 4
    assert "Handoff requested" in text
    assert "on its way" in text or "Virtual agent" in text
    part = await visit.get(f"/studio/conversations/{session_id}", headers={"HX-Request": "true"})
    assert part[0] == 200
    assert "<html" not in part[1]


async def test_what_arrived_late_is_told_with_its_tries_and_its_last_error(server: Server, visit: Visit) -> None:
    session_id = await talk(server)
    now = server.clock.now()
    row = (4_000_001, session_id, "SendBriefRest", "", 3, "unavailable", now, now + 1600)
    with closing(sqlite3.connect(server.settings.database_url.removeprefix("sqlite:///"), isolation_level=None)) as db:
        db.execute("INSERT INTO late_deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    _, page = await visit.get(f"/studio/conversations/{session_id}")
    table = page[page.index('id="settled"') :].partition("</details>")[0]
    words = " ".join(re.sub(r"<[^>]+>", " ", table).split())
    assert "Rest of the transcript for the agent arrived 4" in words
    assert "1.6 s The contact centre did not work for too long. unavailable" in words


async def test_a_transcript_is_exported(server: Server, visit: Visit) -> None:
    session_id = await talk(server, "Is anybody there?")
    status, text = await visit.get(f"/studio/conversations/{session_id}/transcript.txt")
    assert status == 200
    assert "Customer: Is anybody there?" in text
    _, log = await visit.get(f"/studio/conversations/{session_id}/transcript.json")
    data = json.loads(log)
    assert data["session_id"] == session_id
    assert [e["sequence"] for e in data["events"]] == list(range(1, len(data["events"]) + 1))
    assert any(e["event"].get("text") == "Is anybody there?" for e in data["events"])


async def test_what_waits_and_what_was_given_up_is_shown(server: Server, visit: Visit) -> None:
    session_id = await talk(server, "hello")
    opening = OpenConversation(connection_id="gone", handoff_id=f"h-{session_id}", through=1, answered=1)
    # Of a partition that no node has, so that it goes on waiting.
    row = (999, f"gone/{session_id}", session_id, codec.tag(opening), codec.encode(opening), server.clock.now())
    with closing(sqlite3.connect(server.settings.database_url.removeprefix("sqlite:///"), isolation_level=None)) as db:
        db.execute(
            "INSERT INTO outbox (partition, stream_key, session_id, kind, body, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
    _, text = await visit.get(f"/studio/conversations/{session_id}")
    assert "Opening at the contact centre" in text


async def test_conversations_of_other_projects_are_not_found(server: Server, visit: Visit) -> None:
    session_id = await talk(server, "a secret of another project", project_id="another")
    (viewer,) = await server.store.users()
    await server.store.change_user(replace(viewer, projects=server.project_ids))
    try:
        for path in ("", "/transcript.txt", "/transcript.json"):
            assert (await visit.get(f"/studio/conversations/{session_id}{path}"))[0] == 404
        _, text = await visit.get("/studio/conversations?words=secret")
        assert session_id not in text
    finally:
        await server.store.change_user(viewer)
    assert (await visit.get("/studio/conversations/nobody"))[0] == 404
