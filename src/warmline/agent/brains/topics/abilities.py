"""What of a project the `topics` brain cannot do, so that its author learns it before a customer does."""

from collections.abc import Iterator

from warmline.agent.brains.topics.actions import read_actions
from warmline.agent.project.model import Problem, Project, Severity


def needs_model(project: Project) -> Iterator[Problem]:
    """Give the topics of `project` that need a language model, wholly or in part."""
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
