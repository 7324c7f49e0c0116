"""Whether a played conversation was as its scenario wants it."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from warmline.agent.models.access import LanguageModel
from warmline.agent.models.port import Message, ModelRequest
from warmline.agent.scenarios.scenario import CallAssertion, Scenario
from warmline.domain.turn import Finding, FunctionCall, HandoffRequest, TurnOutcome

_JUDGE = """You check a conversation between a customer and a virtual agent. You are given the conversation and one
statement about it. Answer with a JSON object: {"holds": true or false, "why": "one sentence"}."""


@dataclass(slots=True)
class Played:
    """What happened in a conversation. `lines` are (who, text)."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    calls: list[FunctionCall] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    metrics: list[tuple[str, object]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    handoff: HandoffRequest | None = None
    ended: bool = False
    failures: list[str] = field(default_factory=list)

    def take(self, outcome: TurnOutcome) -> None:
        """Add what a turn brought."""
        self.lines += [("agent", say.text) for say in outcome.says]
        self.calls += outcome.calls
        self.findings += outcome.findings
        self.metrics += outcome.metrics
        self.texts += [wish.text or wish.template for wish in outcome.sms]
        self.handoff = outcome.handoff or self.handoff
        self.ended = self.ended or outcome.end
        if outcome.failed:
            self.failures.append(f"A turn failed. {_why(outcome.findings)}".strip())
        if outcome.handoff_error:
            self.failures.append(f"A handoff could not be understood. {_why(outcome.findings)}".strip())

    @property
    def over(self) -> bool:
        """True when the customer has nobody to write to any more."""
        return self.ended or self.handoff is not None or bool(self.failures)


def _why(findings: Sequence[Finding]) -> str:
    return " ".join(f"{f.file}:{f.line}: {f.rule}: {f.text}" for f in findings[-1:])


def failures(scenario: Scenario, played: Played) -> Iterator[str]:
    """Give in words which assertions do not hold; those of a model's judgement are not among them."""
    yield from played.failures
    for call in scenario.calls:
        if not any(_fits(call, done) for done in played.calls):
            wanted = ", ".join(f"{name}={value!r}" for name, value, _ in call.arguments)
            done = "; ".join(_shown(c) for c in played.calls if c.name == call.name) or "not called at all"
            yield f"`{call.name}({wanted})` was not called ({done})."
    expected = scenario.expected
    said = "\n".join(text for who, text in played.lines if who == "agent")
    for pattern in expected.said:
        if not _found(pattern, said):
            yield f"The agent did not say “{pattern}”."
    for pattern in expected.not_said:
        if _found(pattern, said):
            yield f"The agent said “{pattern}”."
    for pattern in expected.sms:
        if not _found(pattern, "\n".join(played.texts)):
            yield f"No text message with “{pattern}” was sent."
    yield from _wrong_end(scenario, played)
    for name, value in expected.metrics.items():
        written = [str(v) for n, v in played.metrics if n == name]
        if value not in written:
            yield f"The metric {name} is not {value!r} ({', '.join(written) or 'not written'})."


def _wrong_end(scenario: Scenario, played: Played) -> Iterator[str]:
    wanted, request = scenario.expected.handoff, played.handoff
    if wanted == "" and request is not None:
        yield "The conversation was handed to a person."
    elif wanted:
        if request is None:
            yield f"The conversation was not handed to {wanted}."
        elif wanted not in (request.destination, request.integration):
            yield f"It was handed to {request.destination or request.integration}, not to {wanted}."
    if scenario.expected.ended is not None and scenario.expected.ended != played.ended:
        yield "The agent ended the conversation." if played.ended else "The agent did not end the conversation."


def _fits(wanted: CallAssertion, done: FunctionCall) -> bool:
    return done.name == wanted.name and all(
        name in done.arguments and _equal(done.arguments[name], value, kind) for name, value, kind in wanted.arguments
    )


def _equal(value: object, expected: str, kind: str) -> bool:
    """Compare a typed value with its text in the file (agent-project.md §14, assertion 79)."""
    try:
        match kind:
            case "integer":
                return isinstance(value, int) and not isinstance(value, bool) and value == int(expected)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool) and value == float(expected)
            case "boolean":
                return isinstance(value, bool) and expected.lower() == str(value).lower()
    except ValueError:
        return False
    return isinstance(value, str) and value == expected


def _shown(call: FunctionCall) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return f"it was {call.name}({arguments})"


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


async def judged(scenario: Scenario, played: Played, model: LanguageModel) -> list[str]:
    """Ask the model whether the scenario's prompt assertions hold; gives those that do not.

    Raises:
        ModelFailed: the model gave no answer.
    """
    conversation = "\n".join(f"{who}: {text}" for who, text in played.lines)
    wrong = []
    for statement in scenario.prompt_assertions:
        question = f"Conversation:\n{conversation}\n\nStatement: {statement}"
        messages = (Message(role="system", content=_JUDGE), Message(role="user", content=question))
        answer = await model.port.complete(
            ModelRequest(messages=messages, model=model.endpoint.model, json=True, purpose="test")
        )
        holds, why = _verdict(answer.text)
        if not holds:
            wrong.append(f"Does not hold: {statement} {why}".strip())
    return wrong


def _verdict(text: str) -> tuple[bool, str]:
    try:
        value = json.loads(text)
    except ValueError:
        return False, "The model's judgement is no JSON."
    if not isinstance(value, dict) or not isinstance(value.get("holds"), bool):
        return False, "The model's judgement says neither yes nor no."
    return value["holds"], str(value.get("why") or "")
