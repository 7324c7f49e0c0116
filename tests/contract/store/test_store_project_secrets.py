"""Secrets of projects: sealed, given out by name only, replaced and deleted."""

import sqlite3

import pytest

from support.stores import opened
from warmline.domain.errors import ConfigError
from warmline.ports import Store
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds


async def test_a_secret_is_kept_replaced_and_deleted(store_url: str) -> None:
    async with opened(store_url) as store:
        await store.save_project_secret("p", "CRM", "first ü", 1)
        await store.save_project_secret("p", "CRM", "second", 2)
        await store.save_project_secret("q", "CRM", "other", 3)
        await store.save_project_secret("p", "BILLING", "b", 4)
    async with opened(store_url) as store:
        assert await store.project_secret("p", "CRM") == "second"
        assert await store.project_secret("q", "CRM") == "other"
        assert await store.project_secret("p", "crm") is None
        assert await store.project_secret_names("p") == {"BILLING": 4, "CRM": 2}
        await store.delete_project_secret("p", "CRM")
        await store.delete_project_secret("p", "CRM")
        assert await store.project_secret("p", "CRM") is None
        assert await store.project_secret_names("q") == {"CRM": 3}


async def test_a_secret_does_not_lie_in_the_database_in_the_clear(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "w.db"
    async with opened(f"sqlite:///{path}") as store:
        await store.save_project_secret("p", "CRM", "in the clear?", 1)
    with sqlite3.connect(path) as db:
        ((sealed,),) = db.execute("SELECT sealed FROM project_secrets").fetchall()
    db.close()
    assert b"clear" not in sealed
    other: Store = open_store(f"sqlite:///{path}", SystemIds(), AesSecretBox("another key of enough characters"))
    await other.start()
    try:
        with pytest.raises(ConfigError, match="another key"):
            await other.project_secret("p", "CRM")
    finally:
        await other.close()
