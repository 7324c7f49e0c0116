"""The virtual agent: loads agent projects and runs their turns."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmline.agent.turn.engine import ProjectEngine
    from warmline.agent.turn.pool import PoolSettings
    from warmline.agent.turn.services import Services


def engine_for(
    project_dir: Path,
    *,
    brain: str = "topics",
    watch: bool = False,
    settings: "PoolSettings | None" = None,
    services: "Services | None" = None,
) -> "ProjectEngine":
    """Make the engine that runs the project in `project_dir`; `await engine.start()` warms it.

    Args:
        project_dir: the folder that holds `project.yaml`.
        brain: `topics`.
        watch: use changed files from the next turn on (development, demo).
        settings: limits of functions and the number of workers.
        services: what functions may ask of the server.

    Raises:
        ValueError: there is no such brain.
    """
    # Not at the top: function workers import this package and must stay small and quick to start.
    from warmline.agent.brains import build_brain
    from warmline.agent.turn.engine import ProjectEngine

    if brain != "topics":
        raise ValueError(f"there is no brain called {brain!r}; use 'topics'")
    return ProjectEngine(project_dir, partial(build_brain, brain), settings=settings, services=services, watch=watch)
