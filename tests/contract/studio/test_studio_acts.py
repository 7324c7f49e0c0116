"""Acts on conversations: handoffs ended and returned, dead deliveries retried and discarded, who may, the audit."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from support.studio import Visit, add_user, studio_server
from warmline.app import Server
from warmline.conversation.acts import TEXTS_FOR_MS, Hindrance, hindrance
from warmline.domain import commands as c
from warmline.domain import events as e
from warmline.domain import texts
from warmline.domain.catalog import Outcome
from warmline.domain.decide import Decision
from warmline.domain.effects import (
    CloseConversation,
    Effect,
    ForwardMessage,
    OpenConversation,
    RunTurn,
    SendBriefRest,
    SendText,
)
from warmline.domain.events import Recorded
from warmline.domain.messages import Attachment, AttachmentKind, LiveAgent, Say
from warmline.domain.session import Owner
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome
from warmline.ports import Change, Connector, OutboxRow, Role, SessionInfo
from warmline.testing.messaging_client import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with somebody of each role, connected to nothing: what goes to a contact centre is given up."""
    async with studio_server(tmp_path_factory.mktemp("data")) as running:
        for role in Role:
            await add_user(running, f"{role}@example.org", role)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def editor(server: Server) -> AsyncIterator[Visit]:
    """An editor, signed in."""
    async with Visit(server) as visitor:
        await visitor.sign_in("editor@example.org")
        yield visitor


async def live(server: Server, *, opened: bool = True, joined: bool = True, project_id: str = "") -> str:
    """A conversation with a live agent, or in the queue, or not even there; its connection is gone."""
    info = SessionInfo(connector_id="c", project_id=project_id or server.project_ids[0], subject="user")
    talk, now = server.conversations, server.clock.now()
    session_id = await talk.start(info)
    await talk.join(session_id, Connector(id="c", token="t", project_id=info.project_id, host="", agent_name="Lumi"))
    outcome = TurnOutcome(says=(Say(text="One moment."),), handoff=HandoffRequest(integration="webex_integration"))
    plan = c.HandoffPlan(handoff_id=f"h-{session_id}", connection_id="gone", provider="webex", queue_timeout_s=60)
    turn = c.ApplyTurn(at=now, kind=TurnKind.START, outcome=outcome, message_ids=("says",), plan=plan)
    if not opened:
        await talk.apply(session_id, turn)
        return session_id
    news: c.Command = c.ConversationQueued(at=now, handoff_id=plan.handoff_id)
    if joined:
        news = c.AgentJoined(at=now, handoff_id=plan.handoff_id, agent=LiveAgent(id="a", name="Ana"))
    # At once: the news must come before the opening fails.
    await asyncio.gather(talk.apply(session_id, turn), talk.apply(session_id, news))
    return session_id


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        so = await look()
        while not so:
            await asyncio.sleep(0.01)
            so = await look()


async def dead_of(server: Server, session_id: str, kind: type[Effect]) -> list[OutboxRow]:
    """The session's dead deliveries of a kind."""
    return [row for row, dead in await server.store.deliveries(session_id) if dead and isinstance(row.effect, kind)]


async def lost(server: Server, session_id: str, text: str) -> OutboxRow:
    """A message of the customer that nobody got."""
    await server.conversations.post(session_id, text)

    async def given_up() -> bool:
        return bool(await dead_of(server, session_id, ForwardMessage))

    await eventually(given_up)
    await server.catalog.write()
    return (await dead_of(server, session_id, ForwardMessage))[-1]


async def log_of(server: Server, session_id: str) -> list[Recorded]:
    return await server.conversations.events(session_id, 0)


async def acts(server: Server) -> list[tuple[str, str, str]]:
    """The audit log: who did what to what, oldest first."""
    return [(a.user_name, a.act, a.subject) for a in reversed(await server.store.audit())]


async def test_a_handoff_is_ended_with_the_customer_told(server: Server, editor: Visit) -> None:
    session_id = await live(server)
    _, page = await editor.get(f"/studio/conversations/{session_id}")
    assert "End the handoff" in page
    status, page = await editor.get(f"/studio/conversations/{session_id}/end")
    assert status == 200
    assert "The live agent loses the conversation" in page
    done = await editor.post(f"/studio/conversations/{session_id}/end", handoff=f"h-{session_id}")
    assert done == (303, f"/studio/conversations/{session_id}?done=ended")
    stored = await server.store.session(session_id)
    assert stored is not None
    assert stored.session.ended is e.EndReason.NATURAL_END
    said = [r.event.text for r in await log_of(server, session_id) if isinstance(r.event, e.SystemNotice)]
    assert said == [texts.ENDED_BY_OPERATOR]
    await server.catalog.write()
    (handoff,) = await server.store.handoffs_of(session_id)
    assert (handoff.outcome, handoff.outcome_reason) == (Outcome.BY_OPERATOR, "ended_by_operator")
    assert (await acts(server))[-1] == ("editor@example.org", "handoff_ended", f"{session_id} h-{session_id}")
    _, page = await editor.get(f"/studio/conversations/{session_id}?done=ended")
    assert "Ended or returned by an operator" in page
    assert "/end" not in page
    again = await editor.post(f"/studio/conversations/{session_id}/end", handoff=f"h-{session_id}")
    assert again[1].endswith("?done=over")
    assert (await editor.get(f"/studio/conversations/{session_id}/end"))[1].endswith("?done=over")


async def test_a_waiting_conversation_returns_with_what_nobody_read(server: Server, editor: Visit) -> None:
    session_id = await live(server, joined=False)
    _, page = await editor.get(f"/studio/conversations/{session_id}/return")
    assert "taken out of the queue" in page
    await editor.post(f"/studio/conversations/{session_id}/return", handoff="another")
    stored = await server.store.session(session_id)
    assert stored is not None
    assert stored.session.owner is Owner.QUEUE, "the form was about another handoff"
    done = await editor.post(f"/studio/conversations/{session_id}/return", handoff=f"h-{session_id}")
    assert done[1].endswith("?done=returned")
    stored = await server.store.session(session_id)
    assert stored is not None
    assert stored.session.owner is Owner.VIRTUAL_AGENT
    assert (await acts(server))[-1][1] == "handoff_returned"


async def test_a_lost_message_is_found_understood_and_sent_again(server: Server, editor: Visit) -> None:
    session_id = await live(server)
    row = await lost(server, session_id, "<b>Can you hear me?</b>")
    _, page = await editor.get("/studio/")
    assert "given up" in page
    _, page = await editor.get("/studio/deliveries")
    assert "The connection was removed or could not be used for too long." in page
    assert "That this message did not reach the live agent." in page
    assert "<b>Can you" not in page
    assert session_id in page
    _, page = await editor.get(f"/studio/conversations/{session_id}")
    assert "Send again" in page
    done = await editor.post(f"/studio/deliveries/{row.id}/retry")
    assert done == (303, "/studio/deliveries?done=retried")

    async def given_up_again() -> bool:
        return any(r.id > row.id for r in await dead_of(server, session_id, ForwardMessage))

    await eventually(given_up_again)
    assert await server.store.dead_letter(row.id) is None
    told = [r.event for r in await log_of(server, session_id) if isinstance(r.event, e.SystemNotice)]
    assert [bool(n.undelivered) for n in told] == [True, False, True]
    assert told[1].text == texts.SENT_AGAIN
    message_id = told[0].undelivered
    path = f"/studio/conversations/{session_id}/messages/{message_id}/retry"
    done = await editor.post(path, handoff=f"h-{session_id}")
    assert done[1].endswith("?done=retried")
    assert (await editor.post(path, handoff="another"))[1].endswith("?done=not_known")
    names = [act for _, act, subject in await acts(server) if subject.startswith(session_id)]
    assert names == ["delivery_retried", "message_retried"]


async def test_retrying_twice_sends_once(server: Server, editor: Visit) -> None:
    session_id = await live(server)
    row = await lost(server, session_id, "once")
    first, second = await asyncio.gather(server.acts.retry(row.id), server.acts.retry(row.id))
    assert Hindrance.NONE in (first, second)
    again = [r.event for r in await log_of(server, session_id) if isinstance(r.event, e.SystemNotice)]
    assert sum(1 for notice in again if notice.retried) == 1


async def test_a_retry_that_a_crash_cut_short_leaves_no_letter_behind(server: Server) -> None:
    session_id = await live(server)
    row = await lost(server, session_id, "half done")
    stored = await server.store.session(session_id)
    assert stored is not None
    assert isinstance(row.effect, ForwardMessage)
    # What the retry does first; the effect itself is left out, so that the message stays on its way.
    notice = e.SystemNotice(level=e.NoticeLevel.INFO, text=texts.SENT_AGAIN, retried=row.effect.message_id)
    half = Change(session_id=session_id, at=server.clock.now(), decide=lambda _: Decision(events=(notice,)))
    await server.store.transact(half)
    assert await server.acts.hindrance(row) is Hindrance.ON_ITS_WAY
    assert await server.acts.retry(row.id) is Hindrance.NONE
    assert await server.store.dead_letter(row.id) is None
    assert await server.acts.retry(row.id) is Hindrance.GONE


async def test_what_nobody_wants_any_more_is_explained_and_discarded(server: Server, editor: Visit) -> None:
    session_id = await live(server)
    row = await lost(server, session_id, "too late")
    await server.conversations.end_by_user(session_id)
    done = await editor.post(f"/studio/deliveries/{row.id}/retry", **{"from": "conversation"})
    assert done[1] == f"/studio/conversations/{session_id}?done=session_over"
    _, page = await editor.get("/studio/deliveries?done=session_over")
    assert "the conversation is over, and nobody would read it" in page
    status, page = await editor.get(f"/studio/deliveries/{row.id}/discard")
    assert status == 200
    assert "never sent" in page
    await editor.post(f"/studio/deliveries/{row.id}/discard")
    assert await server.store.dead_letter(row.id) is None
    assert (await acts(server))[-1] == ("editor@example.org", "delivery_discarded", f"{session_id} ForwardMessage")
    assert (await editor.post(f"/studio/deliveries/{row.id}/discard"))[0] == 404
    for nonsense in ("x", "0", "9" * 30):
        assert (await editor.get(f"/studio/deliveries/{nonsense}/discard"))[0] == 404
    assert (await editor.get("/studio/deliveries?before=x&connection=y&done=z"))[0] == 200


async def test_an_opening_that_failed_is_not_made_up_for(server: Server, editor: Visit) -> None:
    session_id = await live(server, opened=False)

    async def given_up() -> bool:
        return bool(await dead_of(server, session_id, OpenConversation))

    await eventually(given_up)
    (opening,) = await dead_of(server, session_id, OpenConversation)
    assert (await editor.post(f"/studio/deliveries/{opening.id}/retry"))[1].endswith("?done=opening_over")
    await server.catalog.write()
    _, page = await editor.get("/studio/deliveries")
    assert "They can ask for a person again" in page
    assert f"/deliveries/{opening.id}/retry" not in page


async def test_each_kind_of_delivery_says_what_can_be_done(server: Server) -> None:
    session_id = await live(server)
    stored = await server.store.session(session_id)
    assert stored is not None
    ids = {"handoff_id": f"h-{session_id}", "connection_id": "gone"}
    over = {"handoff_id": "an earlier one", "connection_id": "gone"}
    message = {"message_id": "m", "text": "", "at": 0}
    text = SendText(connection_id="sms", number="+15550100", customer="+15550101", text="Hi")
    turn = RunTurn(turn_id="m", kind=TurnKind.MESSAGE, sequence=3)
    for effect, found in (
        (OpenConversation(through=0, answered=0, **ids), Hindrance.OPENING_OVER),
        (CloseConversation(reason="", **over), Hindrance.NONE),
        (SendBriefRest(through=0, answered=0, **ids), Hindrance.NONE),
        (SendBriefRest(through=0, answered=0, **over), Hindrance.HANDOFF_OVER),
        (ForwardMessage(**message, **ids), Hindrance.NOT_KNOWN),
        (ForwardMessage(**message, **over), Hindrance.HANDOFF_OVER),
        (text, Hindrance.NONE),
        (turn, Hindrance.ANSWERED),
    ):
        row = OutboxRow(id=1, partition=0, stream_key="", session_id=session_id, effect=effect, created_at=1000)
        assert hindrance(row, stored, 2000) is found, effect
    assert hindrance(replace(row, effect=text), stored, 1001 + TEXTS_FOR_MS) is Hindrance.TOO_OLD


async def test_a_viewer_sees_and_changes_nothing(server: Server) -> None:
    session_id = await live(server)
    row = await lost(server, session_id, "seen")
    async with Visit(server) as viewer:
        await viewer.sign_in("viewer@example.org")
        _, page = await viewer.get("/studio/deliveries")
        assert f"/deliveries/{row.id}" not in page
        _, page = await viewer.get(f"/studio/conversations/{session_id}")
        assert "End the handoff" not in page
        assert "Send again" not in page
        for path in (f"deliveries/{row.id}/retry", f"deliveries/{row.id}/discard", f"conversations/{session_id}/end"):
            assert (await viewer.post(f"/studio/{path}", handoff=f"h-{session_id}"))[0] == 403
    assert await server.store.dead_letter(row.id) is not None


async def test_acts_on_other_projects_find_nothing(server: Server, editor: Visit) -> None:
    session_id = await live(server, project_id="another")
    row = await lost(server, session_id, "not yours")
    user = next(u for u in await server.store.users() if u.role is Role.EDITOR)
    await server.store.change_user(replace(user, projects=server.project_ids))
    try:
        for path in (f"deliveries/{row.id}/retry", f"deliveries/{row.id}/discard", f"conversations/{session_id}/end"):
            assert (await editor.post(f"/studio/{path}", handoff=f"h-{session_id}"))[0] == 404
        assert (await editor.post(f"/studio/conversations/{session_id}/messages/m/retry"))[0] == 404
        _, page = await editor.get("/studio/deliveries")
        assert session_id not in page
    finally:
        await server.store.change_user(user)


async def test_exports_tell_ticks_handoffs_and_files_by_name_only(server: Server, editor: Visit) -> None:
    session_id = await live(server)
    secret = "https://example.org/files/the-key/meter.png"
    await lost(server, session_id, "Can you hear me?")
    photo = Attachment(content_url=secret, title="meter.png", kind=AttachmentKind.IMAGE)
    agent = LiveAgent(id="a", name="Ana")
    said = c.AgentMessage(
        at=server.clock.now(), handoff_id=f"h-{session_id}", message_id="m", text="Tom &amp; I", agent=agent
    )
    await server.conversations.apply(session_id, replace(said, attachments=(photo,)))
    await server.catalog.write()
    _, text = await editor.get(f"/studio/conversations/{session_id}/transcript.txt")
    assert "Customer: Can you hear me? (not delivered)" in text
    assert "Ana: Tom & I [File: meter.png]" in text
    assert "* Handoff requested" in text
    _, body = await editor.get(f"/studio/conversations/{session_id}/transcript.json")
    data = json.loads(body)
    assert [line["tick"] for line in data["lines"] if line["who"] == "customer"] == ["failed"]
    assert data["lines"][-1]["files"] == ["meter.png"]
    assert data["handoffs"][0]["id"] == f"h-{session_id}"
    assert "the-key" not in text + body
