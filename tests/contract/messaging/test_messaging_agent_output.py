"""Checks A1 to A15 of messaging-protocol.md §20, and what the handoff shows (H), over real WebSockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from support.server import HANDOFF_ID, MessagingServer, messaging_server, one_handoff
from warmline.domain import commands as c
from warmline.domain.messages import Attachment, AttachmentKind, CallAction, LiveAgent, Say
from warmline.domain.turn import HandoffRequest
from warmline.ports import Ephemeral
from warmline.testing import ManualClock
from warmline.testing.engine import Reply, say
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.testing.messaging_decode import WireEvent

ANA = LiveAgent(id="agent-1", name="Ana", avatar_url="https://example.com/ana.png")
BEN = LiveAgent(id="agent-2")
TWO_SENTENCES = "Your bill is ready. You can pay it online!"
TO_A_HUMAN = Reply(
    says=(Say(text="No problem, I'll transfer you to one of our agents now."),),
    handoff=HandoffRequest(integration="webex_integration", reason="billing"),
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    async with messaging_server(tmp_path, planner=one_handoff) as running:
        yield running


@pytest.fixture
async def client(server: MessagingServer) -> AsyncIterator[MessagingClient]:
    async with MessagingClient(server.url) as opened:
        await opened.start()
        await opened.expect("POLY_AGENT_MESSAGE")
        yield opened
        assert opened.violations == []


@pytest.fixture
async def streaming(server: MessagingServer) -> AsyncIterator[MessagingClient]:
    async with MessagingClient(server.url, streaming=True) as opened:
        await opened.start()
        await opened.expect("POLY_AGENT_MESSAGE_CHUNK")
        yield opened
        assert opened.violations == []


async def tell(server: MessagingServer, client: MessagingClient, command: c.ProviderCommand) -> None:
    """What the contact centre says."""
    await server.conversations.apply(client.session_id, replace(command, at=server.clock.now()))


def provider(kind: type[c.ProviderCommand], **fields: object) -> c.ProviderCommand:
    return kind(at=0, handoff_id=HANDOFF_ID, **fields)  # type: ignore[arg-type]


async def pass_time(clock: ManualClock, client: MessagingClient, condition: Callable[[], bool]) -> None:
    """Let the clock run, in small steps, until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await clock.advance(0.25)
            await client.settle()


def seconds(event: WireEvent) -> float:
    return datetime.fromisoformat(event.timestamp).timestamp()


async def in_queue(server: MessagingServer, client: MessagingClient) -> None:
    server.engine.on("human", TO_A_HUMAN)
    await client.say("human")
    await client.expect("POLY_AGENT_LEFT")
    await tell(server, client, provider(c.ConversationOpened))


async def with_ana(server: MessagingServer, client: MessagingClient) -> None:
    await in_queue(server, client)
    await tell(server, client, provider(c.AgentJoined, agent=ANA))
    await client.expect("LIVE_AGENT_JOINED")


async def test_A1_whole_message_with_both_arrays(server: MessagingServer, client: MessagingClient) -> None:
    server.engine.on("bill", say(TWO_SENTENCES))
    await client.say("bill")
    answer = await client.expect("POLY_AGENT_MESSAGE", 2)
    assert set(answer.payload) == {"message_id", "text", "attachments", "response_suggestions"}
    assert answer.payload["text"] == TWO_SENTENCES
    assert client.all("POLY_AGENT_MESSAGE_CHUNK") == []


async def test_A2_A3_chunks_make_the_text(server: MessagingServer, streaming: MessagingClient) -> None:
    server.engine.on("bill", say(TWO_SENTENCES))
    await streaming.say("bill")
    await streaming.expect("POLY_AGENT_MESSAGE_CHUNK", 3)
    chunks = [event.payload for event in streaming.all("POLY_AGENT_MESSAGE_CHUNK")[1:]]
    assert len({chunk["message_id"] for chunk in chunks}) == 1
    assert [chunk["chunk_index"] for chunk in chunks] == [1, 2]
    assert [chunk["is_complete"] for chunk in chunks] == [False, True]
    assert "".join(chunk["text"] for chunk in chunks) == TWO_SENTENCES
    assert " ".join(chunk["text"].strip() for chunk in chunks) == TWO_SENTENCES


async def test_A4_links_and_markdown_stay_whole(server: MessagingServer, streaming: MessagingClient) -> None:
    text = "See [our page. Really!](https://example.com/a. b). **Bold. Text.** Bye."
    server.engine.on("link", say(text))
    await streaming.say("link")
    chunk = await streaming.expect("POLY_AGENT_MESSAGE_CHUNK", 2)
    assert chunk.payload["text"] == text
    assert chunk.payload["is_complete"] is True


async def test_A5_suggestions_and_attachments_come_once(server: MessagingServer, streaming: MessagingClient) -> None:
    image = Attachment(content_url="https://example.com/map.png", kind=AttachmentKind.IMAGE, title="Map")
    rich = Say(text=TWO_SENTENCES, attachments=(image,), suggestions=("Pay", "Later"))
    server.engine.on("rich", Reply(says=(rich,)))
    await streaming.say("rich")
    await streaming.expect("POLY_AGENT_MESSAGE_CHUNK", 3)
    first, last = (event.payload for event in streaming.all("POLY_AGENT_MESSAGE_CHUNK")[1:])
    assert first["attachments"] == first["response_suggestions"] == []
    assert last["response_suggestions"] == [{"message_text": "Pay"}, {"message_text": "Later"}]
    assert [attachment["content_url"] for attachment in last["attachments"]] == ["https://example.com/map.png"]


async def test_A6_call_actions_come_in_a_whole_message(server: MessagingServer, streaming: MessagingClient) -> None:
    dial = Say(text=TWO_SENTENCES, call_actions=(CallAction(contact_number="+15550100", title="Call"),))
    server.engine.on("call", Reply(says=(dial,)))
    await streaming.say("call")
    message = await streaming.expect("POLY_AGENT_MESSAGE")
    assert message.payload["chat_call_actions"] == [{"title": "Call", "contact_number": "+15550100"}]


async def test_A7_a_reconnect_in_mid_stream_gives_the_missing_chunks(
    server: MessagingServer, streaming: MessagingClient
) -> None:
    server.engine.on("long", say("One. Two. Three. Four."))
    await streaming.say("long")
    await streaming.expect("POLY_AGENT_MESSAGE_CHUNK", 5)
    chunks = streaming.all("POLY_AGENT_MESSAGE_CHUNK")[1:]
    async with MessagingClient(server.url, auto_join=False) as other:
        other.access_token, other.session_id = streaming.access_token, streaming.session_id
        await other.connect(cursor=str(chunks[1].sequence))
        await other.settle()
        assert [event.raw for event in other.journal()] == [chunk.raw for chunk in chunks[2:]]


async def test_A8_one_stream_at_a_time(server: MessagingServer, streaming: MessagingClient) -> None:
    server.engine.on("two", say("One. Two.", "Three. Four."))
    for _ in range(3):
        await streaming.say("two")
    await streaming.expect("POLY_AGENT_MESSAGE_CHUNK", 13)
    open_stream = ""
    for event in streaming.all("POLY_AGENT_MESSAGE_CHUNK"):
        assert open_stream in ("", event.payload["message_id"])
        open_stream = "" if event.payload["is_complete"] else event.payload["message_id"]
    assert open_stream == ""


async def test_A9_custom_of_string_values_stays_one(client: MessagingClient) -> None:
    draft = await client.say_and_wait("hi")
    assert draft.echo is not None
    assert draft.echo.custom == {"local_id": draft.local_id}


async def test_A10_A11_rich_content(server: MessagingServer, client: MessagingClient) -> None:
    attachments = (
        Attachment(content_url="https://example.com/a b[1].png", kind=AttachmentKind.IMAGE, preview_image_url="x y"),
        Attachment(content_url="https://example.com/t", call_to_action="Open"),
    )
    server.engine.on("rich", Reply(says=(Say(text="", attachments=attachments, suggestions=("Yes",)),)))
    await client.say("rich")
    payload = (await client.expect("POLY_AGENT_MESSAGE", 2)).payload
    assert [attachment["content_type"] for attachment in payload["attachments"]] == [
        "ATTACHMENT_CONTENT_TYPE_IMAGE",
        "ATTACHMENT_CONTENT_TYPE_URL",
    ]
    assert payload["attachments"][0]["content_url"] == "https://example.com/a%20b%5B1%5D.png"
    assert payload["response_suggestions"] == [{"message_text": "Yes"}]


@pytest.mark.parametrize("reply", [Reply(failed=True), Reply(raises=RuntimeError("broken"))], ids=["failed", "raises"])
async def test_A12_trouble_with_the_agent(server: MessagingServer, client: MessagingClient, reply: Reply) -> None:
    server.engine.on("boom", reply)
    draft = await client.say("boom")
    notice = await client.expect("SYSTEM_MESSAGE")
    assert notice.payload == {
        "level": "SYSTEM_MESSAGE_LEVEL_ERROR",
        "message": "Sorry, I'm having trouble responding right now. Please try again.",
    }
    assert notice.custom == {"local_id": draft.local_id}
    await client.say("still there?")
    assert (await client.expect("POLY_AGENT_MESSAGE", 2)).payload["text"] == "You said: still there?"


async def test_A13_failing_starts_are_spaced_and_the_sdks_rejoin_does_not_spin(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as server, MessagingClient(server.url) as client:
        server.engine.on_start(Reply(failed=True), Reply(failed=True), say("Now I am here."))
        await client.start()
        await pass_time(clock, client, lambda: bool(client.all("POLY_AGENT_MESSAGE")))
        notices = client.all("SYSTEM_MESSAGE")
        assert len(notices) == 2
        assert all("unable to start a conversation" in notice.payload["message"] for notice in notices)
        joins = client.all("REQUEST_POLY_AGENT_JOIN")
        waits = [seconds(notice) - seconds(join) for join, notice in zip(joins, notices, strict=False)]
        assert waits[0] >= 2
        assert waits[1] >= 4
        assert (await client.expect("POLY_AGENT_MESSAGE")).payload["text"] == "Now I am here."
        assert client.violations == []


async def test_A14_language_changed(server: MessagingServer, client: MessagingClient) -> None:
    server.engine.on("hola", replace(say("¡Hola!"), language="es-US"))
    await client.say("hola")
    changed = await client.expect("LANGUAGE_CHANGED")
    assert changed.payload == {"language_code": "es-US"}
    assert changed.sequence is not None


async def test_A15_thinking_goes_on_in_long_turns(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock) as server, MessagingClient(server.url) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        go = asyncio.Event()
        server.engine.on("slow", Reply(says=say("done").says, until=go))
        await client.say("slow")
        await client.expect("POLY_AGENT_THINKING", 2)
        for count in range(3, 6):
            await clock.advance(10)
            await client.expect("POLY_AGENT_THINKING", count)
        go.set()
        await pass_time(clock, client, lambda: len(client.all("POLY_AGENT_MESSAGE")) == 2)
        shown = len(client.all("POLY_AGENT_THINKING"))
        await clock.advance(60)
        await client.settle()
        assert len(client.all("POLY_AGENT_THINKING")) == shown
        shown_or_said = [name for name in client.types() if name in ("POLY_AGENT_THINKING", "POLY_AGENT_MESSAGE")]
        assert shown_or_said[-1] == "POLY_AGENT_MESSAGE"


async def test_the_agent_ends_the_session(server: MessagingServer, client: MessagingClient) -> None:
    server.engine.on("bye", replace(say("Goodbye!"), end=True))
    await client.say("bye")
    assert (await client.expect("SESSION_END")).payload == {"reason": "REASON_NATURAL_END"}
    assert await client.expect_close() == 1000
    assert client.types(transient=False)[-2:] == ["POLY_AGENT_MESSAGE", "SESSION_END"]


async def test_H1_H12_a_handoff_from_the_trigger_to_the_end(server: MessagingServer, client: MessagingClient) -> None:
    await in_queue(server, client)
    await tell(server, client, provider(c.ConversationQueued, queue_name="support", position=2))
    await tell(server, client, provider(c.AgentJoined, agent=ANA))
    await client.expect("LIVE_AGENT_JOINED")
    await client.say_and_wait("hello Ana")
    await tell(server, client, provider(c.AgentMessage, message_id="m-1", text="Hello!", agent=ANA))
    await tell(server, client, provider(c.ConversationEnded))
    assert (await client.expect("SESSION_END")).payload == {"reason": "REASON_NATURAL_END"}
    assert await client.expect_close() == 1000
    names = client.types(transient=False)
    assert names[names.index("POLY_AGENT_MESSAGE", 5) : names.index("USER_MESSAGE", 6)] == [
        "POLY_AGENT_MESSAGE",
        "POLY_AGENT_TRIGGERED_HANDOFF",
        "POLY_AGENT_LEFT",
        "HANDOFF_ACCEPTED",
        "HANDOFF_QUEUE_STATUS",
        "LIVE_AGENT_JOINED",
    ]
    assert [name for name in names[-4:] if name != "SYSTEM_MESSAGE"][-3:] == [
        "LIVE_AGENT_MESSAGE",
        "LIVE_AGENT_LEFT",
        "SESSION_END",
    ]
    assert client.all("HANDOFF_QUEUE_STATUS")[0].payload == {"queue_name": "support", "position_in_queue": 2}


async def test_H2_the_clients_own_app_brings_the_human_and_nobody_here_answers(
    server: MessagingServer, client: MessagingClient
) -> None:
    to_client = HandoffRequest(integration=None, destination="Claims desk", reason="policy", connection="client")
    server.engine.on("a human, please", Reply(says=(Say(text="One moment."),), handoff=to_client))
    await client.say_and_wait("a human, please")
    await client.expect("POLY_AGENT_LEFT")
    required = client.all("CLIENT_HANDOFF_REQUIRED")[0]
    assert required.payload == {"reason": "POLICY", "queue_name": "Claims desk", "route": "Claims desk"}
    assert client.types(transient=False)[-4:] == [
        "POLY_AGENT_MESSAGE",
        "POLY_AGENT_TRIGGERED_HANDOFF",
        "CLIENT_HANDOFF_REQUIRED",
        "POLY_AGENT_LEFT",
    ]
    turns = len(server.engine.turns)
    await client.say_and_wait("are you there?")
    await client.send("REQUEST_POLY_AGENT_JOIN")
    await client.expect("REQUEST_POLY_AGENT_JOIN", 2)
    assert len(client.all("POLY_AGENT_JOINED")) == 1
    assert len(server.engine.turns) == turns
    await client.end()
    assert await client.expect_close() == 1000
    assert client.violations == []


@pytest.mark.parametrize(("platform", "wanted"), [("ios", 1), ("android", 1), ("web", 0)])
async def test_H17_a_long_wait_is_filled_with_empty_messages_for_the_mobile_sdks(
    tmp_path: Path, platform: str, wanted: int
) -> None:
    clock = ManualClock()
    async with (
        messaging_server(tmp_path, clock=clock, planner=one_handoff) as server,
        MessagingClient(server.url, platform=platform) as client,
    ):
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        await in_queue(server, client)
        for _ in range(19):
            await clock.advance(30)
            await client.settle()
        empty = [event for event in client.all("POLY_AGENT_MESSAGE") if not event.payload["text"]]
        assert len(empty) == wanted
        assert all(event.sequence is None for event in empty)
        assert client.violations == []


async def test_H3_H4_who_the_live_agent_is(server: MessagingServer, client: MessagingClient) -> None:
    await with_ana(server, client)
    assert client.all("LIVE_AGENT_JOINED")[0].payload["agent"] == {
        "id": "agent-1",
        "name": "Ana",
        "avatar_url": "https://example.com/ana.png",
    }
    await tell(server, client, provider(c.AgentMessage, message_id="m-1", text="Hello!", agent=ANA))
    payload = (await client.expect("LIVE_AGENT_MESSAGE")).payload
    assert payload == {
        "message_id": "m-1",
        "text": "Hello!",
        "attachments": [],
        "response_suggestions": [],
        "agent_id": "agent-1",
        "agent_name": "Ana",
        "avatar_url": "https://example.com/ana.png",
    }


async def test_H5_typing_of_the_live_agent(server: MessagingServer, client: MessagingClient) -> None:
    await with_ana(server, client)
    for started in (True, False):
        server.conversations.show(client.session_id, "typing", started=started, agent_id="agent-1", agent_name="Ana")
    await client.expect("LIVE_AGENT_TYPING", 2)
    assert [event.payload for event in client.all("LIVE_AGENT_TYPING")] == [
        {"state": "TYPING_STATE_STARTED", "agent_id": "agent-1", "agent_name": "Ana"},
        {"state": "TYPING_STATE_STOPPED", "agent_id": "agent-1", "agent_name": "Ana"},
    ]
    assert all(event.sequence is None for event in client.all("LIVE_AGENT_TYPING"))


async def test_H5_signals_that_are_not_for_the_customer_are_not_sent(
    server: MessagingServer, client: MessagingClient
) -> None:
    before = len(client.events)
    server.bus.send(Ephemeral(session_id=client.session_id, kind="customer_typing", payload={"started": True}))
    await client.settle()
    assert client.types()[before:] == ["HEARTBEAT"]


async def test_H7_messages_to_the_live_agent_are_echoed(server: MessagingServer, client: MessagingClient) -> None:
    await with_ana(server, client)
    drafts = [await client.say_and_wait(f"line {number}") for number in range(5)]
    sequences = [draft.echo.sequence for draft in drafts if draft.echo is not None]
    assert len(sequences) == 5
    assert len(client.all("POLY_AGENT_MESSAGE")) == 2


async def test_H9_a_message_that_was_not_delivered(server: MessagingServer, client: MessagingClient) -> None:
    await with_ana(server, client)
    draft = await client.say_and_wait("are you there?")
    assert draft.echo is not None
    message_id = draft.echo.payload["message_id"]
    await tell(server, client, provider(c.MessageUndeliverable, message_id=message_id))
    notice = await client.expect("SYSTEM_MESSAGE")
    assert notice.payload["message"] == "Failed to forward message to live agent"
    assert notice.custom == {"local_id": draft.local_id}


async def test_H10_a_handoff_that_failed(server: MessagingServer, client: MessagingClient) -> None:
    server.engine.on("human", TO_A_HUMAN)
    await client.say("human")
    await client.expect("POLY_AGENT_LEFT")
    await tell(server, client, provider(c.OpenFailed, reason="rejected"))
    await client.expect("POLY_AGENT_JOINED", 2)
    assert client.types(transient=False)[-3:] == ["HANDOFF_FAILED", "SYSTEM_MESSAGE", "POLY_AGENT_JOINED"]
    await client.say("and now?")
    assert (await client.expect("POLY_AGENT_MESSAGE", 3)).payload["text"] == "You said: and now?"


async def test_H13_a_transfer_is_not_an_end(server: MessagingServer, client: MessagingClient) -> None:
    await with_ana(server, client)
    await tell(server, client, provider(c.AgentLeft))
    await tell(server, client, provider(c.AgentJoined, agent=BEN))
    joined = await client.expect("LIVE_AGENT_JOINED", 2)
    assert joined.payload["agent"] == {"id": "agent-2", "name": "", "avatar_url": ""}
    assert client.all("LIVE_AGENT_LEFT") == []


async def test_H15_a_reconnect_in_a_handoff_replays_it_once(server: MessagingServer, client: MessagingClient) -> None:
    await with_ana(server, client)
    async with MessagingClient(server.url) as cold:
        cold.access_token, cold.session_id = client.access_token, client.session_id
        await cold.connect()
        assert [event.raw for event in cold.journal()] == [event.raw for event in client.journal()]
        await tell(server, client, provider(c.AgentMessage, message_id="m-1", text="Still here", agent=ANA))
        await cold.expect("LIVE_AGENT_MESSAGE")
        assert cold.violations == []


async def test_H16_a_join_does_not_bring_the_virtual_agent_back(
    server: MessagingServer, client: MessagingClient
) -> None:
    await with_ana(server, client)
    await client.send("REQUEST_POLY_AGENT_JOIN")
    await client.expect("REQUEST_POLY_AGENT_JOIN", 2)
    await client.say_and_wait("Ana?")
    await client.settle()
    assert len(client.all("POLY_AGENT_JOINED")) == 1
    assert len(server.engine.turns) == 2
