"""The client of language models against the emulated endpoint, over real HTTP."""

import random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from support.llm import LlmLab
from warmline.agent.models.client import ChatCompletions
from warmline.agent.models.metrics import ModelMetrics
from warmline.agent.models.port import FailureKind, Message, ModelFailed, ModelRequest
from warmline.emulators.llm.script import Answer, Call

QUESTION = (Message(role="user", content="hello"),)
TOOL = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {"n": {}}}}


class Heard:
    """Takes a streamed text; from `shown_from` pieces on it counts as shown."""

    def __init__(self, shown_from: int = 10_000) -> None:
        self.text = ""
        self.pieces = 0
        self.shown_from = shown_from

    def add(self, text: str) -> None:
        self.text += text
        self.pieces += 1

    def restart(self) -> bool:
        if self.pieces >= self.shown_from:
            return False
        self.text = ""
        return True


def _client(lab: LlmLab, **settings: Any) -> ChatCompletions:
    lab.registry = CollectorRegistry()
    return ChatCompletions(lab.http, lab.endpoint(**settings), lab.clock, ModelMetrics(lab.registry), random.Random(1))


def _request(**fields: Any) -> ModelRequest:
    return ModelRequest(**{"messages": QUESTION, "model": "default-model", **fields})


async def _failure(client: ChatCompletions, **fields: Any) -> ModelFailed:
    with pytest.raises(ModelFailed) as failed:
        await client.complete(_request(**fields))
    return failed.value


@pytest.mark.parametrize("streamed", [False, True])
async def test_texts_calls_and_tokens_come_whole_and_streamed(lab: LlmLab, streamed: bool) -> None:
    calls = (Call(name="find", arguments={"n": 1}), Call(name="find", arguments={"n": 2}))
    lab.play(Answer(say="One moment. I look.", calls=calls))
    sink = Heard() if streamed else None
    answer = await _client(lab).complete(_request(tools=(TOOL,), settings={"temperature": 0.2}), sink)
    assert answer.text == "One moment. I look."
    assert sink is None or sink.text == answer.text
    assert [(call.name, call.arguments) for call in answer.calls] == [("find", '{"n":1}'), ("find", '{"n":2}')]
    assert answer.usage.prompt > 0
    assert answer.usage.completion > 0
    assert lab.last["temperature"] == 0.2
    assert lab.last["tools"] == [{"type": "function", "function": TOOL}]
    tokens = lab.registry.get_sample_value("warmline_llm_tokens_total", {"purpose": "turn", "kind": "prompt"})
    assert tokens == answer.usage.prompt


async def test_a_conversation_with_tool_results_is_accepted_by_the_api(lab: LlmLab) -> None:
    lab.play(Answer(calls=(Call(name="find"),)))
    client = _client(lab)
    first = await client.complete(_request(tools=(TOOL,)))
    messages = (
        *QUESTION,
        Message(role="assistant", content=first.text, calls=first.calls),
        Message(role="tool", content="found", call_id=first.calls[0].id),
    )
    lab.play(Answer(say="Done."), otherwise=Answer(say="Done."))
    assert (await client.complete(_request(messages=messages))).text == "Done."


async def test_the_key_is_sent_and_a_wrong_one_is_told_without_retries(lab: LlmLab) -> None:
    lab.play("Hello!", api_key="right")
    assert (await _client(lab, api_key="right").complete(_request())).text == "Hello!"
    failed = await _failure(_client(lab, api_key="wrong"))
    assert (failed.kind, failed.attempts) == (FailureKind.REFUSED, 1)
    assert "WARMLINE_LLM_API_KEY" in str(failed)
    assert "wrong" not in str(failed)


async def test_retries_wait_as_long_as_the_endpoint_asks_and_else_with_jitter(lab: LlmLab) -> None:
    lab.play("At last.")
    lab.spoil(status=503)
    lab.spoil(status=429, retry_after=3)
    lab.spoil(drop=True)
    answer = await _client(lab).complete(_request())
    assert (answer.text, answer.attempts) == ("At last.", 4)
    first, asked, third = lab.clock.slept
    assert 0.25 <= first <= 0.5
    assert asked == 3
    assert 1 <= third <= 2
    counted = lab.registry.get_sample_value(
        "warmline_llm_requests_total", {"purpose": "turn", "outcome": "rate-limited"}
    )
    assert counted == 1


async def test_a_pause_that_the_turn_has_no_time_for_is_not_made(lab: LlmLab) -> None:
    lab.spoil(status=429, retry_after=60)
    failed = await _failure(_client(lab), limit_s=10.0)
    assert (failed.kind, failed.attempts, lab.clock.slept) == (FailureKind.RATE_LIMITED, 1, [])


async def test_attempts_are_bounded(lab: LlmLab) -> None:
    lab.spoil(times=None, status=500)
    failed = await _failure(_client(lab))
    assert (failed.kind, failed.attempts, len(lab.asked)) == (FailureKind.UNAVAILABLE, 4, 4)


async def test_an_endpoint_that_is_not_there(lab: LlmLab) -> None:
    await lab.llm.stop()
    failed = await _failure(_client(lab))
    assert (failed.kind, failed.attempts) == (FailureKind.UNREACHABLE, 4)


async def test_a_slow_endpoint_is_left_when_the_time_is_over(lab: LlmLab) -> None:
    lab.spoil(times=None, delay_ms=60_000)
    failed = await _failure(_client(lab), limit_s=0.2)
    assert failed.kind is FailureKind.TOO_SLOW


async def test_an_answer_that_comes_whole_may_take_all_the_time_there_is(lab: LlmLab) -> None:
    lab.play("At last.")
    lab.spoil(delay_ms=250)
    assert (await _client(lab, idle_s=0.05).complete(_request(limit_s=5.0))).text == "At last."


async def test_a_stall_within_an_answer_is_asked_again(lab: LlmLab) -> None:
    lab.play(Answer(say="All of it."))
    lab.spoil(stall_after=3)
    sink = Heard()
    answer = await _client(lab, idle_s=1.0).complete(_request(), sink)
    assert (answer.text, sink.text, answer.attempts) == ("All of it.", "All of it.", 2)


async def test_half_an_answer_is_asked_again_unless_it_was_shown(lab: LlmLab) -> None:
    lab.play(Answer(say="All of it."))
    lab.spoil(cut_after=3)
    sink = Heard()
    assert (await _client(lab).complete(_request(), sink)).text == sink.text == "All of it."
    lab.spoil(cut_after=3)
    with pytest.raises(ModelFailed) as failed:
        await _client(lab).complete(_request(), Heard(shown_from=1))
    assert (failed.value.kind, failed.value.attempts) == (FailureKind.HALF_ANSWER, 1)


async def test_nonsense_is_no_answer(lab: LlmLab) -> None:
    lab.spoil(times=None, garbage=True)
    with pytest.raises(ModelFailed) as failed:
        await _client(lab).complete(_request(), Heard())
    assert failed.value.kind is FailureKind.BROKEN_ANSWER


async def test_an_answer_without_end_is_cut(lab: LlmLab) -> None:
    lab.spoil(times=None, huge=500_000)
    failed = await _failure(_client(lab))
    assert (failed.kind, failed.attempts) == (FailureKind.TOO_LONG, 1)


async def test_settings_that_an_endpoint_refuses_are_left_out(lab: LlmLab) -> None:
    lab.play("Hello!")
    lab.spoil(status=400)
    answer = await _client(lab).complete(_request(settings={"reasoning_effort": "low"}))
    assert answer.text == "Hello!"
    assert [body.get("reasoning_effort") for body in lab.asked] == ["low", None]


def test_names_of_models_are_mapped_and_unknown_ones_mean_the_default(lab: LlmLab) -> None:
    endpoint = lab.endpoint(models={"gpt-4o-mini": "small"})
    assert [endpoint.named(name) for name in ("gpt-4o-mini", "claude-sonnet-4", "")] == [
        "small",
        "default-model",
        "default-model",
    ]
