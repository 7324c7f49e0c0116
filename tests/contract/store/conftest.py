"""The store under test: each test runs on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from support.stores import opened
from warmline.ports import Store


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A started store on a fresh database."""
    async with opened(store_url) as store:
        yield store
