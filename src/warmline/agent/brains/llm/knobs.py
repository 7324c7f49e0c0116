"""The settings of `experimental_config.json` that concern the brain (agent-project.md §10)."""

from collections.abc import Iterator, Mapping

from warmline.agent.project.experimental import for_channel, section
from warmline.agent.project.model import Project
from warmline.agent.turn.brain import Situation

_PARAMETERS = ("max_tokens", "temperature", "top_p", "verbosity", "reasoning_effort")
_LEFT_TO_THE_MODEL = ("auto", "unspecified", "")


def prompt(project: Project, key: str, default: str) -> str:
    """Give the project's own text for `key`, or Warmline's."""
    value = section(project.experimental, "prompts").get(key)
    return value if isinstance(value, str) else default


def model_layers(situation: Situation) -> Iterator[Mapping[str, object]]:
    """Give the settings of the model from the widest to the narrowest: project, channel, variant, flow, step."""
    llm = section(situation.project.experimental, "llm")
    yield llm
    yield section(for_channel(section(llm, "channel_overrides"), situation.channel))
    yield section(llm, "variant_overrides", situation.variant or "")
    position = situation.position
    if position is not None:
        flow = section(llm, "flow_overrides", position.flow.name)
        yield flow
        yield section(flow, "steps", position.step.name)
        model = getattr(position.step, "model", {})
        yield {**model, "inference_parameters": model}


def model_name(situation: Situation) -> str:
    """Give the name of the model that the project asks for here; "" when it leaves it open."""
    wanted = ""
    for layer in model_layers(situation):
        name = layer.get("provider_model_id")
        wanted = name if isinstance(name, str) and name else wanted
    return wanted


def model_settings(situation: Situation) -> dict[str, object]:
    """Give the inference parameters that the project asks for here."""
    found: dict[str, object] = {}
    for layer in model_layers(situation):
        given = section(layer, "inference_parameters")
        found.update({key: given[key] for key in _PARAMETERS if given.get(key) is not None})
    return {key: value for key, value in found.items() if value not in _LEFT_TO_THE_MODEL}
