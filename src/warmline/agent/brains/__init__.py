"""The brains that can run an agent project, by name."""

from warmline.agent.project.model import Project
from warmline.agent.turn.brain import Brain


def build_brain(name: str, project: Project) -> Brain:
    """Make the brain called `name` for a version of a project. May compute for a while.

    Raises:
        ValueError: there is no such brain.
    """
    from warmline.agent.brains.topics.brain import TopicsBrain

    if name == "topics":
        return TopicsBrain(project)
    raise ValueError(f"there is no brain called {name!r}; use 'topics'")
