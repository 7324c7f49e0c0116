"""The virtual agent: loads agent projects and runs their turns."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmline.agent.models.access import LanguageModel
    from warmline.agent.turn.engine import ProjectEngine
    from warmline.agent.turn.limits import PoolSettings
    from warmline.agent.turn.services import Services


def engine_for(
    project_dir: Path,
    *,
    brain: str = "topics",
    watch: bool = False,
    settings: "PoolSettings | None" = None,
    services: "Services | None" = None,
    model: "LanguageModel | None" = None,
    retrieval: str = "lexical",
) -> "ProjectEngine":
    """Make the engine that runs the project in `project_dir`; `await engine.start()` warms it.

    Args:
        project_dir: the folder that holds `project.yaml`.
        brain: `topics` or `llm`.
        watch: use changed files from the next turn on (development, demo).
        settings: limits of functions and the number of workers.
        services: what functions may ask of the server.
        model: the language model of the `llm` brain and, unless `services` has another, of `conv.utils.prompt_llm`.
        retrieval: how topics are found: "lexical" by words and letters, "semantic" by what sentences mean, too.

    Raises:
        ValueError: there is no such brain, or it needs a language model and there is none.
    """
    # Not at the top: function workers import this package and must stay small and quick to start.
    from warmline.agent.brains import build_brain, check_brain
    from warmline.agent.models.prompting import PromptedModel
    from warmline.agent.turn.engine import ProjectEngine
    from warmline.agent.turn.services import Services

    check_brain(brain, model)
    services = services or Services()
    if model is not None and services.model is None:
        services = replace(services, model=PromptedModel(model.port, model.endpoint))
    build = partial(build_brain, brain, model, retrieval)
    return ProjectEngine(project_dir, build, settings=settings, services=services, watch=watch)
