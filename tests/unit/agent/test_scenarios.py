"""The conversations in `test_suite/`: read, played and judged (agent-project.md §2.23)."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from warmline.agent.models.access import LanguageModel
from warmline.agent.models.endpoint import Endpoint
from warmline.agent.models.port import FailureKind, ModelAnswer, ModelFailed, ModelRequest, TextSink
from warmline.agent.project.model import Project
from warmline.agent.project.yaml_files import Problems
from warmline.agent.safety.rules import RuleFilter
from warmline.agent.scenarios.judge import Played, failures
from warmline.agent.scenarios.mocks import MockedApis
from warmline.agent.scenarios.play import Player, Status
from warmline.agent.scenarios.scenario import CallAssertion, Expected, Mock, Scenario, read_scenarios
from warmline.agent.turn.services import ApiRequest, ServiceFailed
from warmline.cli.test import junit_report
from warmline.domain.messages import Say
from warmline.domain.turn import FunctionCall, HandoffRequest, SmsRequest, TurnInput, TurnKind, TurnOutcome
from warmline.system import SystemClock

FULL = """
    name: Books a table
    scenario: You want a table.
    channel: sms
    language: en-GB
    variant: north
    tags: [booking]
    caller_number: "+447700900123"
    integration_attributes: {vip: true, seats: 3}
    prompt_assertions: [The agent is polite.]
    function_call_assertions:
      - name: book
        arguments:
          - {parameter_name: seats, expected_value: "3", value_type: integer}
          - {parameter_name: name, expected_value: Ada, value_type: string}
    api_mocks:
      diary:
        free:
          - respond: {status: 200, body: {seats: 3, free: true, price: 1.5}, headers: {X-A: b}}
            repeat: 2
          - respond: {status: 503}
            repeat: -1
    warmline:
      turns: [a table please, "3"]
      said: [booked]
      not_said: [sorry]
      handoff: false
      ended: true
      sms: [Ada]
      metrics: {BOOKED: "3"}
      brains: [topics]
"""


def read(root: Path, text: str) -> tuple[list[Scenario], list[tuple[int, str]]]:
    folder = root / "test_suite"
    folder.mkdir(exist_ok=True)
    (folder / "one.yaml").write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    problems = Problems()
    return list(read_scenarios(root, problems)), [(p.line, p.rule) for p in problems.found]


def test_C79_all_fields_are_read(tmp_path: Path) -> None:
    [scenario], problems = read(tmp_path, FULL)
    assert problems == []
    assert scenario == Scenario(
        name="Books a table",
        file="test_suite/one.yaml",
        scenario="You want a table.",
        channel="sms.twilio",
        language="en-GB",
        variant="north",
        tags=("booking",),
        caller_number="+447700900123",
        integration_attributes={"vip": "True", "seats": "3"},
        prompt_assertions=("The agent is polite.",),
        calls=(CallAssertion(name="book", arguments=(("seats", "3", "integer"), ("name", "Ada", "string"))),),
        mocks={
            ("diary", "free"): (
                Mock(status=200, body={"seats": 3, "free": True, "price": 1.5}, headers={"X-A": "b"}, repeat=2),
                Mock(status=503, repeat=-1),
            )
        },
        turns=("a table please", "3"),
        brains=("topics",),
        expected=Expected(
            said=("booked",), not_said=("sorry",), handoff="", ended=True, sms=("Ada",), metrics={"BOOKED": "3"}
        ),
    )


def test_C79_a_scenario_of_the_hosted_platform_is_enough(tmp_path: Path) -> None:
    text = 'name: A\nscenario: You ask.\nchannel: voice\nsimulated_at: "2026-01-01T00:00:00Z"\nsip_headers: {X-A: b}\n'
    [scenario], problems = read(tmp_path, text)
    assert (scenario.turns, scenario.channel, problems) == (None, "chat.polyai", [])
    assert scenario.simulated_at == 1_767_225_600_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: A\nchannel: webchat\n", [(1, "missing-key")]),
        ("name: A\nscenario: s\nchannel: fax\n", [(3, "wrong-value")]),
        ("name: A\nwarmline:\n  turns: [a]\n  said: ['(']\n", [(4, "wrong-value")]),
        ("name: A\nwarmline:\n  turns: [a]\n  brains: [magic]\n", [(4, "wrong-value")]),
        ("name: A\nscenario: s\napi_mocks: {a: {b: [{respond: {status: often}}]}}\n", [(3, "wrong-value")]),
        ("name: A\nscenario: s\nsimulated_at: soon\n", [(3, "wrong-value")]),
        ("name: [\n", [(2, "yaml-syntax")]),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, text: str, expected: list[tuple[int, str]]) -> None:
    scenarios, problems = read(tmp_path, text)
    assert scenarios == []
    assert problems == expected


def test_unknown_keys_are_a_warning(tmp_path: Path) -> None:
    scenarios, problems = read(tmp_path, "name: A\nscenario: s\ncolour: red\nwarmline: {turn: [a]}\n")
    assert len(scenarios) == 1
    assert problems == [(3, "unknown-key"), (4, "unknown-key")]


@pytest.mark.parametrize(
    ("kind", "expected", "value", "holds"),
    [
        ("string", "3", "3", True),
        ("string", "3", 3, False),
        ("integer", "3", 3, True),
        ("integer", "3", 3.0, False),
        ("integer", "1", True, False),
        ("integer", "three", 3, False),
        ("number", "3", 3, True),
        ("number", "3.5", 3.5, True),
        ("number", "3.5", "3.5", False),
        ("boolean", "true", True, True),
        ("boolean", "True", True, True),
        ("boolean", "false", True, False),
        ("boolean", "1", 1, False),
    ],
)
def test_C79_arguments_are_compared_with_their_types(kind: str, expected: str, value: object, holds: bool) -> None:
    wanted = CallAssertion(name="f", arguments=(("a", expected, kind),))
    scenario = Scenario(name="s", file="s", calls=(wanted,))
    played = Played(calls=[FunctionCall(name="f", duration_ms=1, arguments={"a": value, "more": 1})])
    assert (list(failures(scenario, played)) == []) is holds


def test_every_assertion_of_ours_can_fail() -> None:
    expected = Expected(
        said=("hello",), not_said=("bye",), handoff="Desk", ended=True, sms=("code",), metrics={"M": "1"}
    )
    scenario = Scenario(name="s", file="s", expected=expected)
    good = Played()
    good.take(
        TurnOutcome(
            says=(Say(text="Hello there"),),
            sms=(SmsRequest(to="+1", text="Your code"),),
            metrics=(("M", 1),),
            handoff=HandoffRequest(integration="webex_integration", destination="Desk"),
            end=True,
        )
    )
    assert list(failures(scenario, good)) == []
    bad = Played()
    bad.take(TurnOutcome(says=(Say(text="bye"),), handoff=HandoffRequest(integration=None, destination="Shop")))
    assert len(list(failures(scenario, bad))) == 6
    nothing = replace(scenario, expected=Expected(handoff="", ended=False))
    assert len(list(failures(nothing, good))) == 2
    failed = Played()
    failed.take(TurnOutcome(failed=True))
    assert list(failures(Scenario(name="s", file="s"), failed)) == ["A turn failed."]


async def test_mocks_answer_in_their_order_and_nothing_else_does(tmp_path: Path) -> None:
    [scenario], _ = read(tmp_path, FULL)
    apis = MockedApis()
    request = ApiRequest(project=Project(root=tmp_path), environment="sandbox", api="diary", operation="free")
    with pytest.raises(ServiceFailed):
        await apis(request)
    apis.use(scenario)
    answers = [await apis(request) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 503, 503, 503]
    assert json.loads(answers[0].body) == {"seats": 3, "free": True, "price": 1.5}
    assert dict(answers[0].headers) == {"Content-Type": "application/json", "X-A": "b"}
    with pytest.raises(ServiceFailed, match=r"diary\.book"):
        await apis(replace(request, operation="book"))


class EchoEngine:
    """An engine that greets, repeats what it is told, and ends when it is told to."""

    def __init__(self) -> None:
        self.turns: list[TurnInput] = []

    async def run(self, turn: TurnInput, before_functions: object, stream: object = None) -> TurnOutcome:
        await asyncio.sleep(0)
        self.turns.append(turn)
        if turn.kind is TurnKind.START:
            return TurnOutcome(says=(Say(text="Hello"),))
        if turn.kind is TurnKind.END:
            return TurnOutcome(metrics=(("ENDED", True),))
        return TurnOutcome(says=(Say(text=f"You said {turn.text}"),), end=turn.text == "stop", memory=b"m")

    async def close(self) -> None:
        """Nothing to stop."""


class ScriptedModel:
    """A model that answers by a function of what it is asked."""

    def __init__(self, answer: Callable[[ModelRequest], str]) -> None:
        self.answer = answer
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest, sink: TextSink | None = None) -> ModelAnswer:
        self.requests.append(request)
        return ModelAnswer(text=self.answer(request))


def language_model(answer: Callable[[ModelRequest], str]) -> LanguageModel:
    endpoint = Endpoint(base_url="http://localhost", model="m")
    return LanguageModel(port=ScriptedModel(answer), endpoint=endpoint, clock=SystemClock(), safety=RuleFilter())


def player(engine: EchoEngine, model: LanguageModel | None = None, brain: str = "topics") -> Player:
    return Player(engine, brain=brain, apis=MockedApis(), model=model)


SCRIPTED = Scenario(name="s", file="test_suite/s.yaml", turns=("a", "b"))


async def test_the_customers_words_are_written_and_the_end_function_counts() -> None:
    engine = EchoEngine()
    scenario = replace(SCRIPTED, expected=Expected(said=("You said b",), metrics={"ENDED": "True"}))
    result = await player(engine).play(scenario)
    assert (result.status, result.problems) == (Status.PASSED, ())
    assert [turn.kind for turn in engine.turns] == [TurnKind.START, TurnKind.MESSAGE, TurnKind.MESSAGE, TurnKind.END]
    assert [item.text for item in engine.turns[2].history] == ["Hello", "a", "You said a", "b"]
    assert engine.turns[2].memory == b"m"


async def test_words_that_nobody_could_read_any_more_are_a_failure() -> None:
    result = await player(EchoEngine()).play(replace(SCRIPTED, turns=("stop", "and then")))
    assert result.status is Status.FAILED
    assert result.problems == ("It was over before the customer wrote “and then”.",)


@pytest.mark.parametrize(
    ("scenario", "note"),
    [
        (replace(SCRIPTED, turns=None), "played by a model"),
        (replace(SCRIPTED, brains=("llm",)), "meant for the brain llm"),
    ],
)
async def test_what_cannot_be_played_is_pending_and_says_why(scenario: Scenario, note: str) -> None:
    result = await player(EchoEngine()).play(scenario)
    assert (result.status, result.wrong) == (Status.PENDING, False)
    assert note in result.notes[0]


async def test_C79_a_model_plays_the_customer_and_judges() -> None:
    def answer(request: ModelRequest) -> str:
        if request.json:
            return '{"holds": %s, "why": "because"}' % ("true" if "polite" in request.messages[-1].content else "false")
        return "END" if len(request.messages) > 4 else f"message {len(request.messages)}"

    model = language_model(answer)
    scenario = Scenario(name="s", file="s", scenario="You ask.", prompt_assertions=("It was polite.", "It was short."))
    engine = EchoEngine()
    result = await player(engine, model, "llm").play(scenario)
    assert result.status is Status.FAILED
    assert result.problems == ("Does not hold: It was short. because",)
    assert [turn.text for turn in engine.turns if turn.text] == ["message 2", "message 4"]
    first = model.port.requests[0]  # type: ignore[attr-defined]
    assert "You ask." in first.messages[0].content
    assert (first.messages[1].role, first.messages[1].content) == ("user", "Hello")


@pytest.mark.parametrize("judgement", ["no JSON", "[]", '{"holds": "perhaps"}'])
async def test_a_judgement_that_cannot_be_read_does_not_pass(judgement: str) -> None:
    scenario = replace(SCRIPTED, prompt_assertions=("It was polite.",))
    result = await player(EchoEngine(), language_model(lambda _: judgement)).play(scenario)
    assert result.status is Status.FAILED


async def test_C79_a_model_that_fails_is_an_error_and_one_that_never_ends_is_stopped() -> None:
    def fail(request: ModelRequest) -> str:
        raise ModelFailed(FailureKind.UNREACHABLE, "no connection")

    scenario = replace(SCRIPTED, turns=None, scenario="You ask.")
    result = await player(EchoEngine(), language_model(fail)).play(scenario)
    assert (result.status, result.problems) == (
        Status.ERRORED,
        ("The model that plays or judges failed: no connection",),
    )
    engine = EchoEngine()
    await player(engine, language_model(lambda _: "again")).play(scenario)
    assert sum(turn.kind is TurnKind.MESSAGE for turn in engine.turns) == 25


async def test_C79_a_scenario_that_takes_too_long_is_timed_out() -> None:
    limited = Player(EchoEngine(), brain="topics", apis=MockedApis(), limit_s=0)
    result = await limited.play(replace(SCRIPTED, turns=tuple("abc")))
    assert (result.status, result.wrong) == (Status.TIMED_OUT, True)


async def test_the_junit_report_tells_what_failed() -> None:
    results = [
        await player(EchoEngine()).play(SCRIPTED),
        await player(EchoEngine()).play(replace(SCRIPTED, name="<bad>", expected=Expected(said=("never",)))),
        await player(EchoEngine()).play(replace(SCRIPTED, name="later", turns=None)),
    ]
    report = junit_report("shop", results)
    for part in ('tests="3"', 'failures="1"', 'errors="0"', 'skipped="1"', "&lt;bad&gt;", "never"):
        assert part in report
