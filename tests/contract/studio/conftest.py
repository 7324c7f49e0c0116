"""Who looks at the Studio in these tests, unless they say otherwise."""

from collections.abc import AsyncIterator

import pytest_asyncio

from support.studio import Visit
from warmline.app import Server


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server) -> AsyncIterator[Visit]:
    """The editor, signed in at the module's server."""
    async with Visit(server) as visitor:
        await visitor.sign_in("editor@example.org")
        yield visitor
