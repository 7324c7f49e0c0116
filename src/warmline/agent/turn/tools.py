"""What may be called at a moment of a conversation, as tools for a language model (agent-project.md §8.2.5)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from warmline.agent.project.model import Condition, Entity, Function, Project, Step
from warmline.agent.project.names import clean_name
from warmline.agent.project.references import ALIASES, REFERENCE
from warmline.agent.turn.brain import Position

HANDOFF_TOOL = "builtin_handoff"
"""The name that the format gives to the handoff tool (agent-project.md §3.2)."""
SMS_TOOL = "builtin_sms"
ENTITIES_TOOL = "save_entities"
_LONGEST_NAME = 64


class ToolKind(StrEnum):
    """What calling a tool does."""

    FUNCTION = "function"
    TRANSITION = "transition"
    HANDOFF = "handoff"
    SMS = "sms"
    ENTITIES = "entities"
    CONDITION = "condition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something that may be called.

    `schema` has the keys name, description and parameters (a JSON schema). `function` is what a FUNCTION or
    TRANSITION tool runs, `condition` the name that a CONDITION tool takes.
    """

    name: str
    kind: ToolKind
    schema: Mapping[str, object]
    function: Function | None = None
    condition: str = ""


def visible(project: Project, position: Position | None, texts: Iterable[str]) -> tuple[Tool, ...]:
    """Give what may be called while `texts` are in the prompt, in the order of their mention.

    Args:
        project: where the functions are.
        position: where the conversation is. At a default step only its entities and conditions may be used
            (agent-project.md §8.5).
        texts: what the model reads, values filled in but references kept, as `Situation.fill_in` gives them.
            Which texts count (rules, actions of topics, step prompt, pending content) is for the caller to say.
    """
    if position is not None and position.collects and isinstance(position.step, Step):
        return tuple(_default_step(project, position.step))
    mentioned = [(ALIASES.get(m[1], m[1]), m[2].strip()) for text in texts for m in REFERENCE.finditer(text)]
    tools: dict[str, Tool] = {}
    if handoffs := [name for kind, name in dict.fromkeys(mentioned) if kind == "ho"]:
        tools[HANDOFF_TOOL] = _handoff(project, handoffs)
    own = position.flow.functions if position is not None else {}
    transitions = {name for kind, name in mentioned if kind == "ft" and name in own}
    for kind, name in dict.fromkeys(mentioned):
        if kind == "ft" and name in own:
            tools[name] = Tool(name=name, kind=ToolKind.TRANSITION, schema=own[name].schema, function=own[name])
        elif kind == "fn" and name in project.functions:
            tool = _global(project.functions[name], shadowed=name in transitions)
            tools[tool.name] = tool
    if templates := [name for kind, name in dict.fromkeys(mentioned) if kind == "twilio_sms"]:
        tools[SMS_TOOL] = _sms(templates)
    return tuple(tools.values())


def find_function(project: Project, position: Position | None, name: str) -> Function | None:
    """Give the function that a call of `name` means: one of the current flow before a global one."""
    own = position.flow.functions.get(name) if position is not None else None
    return own or project.functions.get(name) or project.functions.get(name.removeprefix(_GLOBAL))


_GLOBAL = "global_"


def _global(function: Function, *, shadowed: bool) -> Tool:
    """Give the tool of a global function; a transition function of the same name keeps it (agent-project.md §4.2)."""
    name = f"{_GLOBAL}{function.name}" if shadowed else function.name
    return Tool(name=name, kind=ToolKind.FUNCTION, schema={**function.schema, "name": name}, function=function)


def _handoff(project: Project, names: list[str]) -> Tool:
    described = [f"{name}: {project.handoffs[name].description}" for name in names if name in project.handoffs]
    properties = {
        "handoff_destination": {
            "type": "string",
            "enum": names,
            "description": "Where to. " + " ".join(described),
        },
        "reason": {"type": "string", "description": "Why the customer needs a person. N/A if none."},
        "utterance": {"type": "string", "description": "What to say to the customer before. N/A if none."},
    }
    return _tool(HANDOFF_TOOL, ToolKind.HANDOFF, "Hand the conversation over to a person.", properties)


def _sms(names: list[str]) -> Tool:
    properties = {
        "template": {"type": "string", "enum": names, "description": "Which text message."},
        "to_number": {"type": "string", "description": "The number to send it to. N/A for the customer's own."},
    }
    return _tool(SMS_TOOL, ToolKind.SMS, "Send a text message to the customer's phone.", properties)


def _default_step(project: Project, step: Step) -> Iterator[Tool]:
    entities = [project.entities[name] for name in step.entities if name in project.entities]
    if entities:
        properties = {entity.name: _entity_schema(entity) for entity in entities}
        description = "Keep what the customer has said. Leave out what the customer has not said."
        yield _tool(ENTITIES_TOOL, ToolKind.ENTITIES, description, properties, required=())
    for condition in step.conditions:
        yield _condition(condition)


def _entity_schema(entity: Entity) -> Mapping[str, object]:
    options = entity.config.get("options")
    form = {"numeric": "A number in digits.", "date": "A date as YYYY-MM-DD.", "time": "A time as HH:MM."}
    description = f"{entity.description} {form.get(entity.type, '')}".strip()
    schema: dict[str, object] = {"type": "string", "description": description}
    if entity.type == "enum" and isinstance(options, list):
        schema["enum"] = [str(option) for option in options]
    return schema


def _condition(condition: Condition) -> Tool:
    needs = ", ".join(condition.required_entities)
    description = f"{condition.name}: {condition.description}".rstrip(": ")
    if needs:
        description += f" Only once these are known: {needs}."
    name = f"condition_{clean_name(condition.name)}"[:_LONGEST_NAME]
    return Tool(
        name=name,
        kind=ToolKind.CONDITION,
        schema=_schema(name, description, {}, ()),
        condition=condition.name,
    )


def _tool(
    name: str,
    kind: ToolKind,
    description: str,
    properties: Mapping[str, object],
    required: Iterable[str] | None = None,
) -> Tool:
    needed = properties if required is None else required
    return Tool(name=name, kind=kind, schema=_schema(name, description, properties, needed))


def _schema(
    name: str, description: str, properties: Mapping[str, object], required: Iterable[str]
) -> dict[str, object]:
    parameters = {"type": "object", "properties": dict(properties), "required": list(required)}
    return {"name": name, "description": description, "parameters": parameters}
