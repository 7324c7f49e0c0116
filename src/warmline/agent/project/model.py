"""A loaded agent project as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from warmline.domain.turn import Finding


class Severity(StrEnum):
    """Whether a problem stops a part of the project from working."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong in the project's files. `file` is relative to the project; `line` is 1-based, 0 for none."""

    rule: str
    text: str
    remedy: str = ""
    file: str = ""
    line: int = 0
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """Give the form that `warmline check` prints: `file:line: rule: text`."""
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"

    def finding(self) -> Finding:
        """Give the same for the operator."""
        text = f"{self.text} {self.remedy}".strip()
        return Finding(rule=self.rule, text=text, file=self.file, line=self.line)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the project and the place where it starts."""

    value: str = ""
    file: str = ""
    line: int = 0

    def __bool__(self) -> bool:
        """True when there is something in it."""
        return bool(self.value.strip())


class FunctionKind(StrEnum):
    """Where a function may be used (agent-project.md §4.1 and §6)."""

    GLOBAL = "global"
    START = "start"
    END = "end"
    TRANSITION = "transition"
    STEP = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a function. `type` is a JSON Schema type name."""

    name: str
    type: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A project function as read from its source.

    `handoff_line` is the line of the first `"handoff"` key in the file, else that of the definition.
    `parameters` are without `conv` and `flow`, in the order of their `@func_parameter` decorators.
    """

    name: str
    file: str
    line: int
    kind: FunctionKind = FunctionKind.GLOBAL
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    handoff_line: int = 0

    @property
    def schema(self) -> dict[str, object]:
        """The tool schema that a language model is offered (agent-project.md §4.2)."""
        properties = {p.name: {"type": p.type, "description": p.description} for p in self.parameters}
        return {
            "name": self.name,
            "description": self.description,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": [p.name for p in self.parameters],
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What one Python file of the project uses; read from its syntax tree, never by running it.

    `imports` are (module, imported names, line) of imports from `functions` and `flows`; `foreign_imports` are the
    packages from elsewhere that the file cannot be imported without, as (package, line). `names` is None when
    the file's top-level names cannot be known (a star import from the project). `flows_entered` are the
    literal names given to `conv.goto_flow` or as a transition, `steps_entered` those of steps as (flow, step, line)
    with "" for the flow that the conversation is in; `leaves_flow` tells that somewhere it asks to leave the flow.
    `handoff_keys` are the literal keys under `text_chat`, `handoff_options` the keys of the objects under them as
    (key, option, line).
    """

    file: str
    kind: FunctionKind
    function: Function | None = None
    names: frozenset[str] | None = frozenset()
    imports: tuple[tuple[str, tuple[str, ...], int], ...] = ()
    foreign_imports: tuple[tuple[str, int], ...] = ()
    state_names: frozenset[str] = frozenset()
    flows_entered: tuple[tuple[str, int], ...] = ()
    steps_entered: tuple[tuple[str, str, int], ...] = ()
    leaves_flow: bool = False
    handoff_keys: tuple[tuple[str, int], ...] = ()
    handoff_options: tuple[tuple[str, str, int], ...] = ()
    texts: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A piece of knowledge with the actions that belong to it. `variant` is "" unless only that variant knows it."""

    name: str
    file: str
    line: int = 1
    enabled: bool = True
    content: Text = Text()
    actions: Text = Text()
    example_queries: tuple[str, ...] = ()
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The settings of one channel."""

    greeting: Text = Text()
    language: str = ""
    style: Text = Text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """An entry of `config/handoffs.yaml`."""

    name: str
    line: int
    description: str = ""
    is_default: bool = False
    method: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffRoute:
    """A row of `chat/handoff_routes.yaml`: where the handoff `destination` goes.

    `integration` is a handoff key such as "webex_integration", None for any; `connection` the name or id of a
    connection, "" for any. `options` are those of the handoff's integration.
    """

    destination: str
    line: int
    integration: str | None = None
    connection: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SafetyFilters:
    """The categories that are filtered on a channel, each with its level: lenient, medium or strict."""

    levels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseFilter:
    """What a model's answers are searched for (agent-project.md §2.22).

    The answer is cut before the phrase, after it when `say_phrase`; then the global function `function` runs, if any.
    `language` limits the filter to one, "" does not.
    """

    name: str
    line: int
    expressions: tuple[str, ...]
    say_phrase: bool = False
    language: str = ""
    function: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """Which of the platform's guardrails are off, and the project's own."""

    off: frozenset[str] = frozenset()
    custom: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """An entry of `config/entities.yaml`."""

    name: str
    line: int
    type: str
    description: str = ""
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsTemplate:
    """An entry of `config/sms_templates.yaml`; `numbers` by environment."""

    name: str
    text: Text
    numbers: Mapping[str, str] = field(default_factory=dict)


class StepType(StrEnum):
    """How a step works: by a prompt with functions, or by entities and conditions (agent-project.md §2.19)."""

    ADVANCED = "advanced_step"
    DEFAULT = "default_step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A way out of a default step. `child_step` names where it leads, empty when it leaves the flow."""

    name: str
    line: int
    description: str = ""
    child_step: Text = Text()
    required_entities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a flow that is written in YAML.

    `entities` and `conditions` count on default steps only. `model` holds what the step asks of a language model.
    """

    name: str
    file: str
    type: StepType
    prompt: Text
    line: int = 1
    entities: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    model: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A flow: its steps, its transition functions and its function steps.

    `broken_functions` says for the name of a transition function or function step why its file could not be read.
    """

    name: str
    folder: str
    file: str
    start_step: Text
    line: int = 1
    description: str = ""
    steps: tuple[Step, ...] = ()
    functions: Mapping[str, Function] = field(default_factory=dict)
    function_steps: Mapping[str, Function] = field(default_factory=dict)
    broken_functions: Mapping[str, Problem] = field(default_factory=dict)

    def find(self, name: str) -> Step | Function | None:
        """Give the step or function step called exactly `name`; None when there is none."""
        step = next((step for step in self.steps if step.name == name), None)
        return step or self.function_steps.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEnvironment:
    """Where an API is in one environment, and how it is authenticated; the credentials are never in the project."""

    base_url: str = ""
    auth_type: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOperation:
    """Something that `conv.api.<api>` can do. `resource` is a path with `{variables}`."""

    name: str
    line: int
    method: str
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """An entry of `config/api_integrations.yaml`; `environments` by name."""

    name: str
    line: int
    description: str = ""
    environments: Mapping[str, ApiEnvironment] = field(default_factory=dict)
    operations: tuple[ApiOperation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Everything that could be read of a project. What could not be read is in `problems`.

    `usable` is False when the folder is no project at all. `broken_functions` says for the name of a function
    why its file could not be read. `variants` maps a variant's name to its attributes as text, `attribute_kinds`
    an attribute's name to its kind where that is not string, `real_time_config` an environment to its values. A
    `persona` takes the place of `personality`, `role` and `additional_info` (agent-project.md §2.4).
    """

    root: Path
    usable: bool = True
    id: str = ""
    account_id: str = ""
    name: str = ""
    persona: Text = Text()
    personality: Text = Text()
    role: Text = Text()
    additional_info: Text = Text()
    rules: Text = Text()
    default_language: str = ""
    languages: tuple[str, ...] = ()
    topics: tuple[Topic, ...] = ()
    functions: Mapping[str, Function] = field(default_factory=dict)
    broken_functions: Mapping[str, Problem] = field(default_factory=dict)
    start_function: Function | None = None
    end_function: Function | None = None
    modules: tuple[Module, ...] = ()
    chat: Channel = Channel()
    voice: Channel = Channel()
    sms: Channel = Channel()
    phrases: Mapping[str, Text] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    default_variant: str | None = None
    attribute_kinds: Mapping[str, str] = field(default_factory=dict)
    handoffs: Mapping[str, Handoff] = field(default_factory=dict)
    handoff_routes: Mapping[str, HandoffRoute] = field(default_factory=dict)
    entities: Mapping[str, Entity] = field(default_factory=dict)
    sms_templates: Mapping[str, SmsTemplate] = field(default_factory=dict)
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    apis: Mapping[str, Api] = field(default_factory=dict)
    real_time_config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    flows: tuple[Flow, ...] = ()
    chat_safety: SafetyFilters = SafetyFilters()
    sms_safety: SafetyFilters = SafetyFilters()
    phrase_filters: tuple[PhraseFilter, ...] = ()
    guardrails: Guardrails = Guardrails()
    experimental: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def flow(self, name: str) -> Flow | None:
        """Give the flow whose name inside its file is exactly `name`; None when there is none."""
        return next((flow for flow in self.flows if flow.name == name), None)
