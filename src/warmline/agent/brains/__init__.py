"""The brains that can run an agent project, by name."""

from typing import TYPE_CHECKING

from warmline.agent.project.model import Project
from warmline.agent.turn.brain import Brain

if TYPE_CHECKING:
    from warmline.agent.models.access import LanguageModel

BRAINS = ("topics", "llm")
"""The names of all brains, the default first."""


def check_brain(name: str, model: "LanguageModel | None") -> None:
    """See whether a brain can be built.

    Raises:
        ValueError: there is no such brain, or it needs a language model and there is none.
    """
    if name not in BRAINS:
        raise ValueError(f"there is no brain called {name!r}; use {' or '.join(map(repr, BRAINS))}")
    if name == "llm" and model is None:
        raise ValueError("the brain 'llm' needs a language model; set WARMLINE_LLM_BASE_URL and WARMLINE_LLM_MODEL")


def build_brain(name: str, model: "LanguageModel | None", retrieval: str, project: Project) -> Brain:
    """Make the brain called `name` for a version of a project. May compute for a while.

    Raises:
        ValueError: see `check_brain`.
        ConfigError: `retrieval` is "semantic" and that extra is not installed.
    """
    from warmline.agent.brains.topics.brain import TopicsBrain
    from warmline.agent.brains.topics.meaning import load_encoder
    from warmline.agent.safety.brain import SafeBrain
    from warmline.agent.safety.rules import RuleFilter

    check_brain(name, model)
    encoder = load_encoder() if retrieval == "semantic" else None
    judge = model.safety if model is not None else RuleFilter()
    if name == "llm" and model is not None:
        from warmline.agent.brains.llm.brain import LlmBrain

        return SafeBrain(project, LlmBrain(project, model.port, model.endpoint, model.clock, encoder), judge)
    brain = TopicsBrain(project, encoder)
    # Nothing can be injected where no model listens.
    filtered = project.chat_safety.levels or project.sms_safety.levels
    return SafeBrain(project, brain, judge) if filtered else brain
