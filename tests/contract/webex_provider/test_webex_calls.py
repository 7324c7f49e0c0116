"""Create, append and end: what goes over the wire, and what each answer means (webex-byoc.md §7–9, §15.3)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from support.scripted_http import Asked, Reply, ScriptedServer
from support.webex import AGENT, BRIEF, NOW, SENT, TASK, VALUES, fixture, link, open_request, row
from warmline.domain.errors import LeaseLost
from warmline.domain.messages import LiveAgent
from warmline.handoff.contract import (
    ContentRefused,
    ConversationGone,
    OutgoingMessage,
    ProviderAuthFailed,
    ProviderEnvironment,
    ProviderError,
    ProviderRejected,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnavailable,
    send_guard,
)
from warmline.handoff.providers.webex import provider as webex
from warmline.handoff.providers.webex.provider import WebexProvider
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import Outside, connection_to

CREATE = "POST /v2/tasks"
APPEND = f"POST /v2/tasks/{TASK}/messages"
END_V1 = f"POST /v1/tasks/{TASK}/end"
END_V2 = f"POST /v2/tasks/{TASK}/end"
CREATED = Reply(status=201, body={"meta": {"orgId": VALUES["org_id"]}, "data": {"id": TASK}})
MESSAGE = OutgoingMessage(message_id=SENT, text="Are you there?", at=NOW)

Making = Callable[..., Awaitable[WebexProvider]]


@pytest.fixture
async def making(scripted: ScriptedServer, environment: ProviderEnvironment):
    """Makes a started provider."""
    made = []

    async def make(**values: str) -> WebexProvider:
        provider = webex.create(connection_to(scripted.url, **values), environment)
        made.append(provider)
        await provider.start()
        return provider

    yield make
    for provider in made:
        await provider.stop()


@pytest.fixture
async def provider(making: Making) -> WebexProvider:
    return await making()


async def test_A10_open_creates_a_task_and_remembers_its_brief(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    scripted.line_up(CREATE, CREATED)
    result = await provider.open(open_request(options={"global_variables": {"reason": "billing"}}))
    assert (result.remote_id, result.proven) == (TASK, False)
    assert result.data == {"brief": BRIEF, "refusals": 0, "channel": "webchat.polyai"}
    (asked,) = scripted.requests(CREATE)
    expected = fixture("create_task_request")
    expected["origin"]["id"] = asked.json["origin"]["id"]
    assert asked.json == expected
    assert asked.headers["authorization"] == "Bearer access"
    assert asked.headers["accept"] == asked.headers["content-type"] == "application/json"
    assert asked.headers["trackingid"].startswith("WARMLINE_")


@pytest.mark.parametrize(
    "answer",
    [
        Reply(status=201, body={"data": {"id": "e"}}),
        Reply(status=202, body={}),
        Reply(status=202, body=b""),
        Reply(status=200, body=b"x"),
    ],
)
async def test_append_takes_any_2xx(scripted: ScriptedServer, provider: WebexProvider, answer: Reply) -> None:
    scripted.line_up(APPEND, answer)
    result = await provider.send(link(), MESSAGE)
    assert not result.confirmed, "the verdict comes by webhook"
    assert scripted.requests(APPEND)[0].json == fixture("append_request")


async def test_A17_every_try_of_a_message_has_the_same_alias(scripted: ScriptedServer, provider: WebexProvider) -> None:
    scripted.line_up(APPEND, Reply(status=503), Reply(cut=True), Reply(status=429))
    for _ in range(3):
        with pytest.raises(ProviderError):
            await provider.send(link(), MESSAGE)
    await asyncio.sleep(0)
    assert {asked.json["channelParams"]["message"]["aliasId"] for asked in scripted.requests(APPEND)} == {SENT}


FIELD = {"error": {"key": "400", "message": [{"description": "globalVariables: 'Ada Lovelace' is too long"}]}}


@pytest.mark.parametrize(
    ("answer", "kind", "certain"),
    [
        (Reply(status=400), ContentRefused, True),
        (Reply(status=413), ContentRefused, True),
        (Reply(status=422), ContentRefused, True),
        (Reply(status=403), ProviderAuthFailed, True),
        (Reply(status=429, headers={"Retry-After": "7"}), ProviderThrottled, True),
        (Reply(status=500), ProviderUnavailable, True),
        (Reply(status=503), ProviderUnavailable, True),
        (Reply(status=502), ProviderTimeout, False),
        (Reply(status=504), ProviderTimeout, False),
        (Reply(status=302, headers={"Location": "/elsewhere"}), ProviderRejected, True),
        (Reply(status=201, body={"meta": {}}), ProviderTimeout, False),
        (Reply(status=201, body=b"nonsense"), ProviderTimeout, False),
        (Reply(cut=True), ProviderTimeout, False),
    ],
    ids=lambda value: f"{value.status}{'cut' if value.cut else ''}" if isinstance(value, Reply) else None,
)
async def test_what_the_answers_to_create_mean(
    scripted: ScriptedServer, provider: WebexProvider, answer: Reply, kind: type, certain: bool
) -> None:
    scripted.line_up(CREATE, answer)
    with pytest.raises(ProviderError) as caught:
        await provider.open(open_request())
    assert type(caught.value) is kind
    assert caught.value.certain is certain
    assert len(scripted.requests(CREATE)) == 1, "nothing is tried again here"


@pytest.mark.parametrize(
    ("answer", "kind", "certain"),
    [
        (Reply(status=404), ConversationGone, True),
        (Reply(status=400), ContentRefused, True),
        (Reply(status=403), ProviderAuthFailed, True),
        (Reply(status=500), ProviderTimeout, False),
        (Reply(status=503), ProviderTimeout, False),
        (Reply(cut=True), ProviderTimeout, False),
    ],
    ids=lambda value: f"{value.status}{'cut' if value.cut else ''}" if isinstance(value, Reply) else None,
)
async def test_what_the_answers_to_append_mean(
    scripted: ScriptedServer, provider: WebexProvider, answer: Reply, kind: type, certain: bool
) -> None:
    scripted.line_up(APPEND, answer)
    with pytest.raises(ProviderError) as caught:
        await provider.send(link(), MESSAGE)
    assert type(caught.value) is kind
    assert caught.value.certain is certain


async def test_errors_name_fields_but_never_what_stood_in_them(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    scripted.line_up(CREATE, Reply(status=400, body=FIELD))
    with pytest.raises(ProviderRejected, match="globalVariables") as caught:
        await provider.open(open_request())
    assert "Ada" not in f"{caught.value} {caught.value.hint}"


async def test_nobody_listening_is_certain(environment: ProviderEnvironment, scripted: ScriptedServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
        provider = webex.create(connection_to(scripted.url, api_base_url=dead), environment)
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.send(link(), MESSAGE)
    assert caught.value.certain


@pytest.mark.parametrize(
    ("header", "seconds"),
    [({"Retry-After": "7"}, 7), ({}, 5), ({"Retry-After": "soon"}, 5), ({"Retry-After": "999"}, 120)],
)
async def test_A73_a_429_holds_back_every_call_for_as_long_as_it_says(
    scripted: ScriptedServer, provider: WebexProvider, header: dict[str, str], seconds: float
) -> None:
    scripted.line_up(APPEND, Reply(status=429, headers=header))
    with pytest.raises(ProviderThrottled) as caught:
        await provider.send(link(), MESSAGE)
    assert caught.value.retry_after == seconds
    with pytest.raises(ProviderThrottled) as other:
        await provider.open(open_request())
    assert seconds - 1 < other.value.retry_after <= seconds
    assert scripted.requests(CREATE) == []


async def test_a_node_that_lost_its_lease_sends_nothing(scripted: ScriptedServer, provider: WebexProvider) -> None:
    def lost() -> None:
        raise LeaseLost

    guard = send_guard.set(lost)
    try:
        with pytest.raises(LeaseLost):
            await provider.send(link(), MESSAGE)
    finally:
        send_guard.reset(guard)
    assert scripted.requests(APPEND) == []


# --- long messages -----------------------------------------------------------------------------------------------


async def test_a_message_beyond_the_policy_is_sent_in_parts_the_last_under_its_own_id(
    scripted: ScriptedServer, making: Making
) -> None:
    provider = await making(**{"policy.max_chars": "10"})
    await provider.send(link(), OutgoingMessage(message_id=SENT, text="one two three four", at=NOW))
    sent = [asked.json["channelParams"]["message"] for asked in scripted.requests(APPEND)]
    assert [message["text"] for message in sent] == ["one two", "three four"]
    assert sent[1]["aliasId"] == SENT != sent[0]["aliasId"]


async def test_a_retry_goes_on_with_the_part_that_failed(scripted: ScriptedServer, making: Making) -> None:
    provider = await making(**{"policy.max_chars": "10"})
    message = OutgoingMessage(message_id=SENT, text="one two three four", at=NOW)
    scripted.line_up(APPEND, Reply(status=202), Reply(status=500))
    with pytest.raises(ProviderTimeout):
        await provider.send(link(), message)
    await provider.send(link(), message)
    texts = [asked.json["channelParams"]["message"]["text"] for asked in scripted.requests(APPEND)]
    assert texts == ["one two", "three four", "three four"]


# --- end ---------------------------------------------------------------------------------------------------------


async def test_end_uses_v1(scripted: ScriptedServer, provider: WebexProvider) -> None:
    scripted.always(END_V1, Reply(status=202))
    await provider.close(link(), "REASON_USER_END")
    assert [asked.body for asked in scripted.requests(END_V1)] == [b"{}"]
    assert scripted.requests(END_V2) == []


async def test_end_falls_back_to_v2_and_remembers(scripted: ScriptedServer, provider: WebexProvider) -> None:
    scripted.always(END_V1, Reply(status=404))
    scripted.always(END_V2, Reply(status=202))
    for _ in range(3):
        await provider.close(link(), "")
    assert (len(scripted.requests(END_V1)), len(scripted.requests(END_V2))) == (1, 3)


@pytest.mark.parametrize("status", [404, 409])
async def test_race_7_a_task_that_has_ended_already_is_closed(
    scripted: ScriptedServer, provider: WebexProvider, status: int
) -> None:
    scripted.always(END_V1, Reply(status=status))
    scripted.always(END_V2, Reply(status=404))
    await provider.close(link(), "")


async def test_end_that_works_for_none_is_tried_on_both_next_time(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    scripted.line_up(END_V1, Reply(status=404), Reply(status=202))
    scripted.line_up(END_V2, Reply(status=404))
    await provider.close(link(), "")
    await provider.close(link(), "")
    assert (len(scripted.requests(END_V1)), len(scripted.requests(END_V2))) == (2, 1)


async def test_end_that_fails_says_so(scripted: ScriptedServer, provider: WebexProvider) -> None:
    scripted.always(END_V1, Reply(status=503))
    with pytest.raises(ProviderUnavailable):
        await provider.close(link(), "")


async def test_A75_without_the_right_to_end_the_agent_is_told(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    scripted.always(END_V1, Reply(status=403))
    await provider.close(link(), "")
    await provider.close(link(), "")
    assert len(scripted.requests(END_V1)) == 1
    told = [asked.json["channelParams"]["message"] for asked in scripted.requests(APPEND)]
    assert {message["text"] for message in told} == {"The customer has left the chat."}
    assert len({message["aliasId"] for message in told}) == 1, "a retry is the same message"
    scripted.always(APPEND, Reply(status=404))
    await provider.close(link(), "")


# --- what is remembered between call and webhook -----------------------------------------------------------------


async def test_A20_only_what_webex_changed_is_stored_again(scripted: ScriptedServer, provider: WebexProvider) -> None:
    echo = fixture("appended_inbound")
    echo["data"]["channelParams"]["message"]["text"] = MESSAGE.text
    await provider.send(link(), MESSAGE)
    same = provider.parse(row(echo), link(), NOW).command
    assert getattr(same, "stored_text", "") is None
    await provider.send(link(), MESSAGE)
    masked = provider.parse(row(fixture("appended_inbound")), link(), NOW).command
    assert getattr(masked, "stored_text", "") == "My card is XXXX XXXX XXXX XXXX"


async def test_race_3_a_confirmation_before_the_answer_is_understood(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    echo = fixture("appended_inbound")
    echo["data"]["channelParams"]["message"]["text"] = MESSAGE.text
    scripted.line_up(APPEND, Reply(status=202, delay_s=0.2))
    sending = asyncio.create_task(provider.send(link(), MESSAGE))
    await scripted.until(lambda: bool(scripted.requests(APPEND)))
    assert getattr(provider.parse(row(echo), link(), NOW).command, "stored_text", "") is None
    await sending


async def test_A19_a_failure_that_names_no_message_is_about_the_oldest_one_on_its_way(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    other = OutgoingMessage(message_id="f1e2d3c4-0000-4000-8000-000000000000", text="second", at=NOW)
    await provider.send(link(), MESSAGE)
    await provider.send(link(), other)
    failure = {**fixture("append_failed"), "id": "77777777-0000-4000-8000-000000000000"}
    rows = [replace(row(failure), key=key) for key in ("first", "first", "second", "first")]
    told = [getattr(provider.parse(each, link(), NOW).command, "message_id", "") for each in rows]
    assert told == [SENT, SENT, other.message_id, SENT], "the same webhook read again is about the same message"


async def test_A71_a_task_that_an_unanswered_create_made_is_adopted(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    older = fixture("task_failed")["data"]["errorMessage"].rpartition(" ")[2]
    scripted.line_up(CREATE, Reply(status=201, body={"data": {"id": older}}), CREATED)
    await provider.open(open_request())
    await provider.open(open_request(attempt=2))
    refused = provider.parse(row(fixture("task_failed")), link(attempt=2), NOW).refused
    assert refused is not None
    assert refused.adopt == older


async def test_a_webhook_of_an_unknown_task_is_claimed_by_the_request_that_made_it(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    scripted.line_up(CREATE, Reply(cut=True))
    request = open_request()
    with pytest.raises(ProviderTimeout):
        await provider.open(request)
    origin = scripted.requests(CREATE)[0].json["origin"]
    news = fixture("task_new")
    assert not provider.claims(row(news), request), "another customer's"
    news["data"]["origin"] = origin
    assert provider.claims(row(news), request)
    assert provider.claims(row(fixture("appended_first")), request), "it has the brief's alias"
    for name in ("task_failed", "task_ended"):
        over = fixture(name)
        over["data"]["origin"] = origin
        assert not provider.claims(row(over), request), "a task that is over is nothing to adopt"
    assert not provider.claims(row(news), open_request(handoff_id="a later handoff of the same session"))


# --- names -------------------------------------------------------------------------------------------------------

BY_ID = f"GET /organization/{VALUES['org_id']}/user/{AGENT}"
BY_CI = f"GET /organization/{VALUES['org_id']}/user/by-ci-user-id/{AGENT}"


async def test_agents_are_shown_by_their_first_name_and_asked_for_once(
    scripted: ScriptedServer, provider: WebexProvider
) -> None:
    scripted.always(BY_ID, Reply(body={"id": AGENT, "firstName": "Maya", "lastName": "Okafor"}))
    found = await asyncio.gather(*(provider.agent(AGENT) for _ in range(20)))
    assert set(found) == {LiveAgent(id=AGENT, name="Maya")}
    assert len(scripted.requests(BY_ID)) == 1


async def test_agents_are_found_by_their_other_id_too(scripted: ScriptedServer, provider: WebexProvider) -> None:
    scripted.always(BY_ID, Reply(status=404))
    scripted.always(BY_CI, Reply(body={"data": {"firstName": "Maya"}}))
    assert await provider.agent(AGENT) == LiveAgent(id=AGENT, name="Maya")


@pytest.mark.parametrize("answer", [Reply(status=404), Reply(status=403), Reply(status=500), Reply(body={})])
async def test_agents_nobody_can_name_have_the_configured_label(
    scripted: ScriptedServer, making: Making, outside: Outside, answer: Reply
) -> None:
    provider = await making(agent_label="Service")
    scripted.always(BY_ID, answer)
    scripted.always(BY_CI, answer)
    for _ in range(3):
        assert await provider.agent(AGENT) == LiveAgent(id=AGENT, name="Service")
    assert len(scripted.requests(BY_ID)) == 1
    assert provider.ready() is None
    assert ("auth_failed", "") not in outside.states
    assert await provider.agent("") == LiveAgent(id="", name="Service")


async def test_a_slow_directory_holds_nobody_up(scripted: ScriptedServer, provider: WebexProvider) -> None:
    def slow(_: Asked) -> Reply:
        return Reply(body={"firstName": "Maya"}, delay_s=60)

    scripted.always(BY_ID, slow)
    async with asyncio.timeout(PATIENCE_S):
        assert await provider.agent(AGENT) == LiveAgent(id=AGENT, name="Agent")
