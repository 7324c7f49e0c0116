"""Checks S1 to S4 of messaging-protocol.md §20, and what goes beyond them, over real HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.chat_rest import ChatCaller
from support.faulty import FaultyStore
from support.messaging import ANA
from support.server import CONNECTOR, HANDOFF_ID, MessagingServer, messaging_server, one_handoff
from warmline.channels.chat_rest import ChatLimits
from warmline.domain import commands as c
from warmline.domain.messages import Attachment, CallAction, Say
from warmline.domain.turn import HandoffRequest
from warmline.ports import Connector
from warmline.system import SystemIds
from warmline.testing.engine import Reply
from warmline.testing.messaging_client import MessagingClient
from warmline.web.keys import ApiKeys
from warmline.web.limits import RateLimit

FAST = ChatLimits(answer_s=0.3)
OTHER = Connector(id="connector-2", token="another-connector-token", project_id="other", host="localhost")
TRANSFER = Reply(
    says=(Say(text="I will get somebody."),),
    handoff=HandoffRequest(integration=None, destination="Billing", reason="bill dispute"),
)
REFUSAL_KEYS = {"success", "error", "error_id", "error_code", "error_message", "data"}


async def caller_of(server: MessagingServer, project: str = "") -> ChatCaller:
    secret = await ApiKeys(server.store, server.clock, SystemIds()).make(f"key {project}", project)
    assert secret is not None
    return ChatCaller(server.url, secret, CONNECTOR.token)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MessagingServer]:
    async with messaging_server(tmp_path, planner=one_handoff, connectors=(CONNECTOR, OTHER)) as running:
        yield running


@pytest.fixture
async def caller(server: MessagingServer) -> AsyncIterator[ChatCaller]:
    async with await caller_of(server) as calling:
        yield calling


async def test_S1_create_respond_and_close(server: MessagingServer, caller: ChatCaller) -> None:
    begun = await caller.create()
    assert set(begun) == {"conversation_id", "response"}
    assert begun["response"] == "Hello, how can I help?"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", begun["conversation_id"])
    answered = await caller.respond("hi")
    assert answered == {
        "conversation_id": begun["conversation_id"],
        "response": "You said: hi",
        "end_conversation": False,
    }
    body = {"conversation_id": begun["conversation_id"]}
    assert await caller.call("PUT", "close", body) == (200, {"success": True})
    assert await caller.call("PUT", "close", body) == (200, {"success": True})
    stored = await server.conversations.session(begun["conversation_id"])
    assert stored is not None
    assert stored.session.ended is not None


async def test_S1_what_a_conversation_begins_with_reaches_the_agent(
    server: MessagingServer, caller: ChatCaller
) -> None:
    await caller.create(
        {
            "variant_id": "VARIANT-1",
            "integration_attributes": {"customer": "c-17", "score": 3, "tags": ["a"]},
            "channel": "whatsapp",
            "asr_lang_code": "de-DE",
            "unknown": True,
        }
    )
    (start,) = server.engine.turns
    assert (start.variant, start.channel, start.language) == ("VARIANT-1", "whatsapp.polyai", "de-DE")
    assert start.integration_attributes == {"customer": "c-17", "score": "3", "tags": '["a"]'}


@pytest.mark.parametrize("path", ["create", "respond", "close", "events"])
async def test_S1_another_method_is_405(caller: ChatCaller, path: str) -> None:
    status, refusal = await caller.call("DELETE", path)
    assert (status, refusal["error_code"]) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("create", {"channel": "fax"}, "channel"),
        ("create", {"variant_id": 7}, "variant_id"),
        ("create", {"variant_id": "\n"}, "variant_id"),
        ("create", {"variant_id": "VARIANT-1\n"}, "variant_id"),
        ("create", {"tts_lang_code": "de\n"}, "tts_lang_code"),
        ("create", {"asr_lang_code": "not a language"}, "asr_lang_code"),
        ("create", {"integration_attributes": {"a": "x" * 20_000}}, "integration_attributes"),
        ("create", [], "object"),
        ("respond", {"message": "hi"}, "conversation_id"),
        ("respond", {"conversation_id": 5}, "conversation_id"),
        ("respond", {"conversation_id": "x", "message": None}, "message"),
    ],
)
async def test_S1_bad_bodies_name_the_field(caller: ChatCaller, path: str, body: Any, named: str) -> None:
    status, refusal = await caller.call("POST", path, body)
    assert (status, refusal["error_code"]) == (400, "INVALID_REQUEST")
    assert named in refusal["error_message"]


async def test_S1_a_message_may_be_left_out_and_may_not_be_too_long(caller: ChatCaller) -> None:
    await caller.create()
    status, answered = await caller.call("POST", "respond", {"conversation_id": caller.conversation_id})
    assert (status, answered["response"], answered["end_conversation"]) == (200, "", False)
    body = {"conversation_id": caller.conversation_id, "message": "x" * 131_073}
    status, refusal = await caller.call("POST", "respond", body)
    assert (status, refusal["error_message"][:8]) == (400, "message:")
    status, refusal = await caller.call("POST", "respond", body | {"message": "x" * 300_000})
    assert (status, refusal["error_code"]) == (413, "REQUEST_TOO_LARGE")


async def test_S2_a_handoff_ends_the_virtual_agents_part_and_tells_where_to(
    server: MessagingServer, caller: ChatCaller
) -> None:
    server.engine.on("a human", TRANSFER)
    await caller.create()
    answered = await caller.respond("a human")
    assert answered == {
        "conversation_id": caller.conversation_id,
        "response": "I will get somebody.",
        "end_conversation": True,
        "handoff": {"destination": "Billing", "reason": "bill dispute"},
    }


async def test_the_live_agents_words_come_with_the_events_and_the_customers_go_there(
    server: MessagingServer, caller: ChatCaller
) -> None:
    server.engine.on("a human", TRANSFER)
    await caller.create()
    await caller.respond("a human")
    waiting = asyncio.create_task(caller.until("LIVE_AGENT_MESSAGE"))
    at, session_id = server.clock.now(), caller.conversation_id
    await server.conversations.apply(session_id, c.ConversationOpened(at=at, handoff_id=HANDOFF_ID))
    await server.conversations.apply(session_id, c.AgentJoined(at=at, handoff_id=HANDOFF_ID, agent=ANA))
    said = c.AgentMessage(at=at, handoff_id=HANDOFF_ID, message_id="m1", text="Ana here", agent=ANA)
    await server.conversations.apply(session_id, said)
    message = await waiting
    assert message["payload"]["text"] == "Ana here"
    assert message["payload"]["agent_name"] == "Ana"
    answered = await caller.respond("hello Ana")
    assert (answered["response"], answered["end_conversation"]) == ("", False)
    stored = await server.conversations.session(session_id)
    assert stored is not None
    assert stored.session.handoff is not None
    assert [pending.text for pending in stored.session.handoff.undelivered] == ["hello Ana"]
    await server.conversations.apply(session_id, c.ConversationEnded(at=at, handoff_id=HANDOFF_ID))
    assert (await caller.until("SESSION_END"))["payload"] == {"reason": "REASON_NATURAL_END"}
    assert await caller.news() == []


async def test_S3_respond_after_the_end_is_gone(server: MessagingServer, caller: ChatCaller) -> None:
    server.engine.on("bye", Reply(says=(Say(text="Good bye."),), end=True))
    await caller.create()
    answered = await caller.respond("bye")
    assert (answered["response"], answered["end_conversation"]) == ("Good bye.", True)
    assert "handoff" not in answered
    status, refusal = await caller.call("POST", "respond", {"conversation_id": caller.conversation_id, "message": "x"})
    assert (status, refusal["error_code"], refusal["error"]) == (
        410,
        "CHAT_CONVERSATION_ENDED",
        "ChatConversationEnded",
    )


async def test_S4_every_refusal_is_the_envelope(server: MessagingServer, caller: ChatCaller) -> None:
    none = {"conversation_id": "00000000-0000-4000-8000-000000000000"}
    for status, method, path, body, headers in (
        (401, "POST", "create", {}, {"X-API-KEY": ""}),
        (401, "POST", "create", {}, {"X-API-KEY": caller.headers["X-API-KEY"] + "x"}),
        (401, "POST", "create", {}, {"X-TOKEN": "nothing"}),
        (403, "POST", "create", {}, {"X-TOKEN": OTHER.token}),
        (404, "POST", "respond", none, {}),
        (404, "PUT", "close", none, {}),
        (405, "GET", "create", None, {}),
    ):
        given = headers | {"X-PolyAI-Correlation-Id": "call-17"}
        answered, refusal = await caller.call(method, path, body, headers=given)
        assert (answered, set(refusal)) == (status, REFUSAL_KEYS), refusal
        assert (refusal["success"], refusal["data"], refusal["error_id"]) == (False, None, "call-17")
        assert refusal["error_code"] == refusal["error_code"].upper()


async def test_S4_a_key_opens_its_project_only(server: MessagingServer) -> None:
    async with await caller_of(server, "other") as caller:
        status, refusal = await caller.call("POST", "create")
        assert (status, refusal["error_code"]) == (403, "FORBIDDEN")
        caller.base = caller.base.replace("lumen-energy", "nowhere")
        status, refusal = await caller.call("POST", "create")
        assert (status, refusal["error_code"]) == (404, "PROJECT_NOT_FOUND")


async def test_header_names_are_read_in_any_case(server: MessagingServer, caller: ChatCaller) -> None:
    caller.headers = {name.lower(): value for name, value in caller.headers.items()}
    await caller.create()


async def test_the_same_idempotency_key_is_the_same_call(server: MessagingServer, caller: ChatCaller) -> None:
    once = {"Idempotency-Key": "order-1"}
    first, again = await asyncio.gather(caller.create(headers=once), caller.create(headers=once))
    assert first == again
    assert (await caller.create(headers={"Idempotency-Key": "order-2"}))["conversation_id"] != first["conversation_id"]
    answers = [await caller.respond("hi", headers={"Idempotency-Key": "message-1"}) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    await caller.respond("hi")
    assert [turn.text for turn in server.engine.turns if turn.text] == ["hi", "hi"]
    status, refusal = await caller.call("POST", "create", headers={"Idempotency-Key": "two words"})
    assert (status, refusal["error_message"][:16]) == (400, "Idempotency-Key:")


async def test_an_answer_that_takes_too_long_can_be_asked_for_again(tmp_path: Path) -> None:
    async with messaging_server(tmp_path, chat_limits=FAST) as server, await caller_of(server) as caller:
        held = asyncio.Event()
        server.engine.on("slow", Reply(says=(Say(text="At last."),), until=held))
        await caller.create()
        body = {"conversation_id": caller.conversation_id, "message": "slow"}
        once = {"Idempotency-Key": "m"}
        status, refusal = await caller.call("POST", "respond", body, headers=once)
        assert (status, refusal["error_code"]) == (400, "CHAT_TIMEOUT")
        held.set()
        assert (await caller.respond("slow", headers=once))["response"] == "At last."


async def test_a_turn_without_a_word_is_answered_with_none(server: MessagingServer, caller: ChatCaller) -> None:
    server.engine.on("hm", Reply(says=()))
    await caller.create()
    answered = await caller.respond("hm")
    assert (answered["response"], answered["end_conversation"]) == ("", False)


async def test_a_failed_turn_is_apologised_for(server: MessagingServer, caller: ChatCaller) -> None:
    server.engine.on("boom", Reply(failed=True))
    await caller.create()
    assert "having trouble responding" in (await caller.respond("boom"))["response"]


async def test_links_and_numbers_are_told_as_text(server: MessagingServer, caller: ChatCaller) -> None:
    said = Say(
        text="See here.",
        attachments=(Attachment(content_url="https://example.com/a", title="Tariffs"),),
        call_actions=(CallAction(title="Call us", contact_number="+44 1"),),
    )
    server.engine.on("where", Reply(says=(said, Say(text="Anything else?"))))
    await caller.create()
    told = "See here.\nTariffs: https://example.com/a\nCall us: +44 1\n\nAnything else?"
    assert (await caller.respond("where"))["response"] == told


async def test_options_to_choose_from_are_told_as_lines_once(server: MessagingServer, caller: ChatCaller) -> None:
    question = Say(text="Which of these?\nBills", suggestions=("Bills", "Power cuts"))
    server.engine.on("hm", Reply(says=(question,)))
    server.engine.on("options", Reply(says=(Say(text="", suggestions=("Yes", "No")),)))
    await caller.create()
    assert (await caller.respond("hm"))["response"] == "Which of these?\nBills\nPower cuts"
    assert (await caller.respond("options"))["response"] == "Yes\nNo"


async def test_whoever_asks_after_the_end_is_told_that_it_is_over(server: MessagingServer, caller: ChatCaller) -> None:
    await caller.create()
    await server.conversations.abandon(caller.conversation_id)
    ends = []
    for after in (lambda: 0, lambda: caller.last, lambda: 10_000):
        query = {"conversation_id": caller.conversation_id, "after": str(after()), "wait": "30"}
        status, answer = await caller.call("GET", "events", params=query)
        assert status == 200
        ends.append((bool(answer["events"]), answer["ended"]))
    assert ends == [(True, True), (False, True), (False, True)]


async def test_conversations_belong_to_their_connector_and_to_this_api(
    server: MessagingServer, caller: ChatCaller
) -> None:
    async with MessagingClient(server.url) as widget:
        await widget.start()
        body = {"conversation_id": widget.session_id, "message": "hi"}
        status, _ = await caller.call("POST", "respond", body)
        assert status == 404
    await caller.create()
    caller.base = caller.base.replace("lumen-energy", "other")
    caller.headers["X-TOKEN"] = OTHER.token
    status, _ = await caller.call("PUT", "close", {"conversation_id": caller.conversation_id})
    assert status == 404


async def test_bad_event_queries_name_the_parameter(server: MessagingServer, caller: ChatCaller) -> None:
    await caller.create()
    most = {"conversation_id": caller.conversation_id, "after": str(1 << 53)}
    assert (await caller.call("GET", "events", params=most))[0] == 200
    for query, named in (({"after": "-1"}, "after"), ({"wait": "31"}, "wait"), ({"wait": "x"}, "wait")):
        given = {"conversation_id": caller.conversation_id, **query}
        status, refusal = await caller.call("GET", "events", params=given)
        assert (status, refusal["error_message"].partition(":")[0]) == (400, named)


async def test_too_many_calls_are_told_when_to_come_back(tmp_path: Path) -> None:
    few = ChatLimits(requests=RateLimit(count=2, seconds=60), strangers=RateLimit(count=1, seconds=60))
    async with messaging_server(tmp_path, chat_limits=few) as server, await caller_of(server) as caller:
        statuses = [(await caller.call("GET", "events"))[0] for _ in range(3)]
        assert statuses == [404, 404, 429]
        caller.headers["X-API-KEY"] = "wlk_guess"
        assert [(await caller.call("GET", "events"))[0] for _ in range(2)] == [401, 429]


async def test_trouble_with_the_store_is_503_and_nothing_is_doubled(tmp_path: Path) -> None:
    faulty: list[FaultyStore] = []

    def wrap(store: Any) -> Any:
        faulty.append(FaultyStore(store))
        return faulty[0]

    async with messaging_server(tmp_path, wrap=wrap) as server, await caller_of(server) as caller:
        await caller.create()
        faulty[0].down.add("transact")
        body, once = {"conversation_id": caller.conversation_id, "message": "hi"}, {"Idempotency-Key": "1"}
        status, refusal = await caller.call("POST", "respond", body, headers=once)
        assert (status, refusal["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        faulty[0].down.clear()
        assert (await caller.respond("hi", headers=once))["response"] == "You said: hi"


async def test_a_start_that_fails_is_told(server: MessagingServer, caller: ChatCaller) -> None:
    server.engine.on_start(Reply(failed=True))
    status, refusal = await caller.call("POST", "create")
    assert (status, refusal["error_code"]) == (500, "CHAT_START_FAILED")


async def test_a_start_without_a_word_is_answered_with_none(server: MessagingServer, caller: ChatCaller) -> None:
    server.engine.on_start(Reply(says=()))
    assert (await caller.create())["response"] == ""
    assert (await caller.respond("hi"))["response"] == "You said: hi"
