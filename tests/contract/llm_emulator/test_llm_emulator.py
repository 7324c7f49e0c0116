"""The emulated language model, judged by its HTTP surface only."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from warmline.emulators.llm import ScriptError, read_script, start
from warmline.testing.messaging_client import PATIENCE_S

SCRIPT = """
model: demo-model
answers:
  - {when: {user: "once"}, say: "The first time.", times: 1}
  - {when: {user: "once"}, say: "Later."}
  - when: {user: "find", offers: find_customer}
    calls: [{name: find_customer, arguments: {number: "42"}}]
  - when: {tool: find_customer, result: "not found"}
    say: "I cannot find you."
  - when: {user: "raw"}
    calls: [{name: broken, arguments: "{"}]
  - when: {user: "recorded"}
    response:
      id: chatcmpl-recorded
      model: some-model
      choices: [{index: 0, finish_reason: stop, message: {role: assistant, content: "As it was said."}}]
      usage: {prompt_tokens: 7, completion_tokens: 4, total_tokens: 11}
otherwise: {say: "Pardon?"}
moderation: [{when: "kill", categories: [violence]}]
"""
TOOL = {"type": "function", "function": {"name": "find_customer", "parameters": {"properties": {"number": {}}}}}


class Client:
    """Asks the emulator as any client would."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def ask(self, text: str, **body: Any) -> tuple[int, Any]:
        """Ask without a stream."""
        body = {"model": "demo-model", "messages": [{"role": "user", "content": text}], **body}
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as response:
            return response.status, await response.json()

    async def stream(self, text: str, **body: Any) -> list[Any]:
        """Ask for a stream and give its events."""
        body = {"model": "demo-model", "stream": True, "messages": [{"role": "user", "content": text}], **body}
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as response:
            assert response.content_type == "text/event-stream"
            lines = (await response.text()).split("\n\n")
        assert lines.pop() == ""
        assert lines.pop() == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines]

    async def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Use the control plane."""
        async with self.http.request(method, f"{self.url}/__sim/v1/{path}", json=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of an emulator that plays SCRIPT."""
    llm = await start(read_script(SCRIPT))
    async with aiohttp.ClientSession() as http:
        yield Client(http, llm.url)
    await llm.stop()


def _message(answer: Any) -> Any:
    return answer["choices"][0]["message"]


async def test_the_first_fitting_answer_is_given_as_often_as_it_may(client: Client) -> None:
    assert [_message((await client.ask("once"))[1])["content"] for _ in range(3)] == [
        "The first time.",
        "Later.",
        "Later.",
    ]
    assert _message((await client.ask("else"))[1])["content"] == "Pardon?"


async def test_a_tool_is_called_when_it_is_offered_and_its_result_answered(client: Client) -> None:
    _, answer = await client.ask("find me", tools=[TOOL])
    (call,) = _message(answer)["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("find_customer", {"number": "42"})
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert _message((await client.ask("find me"))[1])["content"] == "Pardon?"
    messages = [
        {"role": "user", "content": "find me"},
        _message(answer),
        {"role": "tool", "tool_call_id": call["id"], "content": "not found"},
        {"role": "system", "content": "The step."},
    ]
    assert _message((await client.ask("", messages=messages, tools=[TOOL]))[1])["content"] == "I cannot find you."


async def test_a_stream_tells_the_same_as_a_whole_answer(client: Client) -> None:
    events = await client.stream("once", stream_options={"include_usage": True})
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]) == "The first time."
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["total_tokens"] > 0
    calls = [
        call
        for event in await client.stream("find", tools=[TOOL])
        for call in event["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert calls[0]["function"]["name"] == "find_customer"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"number": "42"}


async def test_a_recorded_answer_and_raw_arguments_are_sent_as_they_are(client: Client) -> None:
    _, answer = await client.ask("recorded")
    assert answer["id"] == "chatcmpl-recorded"
    assert answer["usage"]["total_tokens"] == 11
    assert (
        "".join(e["choices"][0]["delta"].get("content", "") for e in await client.stream("recorded"))
        == "As it was said."
    )
    _, answer = await client.ask("raw")
    assert _message(answer)["tool_calls"][0]["function"]["arguments"] == "{"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"role": "tool", "tool_call_id": "x", "content": "lost"}]},
        {"messages": [{"role": "nobody", "content": "hi"}]},
        {"tools": [TOOL, TOOL]},
    ],
)
async def test_what_the_api_refuses_is_refused(client: Client, body: dict[str, Any]) -> None:
    status, answer = await client.ask("hi", **body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"


async def test_models_and_moderation(client: Client) -> None:
    async with client.http.get(f"{client.url}/v1/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["demo-model"]
    async with client.http.post(f"{client.url}/v1/moderations", json={"input": ["I kill you", "Hello"]}) as response:
        first, second = (await response.json())["results"]
    assert (first["flagged"], first["categories"], second["flagged"]) == (True, {"violence": True}, False)


async def test_a_key_that_the_script_wants_must_be_sent(client: Client) -> None:
    status, _ = await client.control("PUT", "script", {"api_key": "k1", "otherwise": {"say": "Hi."}})
    assert status == 200
    assert (await client.ask("hi"))[0] == 401
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Authorization": "Bearer k1"}
    async with client.http.post(f"{client.url}/v1/chat/completions", json=body, headers=headers) as response:
        assert response.status == 200


async def test_faults_apply_as_often_as_asked_and_are_counted(client: Client) -> None:
    status, fault = await client.control("POST", "faults", {"effect": {"status": 429, "retry_after": 2}, "times": 1})
    assert (status, fault["id"]) == (201, "fault-1")
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    async with client.http.post(f"{client.url}/v1/chat/completions", json=body) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "2")
    assert (await client.ask("hi"))[0] == 200
    assert (await client.control("GET", "faults"))[1]["faults"][0]["applied"] == 1
    assert (await client.control("DELETE", "faults/fault-1"))[0] == 200
    assert (await client.control("DELETE", "faults/fault-1"))[0] == 404


async def test_connections_break_before_and_within_an_answer(client: Client) -> None:
    await client.control("POST", "faults", {"effect": {"drop": True}, "times": 1})
    with pytest.raises(aiohttp.ClientError):
        await client.ask("hi")
    await client.control("POST", "faults", {"effect": {"cut_after": 2}, "times": 1})
    with pytest.raises(aiohttp.ClientError):
        await client.stream("once")


async def test_a_stall_lets_the_first_pieces_through(client: Client) -> None:
    await client.control("POST", "faults", {"effect": {"stall_after": 3}, "times": 1})
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "once"}]}
    async with client.http.post(f"{client.url}/v1/chat/completions", json=body) as response:
        got = b""
        async with asyncio.timeout(PATIENCE_S):
            while got.count(b"data: ") < 3:
                got += await response.content.readany()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                got += await response.content.readany()
    assert got.count(b"data: ") == 3


async def test_answers_are_spoilt_as_asked(client: Client) -> None:
    async def spoilt(**effect: Any) -> Any:
        await client.control("POST", "faults", {"effect": effect, "times": 1})
        return _message((await client.ask("hi", tools=[TOOL]))[1])

    assert len((await spoilt(huge=5000))["content"]) == 5000
    assert (await spoilt(unknown_tool=True))["tool_calls"][0]["function"]["name"] != "find_customer"
    assert (await spoilt(loop=True))["tool_calls"][0]["function"] == {
        "name": "find_customer",
        "arguments": '{"number":"1"}',
    }
    with pytest.raises(json.JSONDecodeError):
        json.loads((await spoilt(bad_arguments=True))["tool_calls"][0]["function"]["arguments"])
    await client.control("POST", "faults", {"effect": {"garbage": True}, "times": 2})
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with client.http.post(f"{client.url}/v1/chat/completions", json=body) as response:
        lines = (await response.text()).split()
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[-1])
    async with client.http.post(f"{client.url}/v1/chat/completions", json={**body, "stream": False}) as response:
        assert "choices" not in await response.json()


async def test_it_tells_what_it_was_asked_and_forgets_on_reset(client: Client) -> None:
    await client.ask("hello")
    (request,) = (await client.control("GET", "requests"))[1]["requests"]
    assert (request["endpoint"], request["body"]["messages"][0]["content"]) == ("chat", "hello")
    await client.control("PUT", "script", {"otherwise": {"say": "Other."}})
    await client.control("POST", "reset")
    assert (await client.control("GET", "requests"))[1] == {"requests": []}
    assert _message((await client.ask("x"))[1])["content"] == "Pardon?"


async def test_the_control_plane_refuses_bad_bodies_and_pages_of_other_sites(client: Client) -> None:
    assert (await client.control("POST", "faults", {"effect": {"statos": 1}}))[0] == 400
    assert (await client.control("PUT", "script", {"answers": [{"when": {"user": "("}}]}))[0] == 400
    headers = {"Origin": "http://elsewhere.example"}
    async with client.http.get(f"{client.url}/__sim/v1/requests", headers=headers) as response:
        assert response.status == 403


def test_a_wrong_script_is_told_where_it_is_wrong() -> None:
    with pytest.raises(ScriptError, match=r"answers\[0\]\.when"):
        read_script("answers: [{when: {usr: x}}]")
