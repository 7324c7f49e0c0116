"""Migrations, versions, and URLs."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from support.postgres import PostgresServer
from support.stores import KEY, begin, check_log, opened
from warmline.domain.errors import ConfigError, StoreUnavailable
from warmline.store import migrate, open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds


def run_sql(url: str, server: PostgresServer | None, statement: str) -> str:
    """Change the database behind the store's back; gives the first row, columns split by "|"."""
    if server is not None:
        return server.sql(statement, url.rpartition("/")[2])
    with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
        row = db.execute(statement).fetchone()
    db.close()
    return "|".join(map(str, row or ()))


@pytest.fixture
def server(store_url: str, request: pytest.FixtureRequest) -> PostgresServer | None:
    """The server behind `store_url`, if there is one."""
    return None if store_url.startswith("sqlite") else request.getfixturevalue("postgres_server")


async def test_a_new_database_gets_the_newest_schema(store_url: str, server: PostgresServer | None) -> None:
    async with opened(store_url):
        pass
    dialect = "sqlite" if server is None else "postgres"
    newest = migrate.migrations(dialect)[-1]
    stored = run_sql(store_url, server, "SELECT version, compatible_from FROM schema_version")
    assert stored == f"{newest.version}|{newest.compatible_from}"


async def test_a_newer_compatible_schema_is_used(store_url: str, server: PostgresServer | None) -> None:
    async with opened(store_url) as store:
        await begin(store, "s")
    newest = migrate.migrations("sqlite")[-1].version
    run_sql(store_url, server, f"UPDATE schema_version SET version = 99, compatible_from = {newest}")
    run_sql(store_url, server, "ALTER TABLE sessions ADD COLUMN from_the_future text")
    async with opened(store_url) as store:
        await begin(store, "t")
        await check_log(store, "s")
    assert run_sql(store_url, server, "SELECT version FROM schema_version") == "99"


async def test_a_newer_incompatible_schema_is_refused(store_url: str, server: PostgresServer | None) -> None:
    async with opened(store_url):
        pass
    run_sql(store_url, server, "UPDATE schema_version SET version = 99, compatible_from = 98")
    with pytest.raises(ConfigError) as refused:
        async with opened(store_url):
            pass
    assert "schema 99, which needs a program of schema 98 or later" in str(refused.value)
    assert "Start the newer release" in str(refused.value)
    newest = migrate.migrations("sqlite")[-1].version
    run_sql(store_url, server, f"UPDATE schema_version SET version = {newest}, compatible_from = 1")
    async with opened(store_url) as store:
        await store.ping()


async def test_two_nodes_that_start_at_once_migrate_once(postgres_url: str) -> None:
    async def start() -> None:
        async with opened(postgres_url) as store:
            await store.ping()

    await asyncio.gather(*(start() for _ in range(4)))


def test_both_dialects_have_the_same_migrations() -> None:
    lite, full = migrate.migrations("sqlite"), migrate.migrations("postgres")
    assert [(m.version, m.compatible_from) for m in lite] == [(m.version, m.compatible_from) for m in full]
    assert [m.version for m in lite] == list(range(1, len(lite) + 1))
    assert all(m.compatible_from <= m.version for m in lite)


def test_a_schema_is_brought_up_step_by_step() -> None:
    newest = migrate.migrations("sqlite")[-1].version
    assert migrate.outstanding("sqlite", None) == migrate.migrations("sqlite")
    assert migrate.outstanding("sqlite", (newest, 1)) == ()


async def test_a_sqlite_file_has_one_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'w.db'}"
    async with opened(url):
        with pytest.raises(ConfigError, match="WARMLINE_DATABASE_URL: another process"):
            async with opened(url):
                pass
    async with opened(url) as store:
        await store.ping()


async def test_a_sqlite_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "w.db"
    async with opened(f"sqlite:///{path}") as store:
        await begin(store, "s")
        assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


async def test_a_relative_path_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened("sqlite:///data/w.db") as store:
        await begin(store, "s")
        await check_log(store, "s")
    assert (tmp_path / "data" / "w.db").exists()


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    path.write_bytes(b"this is a text file, not a database" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        async with opened(f"sqlite:///{path}"):
            pass
    assert path.read_bytes().startswith(b"this is a text file")
    with pytest.raises(ConfigError, match="cannot be created"):
        async with opened(f"sqlite:///{path}/below-a-file.db"):
            pass


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "sqlite:relative.db", "mysql://host/db", "w.db"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="WARMLINE_DATABASE_URL"):
        open_store(url, SystemIds(), AesSecretBox(KEY))


async def test_an_unknown_database_is_a_wrong_setting(postgres_server: PostgresServer) -> None:
    with pytest.raises(ConfigError, match="WARMLINE_DATABASE_URL"):
        async with opened(f"postgresql://postgres@127.0.0.1:{postgres_server.port}/nothing_here"):
            pass


async def test_an_absent_server_is_worth_another_try() -> None:
    with pytest.raises(StoreUnavailable):
        async with opened("postgresql://postgres@127.0.0.1:1/x"):
            pass
