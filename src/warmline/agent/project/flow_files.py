"""Reads the YAML files of a flow (agent-project.md §2.18 to §2.20)."""

from collections.abc import Iterator

from warmline.agent.project.known_keys import FLOW, STEP, check_keys
from warmline.agent.project.model import Condition, Flow, Step, StepType, Text
from warmline.agent.project.yaml_files import Fields, Problems


def read_flow(fields: Fields, folder: str, problems: Problems) -> Flow:
    """Read a `flow_config.yaml`; the steps and functions of the flow are in other files.

    Args:
        fields: what the file holds.
        folder: the name of the flow's folder, which is its name when the file gives none.
        problems: receives what is wrong.
    """
    check_keys(fields, FLOW, problems)
    return Flow(
        name=fields.text("name", required=True).value or folder,
        folder=folder,
        file=fields.file,
        line=fields.line("name"),
        description=fields.text("description").value,
        start_step=fields.text("start_step", required=True),
    )


def read_step(fields: Fields, problems: Problems) -> Step:
    """Read a step's file, which is the step's name when it gives none."""
    check_keys(fields, STEP, problems)
    kind = fields.text("step_type", required=True)
    if kind and kind.value not in tuple(StepType):
        problems.error(
            "step-type",
            f"`{kind.value}` is not a type of step; it is taken as {StepType.ADVANCED}.",
            fields.file,
            kind.line,
            f"Use {' or '.join(StepType)}.",
        )
    return Step(
        name=fields.text("name").value or fields.file.rpartition("/")[2].rpartition(".")[0],
        file=fields.file,
        line=fields.line("name"),
        type=StepType.DEFAULT if kind.value == StepType.DEFAULT else StepType.ADVANCED,
        prompt=fields.text("prompt", required=True),
        entities=fields.texts("extracted_entities"),
        conditions=tuple(_conditions(fields, problems)),
        model=fields.child("llm").values,
    )


def _conditions(fields: Fields, problems: Problems) -> Iterator[Condition]:
    for condition in fields.children("conditions"):
        kind = condition.text("condition_type", required=True)
        leaves = kind.value == "exit_flow_condition"
        if kind and not leaves and kind.value != "step_condition":
            problems.error(
                "condition-type",
                f"`{kind.value}` is not a type of condition.",
                fields.file,
                kind.line,
                "Use step_condition or exit_flow_condition.",
            )
        yield Condition(
            name=condition.text("name", required=True).value,
            line=condition.line("name"),
            description=condition.text("description").value,
            child_step=Text() if leaves else condition.text("child_step", required=True),
            required_entities=condition.texts("required_entities"),
        )
