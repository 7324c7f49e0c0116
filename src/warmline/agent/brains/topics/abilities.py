"""What of a project the `topics` brain cannot do, so that its author learns it before a customer does."""

from collections.abc import Iterator

from warmline.agent.brains.topics.actions import read_actions
from warmline.agent.project.model import Problem, Project, Severity, Step, StepType


def needs_model(project: Project) -> Iterator[Problem]:
    """Give the topics and the flows' steps of `project` that need a language model, wholly or in part."""
    for flow in project.flows:
        for step in flow.steps:
            if step.type is StepType.ADVANCED:
                yield from _advanced_step(step)
    for topic in project.topics:
        if not topic.enabled:
            continue
        plan = read_actions(topic.actions.value)
        for sentence in plan.needs_model:
            before = topic.actions.value.partition(sentence)[0]
            yield Problem(
                rule="needs-model",
                text=f"The `topics` brain cannot follow: “{sentence}”",
                remedy="Without a language model this is left out. Write “Call …” or “If the customer agrees, call …”.",
                file=topic.file,
                line=topic.actions.line + before.count("\n"),
                severity=Severity.WARNING,
            )
        if topic.actions and not topic.content and not (plan.at_once or plan.ask or plan.needs_model):
            yield Problem(
                rule="needs-model",
                text=f"The `topics` brain has nothing to say about `{topic.name}`.",
                remedy="Give it content, or an action that calls a function.",
                file=topic.file,
                line=topic.line,
                severity=Severity.WARNING,
            )


def _advanced_step(step: Step) -> Iterator[Problem]:
    """Tell what of a prompt the brain cannot follow; branches of one kind it tells apart by their words."""
    plan = read_actions(step.prompt.value)
    if plan.empty:
        yield Problem(
            rule="needs-model",
            text=f"The `topics` brain finds nothing to do in the prompt of the step `{step.name}`.",
            remedy="Without a language model a human is offered. Quote what to say, or write “Call {{ft:…}}”.",
            file=step.file,
            line=step.prompt.line,
            severity=Severity.WARNING,
        )
    if len(plan.branches) != 1:
        return
    for sentence in plan.needs_model:
        yield Problem(
            rule="needs-model",
            text=f"The `topics` brain cannot tell when this is so: “{sentence}”",
            remedy="Without a language model it waits for those words. Write “If the customer agrees, call …”.",
            file=step.file,
            line=step.prompt.line + step.prompt.value.partition(sentence)[0].count("\n"),
            severity=Severity.WARNING,
        )
