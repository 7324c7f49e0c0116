"""The virtual agent of a project, run by the command line itself: for `warmline chat` and `warmline test`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from warmline.agent import engine_for
from warmline.agent.models.access import LanguageModel, open_model
from warmline.agent.services.apis import HttpApis
from warmline.agent.services.secrets import ConfiguredSecrets
from warmline.agent.turn.engine import ProjectEngine
from warmline.agent.turn.services import Apis, Services
from warmline.config import load_functions, load_llm, load_retrieval
from warmline.domain.errors import ConfigError
from warmline.system import SystemClock


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAgent:
    """An engine that is ready, the name of its brain, and the model that is configured, if any."""

    engine: ProjectEngine
    brain: str
    model: LanguageModel | None = None


def require_project(folder: Path) -> None:
    """Raise ConfigError when `folder` holds no project."""
    if not (folder / "project.yaml").is_file():
        raise ConfigError(str(folder), "the folder has no project.yaml")


@asynccontextmanager
async def running_agent(
    project: Path, brain: str = "", *, apis: Apis | None = None, watch: bool = False
) -> AsyncIterator[RunningAgent]:
    """Run the project in the folder `project`, with the settings of the environment and warmline.toml.

    Args:
        project: holds `project.yaml`.
        brain: "topics" or "llm"; that of the environment when "".
        apis: answers for the project's APIs in the place of the real ones.
        watch: use changed files from the next turn on.

    Raises:
        ConfigError: there is no project, no such brain, or settings are missing.
    """
    require_project(project)
    name = brain or os.environ.get("WARMLINE_BRAIN", "") or "topics"
    endpoint = load_llm()
    functions, project_secrets = load_functions()
    secrets = ConfiguredSecrets(project_secrets)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        model = open_model(endpoint, http, SystemClock()) if endpoint is not None else None
        try:
            engine = engine_for(
                project,
                brain=name,
                watch=watch,
                settings=functions,
                services=Services(secrets=secrets, apis=apis or HttpApis(http, secrets)),
                model=model,
                retrieval=load_retrieval(),
            )
        except ValueError as error:
            raise ConfigError("--brain", str(error)) from None
        try:
            await engine.start()
            yield RunningAgent(engine=engine, brain=name, model=model)
        finally:
            await engine.close()
