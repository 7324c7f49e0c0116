"""Waiting for what has no word for itself."""

import asyncio
from collections.abc import Callable

from warmline.testing.messaging_client import PATIENCE_S


async def until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until `condition` holds, such as that a server has heard of what was done on a page.

    Raises:
        AssertionError: it does not within `timeout_s` seconds.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.005)
