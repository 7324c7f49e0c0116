"""What a language model is asked and what it answers. Whoever needs a model depends on this alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the model wants called. `arguments` is the text that it wrote, which should be a JSON object."""

    id: str
    name: str
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a request.

    `role` is "system", "user", "assistant" or "tool". `calls` belong to the assistant; a tool's message says by
    `call_id` which of them it answers.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that an endpoint counted; zero where it did not say."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Give the sum."""
        return Usage(prompt=self.prompt + other.prompt, completion=self.completion + other.completion)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A question to a model.

    `tools` are function schemas with the keys name, description and parameters. `model` is the endpoint's name of
    the model. `settings` are further fields of the request body, such as temperature. `limit_s` is the time for
    everything, retries included. `purpose` names the use in the metrics.
    """

    messages: tuple[Message, ...]
    model: str
    tools: tuple[Mapping[str, object], ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    json: bool = False
    limit_s: float = 30.0
    purpose: str = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What the model said: a text, tool calls, or both. `attempts` counts the requests that it took."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    usage: Usage = Usage()
    model: str = ""
    attempts: int = 1


class FailureKind(StrEnum):
    """Why there is no answer."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke before the answer began."""
    TOO_SLOW = "too-slow"
    """The time was over."""
    RATE_LIMITED = "rate-limited"
    UNAVAILABLE = "unavailable"
    """It answered with an error of its own (5xx)."""
    REFUSED = "refused"
    """It does not accept the request (4xx): wrong key, model or request. Asking again does not help."""
    BROKEN_ANSWER = "broken-answer"
    """What came is no answer."""
    HALF_ANSWER = "half-answer"
    """It broke off in the middle, after a part had been shown to the customer."""
    TOO_LONG = "too-long"
    """The answer did not end within what is reasonable."""


class ModelFailed(Exception):
    """The model gave no answer. The message is for the operator: it holds no customer text and no secret."""

    def __init__(self, kind: FailureKind, message: str, *, attempts: int = 1) -> None:
        super().__init__(message)
        self.kind = kind
        self.attempts = attempts


class TextSink(Protocol):
    """Takes an answer's text while it comes."""

    def add(self, text: str) -> None:
        """Take the next piece."""
        ...

    def restart(self) -> bool:
        """Forget what was added, for the answer begins anew; False when a part of it has been shown already."""
        ...


class ModelPort(Protocol):
    """A language model."""

    async def complete(self, request: ModelRequest, sink: TextSink | None = None) -> ModelAnswer:
        """Ask the model.

        Args:
            request: the question.
            sink: takes the text while it comes; without it the answer comes at once.

        Raises:
            ModelFailed: there is no answer, even after retries where they made sense.
        """
        ...
