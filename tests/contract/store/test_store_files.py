"""Files in the store, on SQLite and on PostgreSQL (webex-byoc.md §13.1)."""

import os
from dataclasses import replace

import pytest

from support.stores import opened
from warmline.domain.errors import RuleViolation
from warmline.ports import MAX_FILE_BYTES, Store, StoredFile

FILE = StoredFile(
    id="f-1",
    session_id="s-1",
    name="Rechnung März.pdf",
    mime_type="application/pdf",
    content=b"%PDF-1.7 \x00\xff" + os.urandom(100_000),
    created_at=1_000,
    expires_at=5_000,
)


async def test_a_file_is_as_it_was_saved_also_after_a_restart(store_url: str) -> None:
    async with opened(store_url) as store:
        await store.save_file(FILE)
    async with opened(store_url) as store:
        assert await store.file("f-1") == FILE


async def test_an_unknown_file_is_none(store: Store) -> None:
    assert await store.file("f-2") is None


async def test_only_files_whose_time_has_come_are_forgotten(store: Store) -> None:
    await store.save_file(FILE)
    await store.save_file(replace(FILE, id="f-2", expires_at=5_001))
    assert await store.forget_files(expired_by=5_000) == 1
    assert await store.file("f-1") is None
    assert await store.file("f-2") == replace(FILE, id="f-2", expires_at=5_001)


async def test_the_largest_file_fits_and_a_larger_one_is_refused(store: Store) -> None:
    largest = replace(FILE, content=bytes(MAX_FILE_BYTES))
    await store.save_file(largest)
    assert await store.file("f-1") == largest
    with pytest.raises(RuleViolation, match="10485760"):
        await store.save_file(replace(FILE, id="f-2", content=bytes(MAX_FILE_BYTES + 1)))
