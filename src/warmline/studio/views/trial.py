"""A function's trial as a form: what was entered, what may be chosen, and what came of it as a page shows it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from warmline.agent.project.integrations import ENVIRONMENTS
from warmline.agent.project.model import Function, FunctionKind, Project
from warmline.agent.turn.trying import Sample, Tried, flow_of
from warmline.studio.files import plain_lines
from warmline.studio.words import say

CHANNELS = ("webchat.polyai", "sms.polyai", "whatsapp.polyai", "chat.polyai")
"""The channels under which sessions begin (messaging-protocol.md §17.4)."""
_ARGUMENT = "argument."
_LONGEST = 100_000


class EntryWrong(Exception):
    """The form cannot be used. `key` is a text below `run.`."""

    def __init__(self, key: str, **values: object) -> None:
        """Name the text and what is filled in there."""
        super().__init__(key)
        self.key = key
        self.values = values


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the form holds, as it was entered."""

    arguments: Mapping[str, str] = field(default_factory=dict)
    state: str = "{}"
    entities: str = "{}"
    channel: str = CHANNELS[0]
    environment: str = ENVIRONMENTS[0]
    language: str = ""
    variant: str = ""
    step: str = ""
    caller_number: str = ""
    text: str = ""

    def sample(self) -> Sample:
        """Give the conversation that the function is to find.

        Raises:
            EntryWrong: state or entities are no JSON object, or a choice is none of those offered.
        """
        if self.channel not in CHANNELS or self.environment not in ENVIRONMENTS:
            raise EntryWrong("bad_choice")
        return Sample(
            channel=self.channel,
            environment=self.environment,
            language=self.language,
            variant=self.variant,
            step=self.step,
            caller_number=self.caller_number.strip(),
            text=self.text,
            state=_object(self.state, say("run.state")),
            entities={name: str(value) for name, value in _object(self.entities, say("run.entities")).items()},
        )


def read_entry(form: Mapping[str, object]) -> Entry:
    """Read the form."""
    texts = {key: plain_lines(value) for key, value in form.items() if isinstance(value, str)}
    given = {key.removeprefix(_ARGUMENT): value for key, value in texts.items() if key.startswith(_ARGUMENT)}
    names = ("state", "entities", "channel", "environment", "language", "variant", "step", "caller_number", "text")
    return Entry(arguments=given, **{name: texts[name] for name in names if name in texts})


def _object(text: str, what: str) -> dict[str, object]:
    if len(text) > _LONGEST:
        raise EntryWrong("long_json", what=what, count=_LONGEST)
    try:
        value = json.loads(text.strip() or "{}")
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise EntryWrong("bad_json", what=what, line=error.lineno, text=error.msg) from None
    except (ValueError, RecursionError) as error:
        raise EntryWrong("bad_json", what=what, line=1, text=error) from None
    if not isinstance(value, dict):
        raise EntryWrong("no_object", what=what)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the form offers. `state_names` are the variables that the file names, `entities` those of the project."""

    channels: tuple[str, ...] = CHANNELS
    environments: tuple[str, ...] = ENVIRONMENTS
    languages: tuple[str, ...]
    variants: tuple[str, ...]
    steps: tuple[str, ...]
    state_names: tuple[str, ...]
    entities: tuple[str, ...]


def choices_for(project: Project, function: Function) -> Choices:
    """Give what may be chosen for a trial of `function`."""
    flow = flow_of(project, function)
    steps: tuple[str, ...] = ()
    if flow is not None and function.kind is FunctionKind.TRANSITION:
        steps = tuple(dict.fromkeys((flow.start_step.value, *(step.name for step in flow.steps))))
    module = next((module for module in project.modules if module.file == function.file), None)
    return Choices(
        languages=tuple(dict.fromkeys(code for code in (project.default_language, *project.languages) if code)),
        variants=tuple(project.variants),
        steps=steps,
        state_names=tuple(sorted(module.state_names)) if module else (),
        entities=tuple(project.entities),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """A variable that the function changed: `kind` is added, updated or removed, `value` what it holds now."""

    name: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """Something that the function logged or, with the level "print", printed."""

    level: str
    text: str
    fields: str


def changes(tried: Tried) -> list[Change]:
    """Give the changed variables by name."""
    found = [
        Change(name, kind, tried.state.get(name, ""))
        for call in tried.outcome.calls
        for kind, names in call.state_changes.items()
        for name in names
    ]
    return sorted(found, key=lambda change: change.name)


def log_lines(tried: Tried) -> list[LogLine]:
    """Give what was logged and printed, in its order."""
    hidden = ("level", "content", "is_pii", "timestamp", "logger")
    return [
        LogLine(
            str(entry.get("level", "")),
            str(entry.get("content", "")).rstrip("\n"),
            pretty(rest, indent=None) if (rest := {k: v for k, v in entry.items() if k not in hidden}) else "",
        )
        for call in tried.outcome.calls
        for entry in call.logs
    ]


def pretty(value: object, indent: int | None = 2) -> str:
    """Give plain data as JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)
