"""Reads `test_suite/*.yaml` (agent-project.md §2.23) and the Warmline extension under the key `warmline`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from warmline.agent.project.integrations import ENVIRONMENTS
from warmline.agent.project.model import Problem, Project
from warmline.agent.project.yaml_files import LOADER, Fields, Problems, read_yaml

_CHANNELS = {"voice": "chat.polyai", "webchat": "webchat.polyai", "sms": "sms.twilio"}
_VALUE_TYPES = ("string", "integer", "number", "boolean")
_KEYS = frozenset(
    {
        *("name", "scenario", "channel", "language", "variant", "simulated_at", "tags", "caller_number"),
        *("sip_headers", "integration_attributes", "prompt_assertions", "function_call_assertions", "api_mocks"),
        "warmline",
    }
)
_OWN_KEYS = frozenset({"brains", "environment", "turns", "said", "not_said", "handoff", "ended", "sms", "metrics"})
_BRAINS = ("topics", "llm")
_NUMBER = re.compile(r"-?[0-9]+")
_JSON_LOADER: Any = type("JsonLoader", (LOADER,), {})
_JSON_LOADER.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAssertion:
    """A function that must be called. `arguments` are (parameter, expected value as text, value type)."""

    name: str
    arguments: tuple[tuple[str, str, str], ...] = ()
    line: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mock:
    """An answer of an API. `repeat` is how often it is given, -1 for always."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeat: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What Warmline's own assertions ask for; None and empty ask for nothing.

    `said` and `not_said` are regular expressions, searched without regard to case in what the agent says.
    `handoff` is a destination or an integration, "" for none at all. `sms` are searched in the text messages.
    """

    said: tuple[str, ...] = ()
    not_said: tuple[str, ...] = ()
    handoff: str | None = None
    ended: bool | None = None
    sms: tuple[str, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A conversation that must keep working.

    `turns` are the customer's words, None when a model plays the customer by the text `scenario`. `brains` are
    those that it is meant for. `simulated_at` is when it takes place, milliseconds since the epoch. `mocks` are the
    answers of APIs by (API, operation).
    """

    name: str
    file: str
    scenario: str = ""
    channel: str = "webchat.polyai"
    environment: str = "sandbox"
    language: str | None = None
    variant: str | None = None
    variant_line: int = field(default=1, compare=False)
    caller_number: str | None = None
    simulated_at: int | None = None
    integration_attributes: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    turns: tuple[str, ...] | None = None
    brains: tuple[str, ...] = _BRAINS
    prompt_assertions: tuple[str, ...] = ()
    calls: tuple[CallAssertion, ...] = ()
    expected: Expected = Expected()
    mocks: Mapping[tuple[str, str], tuple[Mock, ...]] = field(default_factory=dict)


def read_scenarios(root: Path, problems: Problems) -> Iterator[Scenario]:
    """Read the scenarios of the project in `root`; what cannot be used is noted in `problems` and left out."""
    for path in sorted([*(root / "test_suite").glob("*.yaml"), *(root / "test_suite").glob("*.yml")]):
        fields = read_yaml(path, path.relative_to(root).as_posix(), problems)
        if fields is None:
            continue
        before = len(problems.found)
        scenario = _scenario(path, fields, problems)
        if not any(problem.severity == "error" for problem in problems.found[before:]):
            yield scenario


def check_scenarios(project: Project) -> tuple[Problem, ...]:
    """Give what is wrong in the scenarios of a loaded project."""
    problems = Problems()
    functions = {*project.functions, *project.broken_functions}
    for flow in project.flows:
        functions |= {*flow.functions, *flow.function_steps, *flow.broken_functions}
    for scenario in read_scenarios(project.root, problems):
        for call in scenario.calls:
            if call.name not in functions and not call.name.startswith("builtin_"):
                text = f"There is no function `{call.name}`; the scenario cannot pass."
                remedy = "Create it or correct the name."
                problems.error("dangling-reference", text, scenario.file, call.line, remedy)
        if scenario.variant is not None and scenario.variant not in project.variants:
            text = f"There is no variant `{scenario.variant}`."
            remedy = "Add it to config/variant_attributes.yaml or correct the name."
            problems.warning("unknown-variant", text, scenario.file, scenario.variant_line, remedy)
    return tuple(problems.found)


def _scenario(path: Path, fields: Fields, problems: Problems) -> Scenario:
    # Elsewhere values count as they are written; what an API answers has types.
    typed = _typed(path, fields, problems)
    own = fields.child("warmline")
    _only(fields, _KEYS, problems)
    _only(own, _OWN_KEYS, problems)
    channel = fields.text("channel").value or "webchat"
    if channel not in _CHANNELS:
        _wrong(fields, "channel", f"one of {', '.join(_CHANNELS)}", problems)
    turns = own.texts("turns") if "turns" in own.values else None
    if turns is None:
        fields.text("scenario", required=True)
    brains = own.texts("brains") or _BRAINS
    environment = own.text("environment").value or "sandbox"
    if environment not in ENVIRONMENTS:
        _wrong(own, "environment", f"one of {', '.join(ENVIRONMENTS)}", problems)
    for brain in brains:
        if brain not in _BRAINS:
            _wrong(own, "brains", f"a list of {' and '.join(_BRAINS)}", problems)
    return Scenario(
        name=fields.text("name").value or path.stem,
        file=fields.file,
        scenario=fields.text("scenario").value,
        channel=_CHANNELS.get(channel, channel),
        environment=environment,
        language=fields.text("language").value or None,
        variant=fields.text("variant").value or None,
        variant_line=fields.line("variant"),
        caller_number=fields.text("caller_number").value or None,
        simulated_at=_moment(fields, problems),
        integration_attributes={k: str(v) for k, v in fields.child("integration_attributes").values.items()},
        tags=fields.texts("tags"),
        turns=turns,
        brains=tuple(brains),
        prompt_assertions=fields.texts("prompt_assertions"),
        calls=tuple(_call(call, problems) for call in fields.children("function_call_assertions")),
        expected=_expected(own, problems),
        mocks=dict(_mocks(fields.child("api_mocks"), _at(typed, "api_mocks"), problems)),
    )


def _typed(path: Path, fields: Fields, problems: Problems) -> object:
    """Read the file once more with the types that its values have; None, with a problem noted, when one has none."""
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_JSON_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        remedy = "Write a text, a number, true, false, null, a list or a mapping."
        problems.error("yaml-syntax", f"Not a value: {error.problem}.", fields.file, line, remedy)
        return None


def _at(value: object, *path: str | int) -> object:
    """Give what is at `path` of `value`; None when there is nothing."""
    for step in path:
        if isinstance(value, dict):
            value = next((inner for key, inner in value.items() if str(key) == step), None)
        else:
            value = value[step] if isinstance(value, list) and isinstance(step, int) else None
    return value


def _moment(fields: Fields, problems: Problems) -> int | None:
    """Read `simulated_at`, an ISO time which is UTC unless it says otherwise."""
    text = fields.text("simulated_at").value
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _wrong(fields, "simulated_at", "a time such as 2026-03-04T22:30:00Z", problems)
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _call(fields: Fields, problems: Problems) -> CallAssertion:
    arguments = []
    for argument in fields.children("arguments"):
        kind = argument.text("value_type").value or "string"
        if kind not in _VALUE_TYPES:
            _wrong(argument, "value_type", f"one of {', '.join(_VALUE_TYPES)}", problems)
        name = argument.text("parameter_name", required=True).value
        arguments.append((name, argument.text("expected_value").value, kind))
    function = fields.text("name", required=True)
    return CallAssertion(name=function.value, arguments=tuple(arguments), line=function.line)


def _expected(own: Fields, problems: Problems) -> Expected:
    for key in ("said", "not_said", "sms"):
        for pattern in own.texts(key):
            try:
                re.compile(pattern)
            except re.error as error:
                _wrong(own, key, f"a list of regular expressions ({error})", problems)
    metrics = own.child("metrics")
    handoff = own.values.get("handoff")
    return Expected(
        said=own.texts("said"),
        not_said=own.texts("not_said"),
        # A bare `handoff: false` asks that there is none.
        handoff=None if handoff is None else "" if handoff is False else own.text("handoff").value,
        ended=own.flag("ended", False) if "ended" in own.values else None,
        sms=own.texts("sms"),
        metrics={name: metrics.text(name).value for name in metrics.values},
    )


def _mocks(fields: Fields, typed: Any, problems: Problems) -> Iterator[tuple[tuple[str, str], tuple[Mock, ...]]]:
    for api in fields.values:
        operations = fields.child(api)
        for operation in operations.values:
            rules = []
            for number, rule in enumerate(operations.children(operation)):
                respond = rule.child("respond")
                status, repeat = respond.text("status").value or "200", rule.text("repeat").value or "1"
                if "respond" not in rule.values:
                    _wrong(rule, "respond", "a mapping with `status` and `body`", problems)
                elif not _NUMBER.fullmatch(status):
                    _wrong(respond, "status", "a number", problems)
                elif not _NUMBER.fullmatch(repeat):
                    _wrong(rule, "repeat", "a number", problems)
                else:
                    headers = respond.child("headers")
                    rules.append(
                        Mock(
                            status=int(status),
                            body=_at(typed, api, operation, number, "respond", "body"),
                            headers={name: headers.text(name).value for name in headers.values},
                            repeat=int(repeat),
                        )
                    )
            yield (api, operation), tuple(rules)


def _only(fields: Fields, known: frozenset[str], problems: Problems) -> None:
    for key in fields.values:
        if key not in known:
            text = f"`{key}` is no part of a scenario and has no effect."
            problems.warning(
                "unknown-key", text, fields.file, fields.line(key), f"Known are {', '.join(sorted(known))}."
            )


def _wrong(fields: Fields, key: str, wanted: str, problems: Problems) -> None:
    remedy = f"Write {wanted} after `{key}:`."
    problems.error("wrong-value", f"`{key}` must be {wanted}.", fields.file, fields.line(key), remedy)
