"""Conversations with small agent projects."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.agent_projects import Open, Talk, engine, write_project
from support.llm import LlmLab, llm_lab
from warmline.agent.models.access import LanguageModel


@pytest.fixture
async def talk_to(tmp_path: Path) -> AsyncIterator[Open]:
    """Open a conversation with a project made of the given files; engines are closed afterwards."""
    async with AsyncExitStack() as stack:

        def start(
            files: dict[str, str], root: Path = tmp_path, model: LanguageModel | None = None, **settings: Any
        ) -> Talk:
            running = engine(write_project(root, files), model=model)
            stack.push_async_callback(running.close)
            return Talk(running, **settings)

        yield start


@pytest.fixture
async def lab() -> AsyncIterator[LlmLab]:
    """Give an emulated language model."""
    async with llm_lab() as running:
        yield running
