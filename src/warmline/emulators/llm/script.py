"""The script: which request gets which answer.

    model: demo-model
    answers:
      - when: {user: "opening hours"}
        say: We are open from 8 to 18.
      - when: {user: "human|agent", offers: builtin_handoff}
        calls:
          - name: builtin_handoff
            arguments: {handoff_destination: billing, reason: N/A, utterance: N/A}
      - when: {tool: find_customer, result: "not found"}
        say: I cannot find you.
    otherwise: {say: "I did not understand that."}
    moderation:
      - when: "kill"
        categories: [violence]

The first answer whose conditions all hold and that was not given `times` already is taken. All conditions are
regular expressions, searched without regard to case. `response` replays a recorded chat completion object as it is.
"""

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from warmline.emulators.llm.asked import Asked


class ScriptError(Exception):
    """A script that cannot be used; the message says what is wrong."""


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def _check_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"{name} is no regular expression: {problem}") from problem


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request must look like.

    `user`: the last user message. `system`: all system messages, joined. `offers`: the name of a tool that is
    offered. `tool`: the tool whose result is the last message; `result`: that result. `last` says what the last
    message that is not a system message must be: "user", "tool" or "any"; left out, it is "tool" when `tool` or
    `result` is given and "user" otherwise, so that an answer to a customer is not given to a tool's result.
    """

    user: str = ""
    system: str = ""
    offers: str = ""
    tool: str = ""
    result: str = ""
    model: str = ""
    last: Literal["", "user", "tool", "any"] = ""

    def __post_init__(self) -> None:
        for name in ("user", "system", "offers", "tool", "result", "model"):
            _check_pattern(f"when.{name}", getattr(self, name))

    def holds(self, asked: Asked) -> bool:
        """Whether the request is meant."""
        last = self.last or ("tool" if self.tool or self.result else "user")
        return (
            last in ("any", asked.last)
            and _found(self.user, asked.user)
            and _found(self.system, asked.system)
            and _found(self.model, asked.model)
            and (not self.offers or any(_found(self.offers, name) for name in asked.tools))
            and (not self.tool or _found(f"^(?:{self.tool})$", asked.tool))
            and _found(self.result, asked.result)
        )


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call. `arguments` that are a text are sent as they are, whether they are JSON or not."""

    name: str
    arguments: dict[str, Any] | str = {}

    @property
    def text(self) -> str:
        """The arguments as they are sent."""
        return self.arguments if isinstance(self.arguments, str) else msgspec.json.encode(self.arguments).decode()


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer: a text, tool calls, both, or a recorded `response`."""

    when: When = When()
    say: str = ""
    calls: tuple[Call, ...] = ()
    response: dict[str, Any] | None = None
    times: int | None = None


class Moderation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which texts the moderation endpoint flags, as what."""

    when: str
    categories: tuple[str, ...]
    score: float = 0.9

    def __post_init__(self) -> None:
        _check_pattern("moderation.when", self.when)


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the emulator says. `pace_ms` is the time between two pieces of a streamed answer.

    `api_key`: when given, requests without it are refused.
    """

    model: str = "emulated-model"
    answers: tuple[Answer, ...] = ()
    otherwise: Answer = Answer(say="There is no scripted answer to this.")
    moderation: tuple[Moderation, ...] = ()
    pace_ms: int = 0
    api_key: str = ""

    def flagged(self, text: str) -> dict[str, float]:
        """The categories of `text` with their scores."""
        return {
            category: rule.score for rule in self.moderation if _found(rule.when, text) for category in rule.categories
        }


class Playing:
    """A script that is being played: counts how often each answer was given."""

    def __init__(self, script: Script) -> None:
        """Play from the beginning."""
        self.script = script
        self._given = [0] * len(script.answers)

    def answer(self, asked: Asked) -> Answer:
        """Take the answer to a request."""
        for index, answer in enumerate(self.script.answers):
            if (answer.times is None or self._given[index] < answer.times) and answer.when.holds(asked):
                self._given[index] += 1
                return answer
        return self.script.otherwise


def read_script(text: str) -> Script:
    """Read a script from YAML or JSON.

    Raises:
        ScriptError: it is no script.
    """
    try:
        return msgspec.yaml.decode(text or "{}", type=Script)
    except msgspec.MsgspecError as problem:
        raise ScriptError(str(problem)) from problem


def load_script(path: Path) -> Script:
    """Read the script in a file.

    Raises:
        ScriptError: the file cannot be read or is no script.
    """
    try:
        return read_script(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ScriptError(f"{path}: {problem.strerror or 'cannot be read'}") from problem
    except UnicodeDecodeError as problem:
        raise ScriptError(f"{path}: it is not UTF-8") from problem
    except ScriptError as problem:
        raise ScriptError(f"{path}: {problem}") from problem
