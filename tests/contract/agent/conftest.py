"""Conversations with small agent projects."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.agent_projects import Open, Talk, engine, write_project


@pytest.fixture
async def talk_to(tmp_path: Path) -> AsyncIterator[Open]:
    """Open a conversation with a project made of the given files; engines are closed afterwards."""
    async with AsyncExitStack() as stack:

        def start(files: dict[str, str], root: Path = tmp_path, **settings: Any) -> Talk:
            running = engine(write_project(root, files))
            stack.push_async_callback(running.close)
            return Talk(running, **settings)

        yield start
