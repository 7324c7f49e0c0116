"""Reads `experimental_config.json` (agent-project.md §10). Unknown keys and wrong types never stop anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from warmline.agent.project.model import Project

USUAL_THRESHOLD = 0.4
"""The distance up to which a topic counts unless the project says otherwise."""


def section(config: object, *path: str) -> Mapping[str, object]:
    """Give the object at `path`; an empty one when there is none."""
    for key in path:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def number(config: Mapping[str, object], key: str, default: float) -> float:
    """Give the number under `key`; `default` when there is none."""
    value = config.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def texts(value: object) -> tuple[str, ...]:
    """Give the texts of a list; none when it is no list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def for_channel(by_channel: Mapping[str, object], channel: str) -> object:
    """Give the entry for a channel; `sms.polyai` also means `sms.twilio` (agent-project.md §10). None without one."""
    if channel in by_channel:
        return by_channel[channel]
    kind = channel.partition(".")[0].lower()
    return next((value for key, value in by_channel.items() if key.partition(".")[0].lower() == kind), None)


def topic_functions_in_flow(project: Project, flow: str, step: str) -> bool:
    """Tell whether what a topic's actions name may be called inside a flow's step (agent-project.md §8.2.5)."""
    llm = section(project.experimental, "llm")
    overrides = section(llm, "flow_overrides", flow)
    allowed = False
    for layer in (llm, overrides, section(overrides, "steps", step)):
        value = layer.get("include_kb_functions_in_flows")
        allowed = value if isinstance(value, bool) else allowed
    return allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings:
    """How topics are found.

    `threshold` and `in_flow_threshold` are the largest distances of a topic that counts, outside and inside flows;
    `top_k` is how many topics count at most. `history_len` is for how many turns a topic stays in a prompt,
    `previous_inputs` how many earlier messages are looked at too, None where the project does not say.
    """

    threshold: float = USUAL_THRESHOLD
    in_flow_threshold: float = 0.35
    top_k: int = 5
    history_len: int = 7
    previous_inputs: int | None = None
    qa_threshold: float = 0.33
    qa_exclusions: frozenset[str] = frozenset()


def retrieval_settings(project: Project) -> RetrievalSettings:
    """Read the settings of a project; what it does not set is as usual."""
    own, usual = section(project.experimental, "ragdoll"), RetrievalSettings()
    threshold = number(own, "threshold", usual.threshold)
    previous = number(own, "previous_user_inputs_len", -1)
    return RetrievalSettings(
        threshold=threshold,
        # A project that is strict outside flows is not meant to be laxer inside, unless it says so.
        in_flow_threshold=number(own, "in_flow_threshold", min(usual.in_flow_threshold, threshold)),
        top_k=max(0, int(number(own, "top_k", usual.top_k))),
        history_len=max(0, int(number(own, "history_len", usual.history_len))),
        previous_inputs=int(previous) if previous >= 0 else None,
        qa_threshold=number(own, "qa_metric_threshold", usual.qa_threshold),
        qa_exclusions=frozenset(texts(own.get("qa_metric_exclusions"))),
    )
