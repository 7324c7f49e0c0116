"""The emulator in its usual state for these checks: connected, relaxed, no delays."""

from collections.abc import AsyncIterator

import pytest_asyncio

from support.webex_lab import Lab, webex_lab


@pytest_asyncio.fixture
async def lab() -> AsyncIterator[Lab]:
    """An emulator with token, asset webhook and subscriptions."""
    async with webex_lab() as running:
        yield running
