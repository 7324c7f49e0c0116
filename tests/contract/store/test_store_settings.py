"""Connections and their secrets, connectors, settings."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from support.postgres import PostgresServer
from support.stores import KEY, begin, opened
from warmline.domain.errors import ConfigError, RuleViolation, StoreUnavailable
from warmline.ports import Connection, Connector, Store
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds

WEBEX = Connection(
    id="c1",
    provider="webex",
    name="Webex",
    project_id="lumen",
    values={"org_id": "o", "ünï": "☃"},
    secrets={"client_secret": "swordfish-in-the-clear", "refresh_token": "r1"},
    created_at=5,
)
CONNECTOR = Connector(
    id="1", token="demo", project_id="lumen", host="localhost", agent_name="Lumi", settings={"streaming": True}
)


async def test_connections_come_back_with_their_secrets(store: Store) -> None:
    assert await store.connections() == []
    other = replace(WEBEX, id="c0", secrets={}, created_at=9)
    await store.save_connection(other)
    await store.save_connection(WEBEX)
    assert await store.connections() == [WEBEX, other]


async def test_saving_a_connection_again_replaces_it(store: Store) -> None:
    await store.save_connection(WEBEX)
    changed = replace(WEBEX, name="New", secrets={"client_secret": "other"}, state="auth_failed", state_reason="401")
    await store.save_connection(changed)
    assert await store.connections() == [changed]


async def test_single_secrets_are_replaced(store: Store) -> None:
    await store.save_connection(WEBEX)
    await store.save_secrets("c1", {"refresh_token": "r2", "access_token": "a1"})
    (connection,) = await store.connections()
    assert connection.secrets == {**WEBEX.secrets, "refresh_token": "r2", "access_token": "a1"}
    assert connection.values == WEBEX.values


async def test_a_deleted_connection_takes_its_secrets_with_it(store: Store) -> None:
    await store.save_connection(WEBEX)
    await store.delete_connection("c1")
    assert await store.connections() == []
    await store.save_connection(replace(WEBEX, secrets={}))
    assert (await store.connections())[0].secrets == {}


async def test_secrets_are_not_readable_in_the_file(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/w.db") as store:
        await store.save_connection(WEBEX)
        await store.save_secrets("c1", {"refresh_token": "swordfish-the-second"})
        on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    on_disk += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"client_secret" in on_disk
    assert b"swordfish" not in on_disk


async def test_secrets_are_not_readable_in_the_tables(postgres_server: PostgresServer, postgres_url: str) -> None:
    async with opened(postgres_url) as store:
        await store.save_connection(WEBEX)
        await store.save_secrets("c1", {"refresh_token": "swordfish-the-second"})
    database = postgres_url.rpartition("/")[2]
    query = "SELECT name, sealed, encode(sealed, 'escape') FROM connection_secrets"
    on_disk = postgres_server.sql(query, database) + postgres_server.sql("SELECT * FROM connections", database)
    assert "client_secret" in on_disk
    assert "swordfish" not in on_disk


async def test_the_key_can_be_rotated(store_url: str) -> None:
    new_key = "another-key-of-enough-characters"
    async with opened(store_url) as store:
        await store.save_connection(WEBEX)
    async with opened(store_url, key=new_key) as store:
        with pytest.raises(ConfigError, match="WARMLINE_SECRET_KEY"):
            await store.connections()
    both = open_store(store_url, SystemIds(), AesSecretBox(new_key, [KEY]))
    await both.start()
    for connection in await both.connections():
        await both.save_connection(connection)
    await both.close()
    async with opened(store_url, key=new_key) as store:
        assert await store.connections() == [WEBEX]


async def test_connectors_come_back(store: Store) -> None:
    second = replace(CONNECTOR, id="2", token="second", settings={})
    await store.save_connector(second)
    await store.save_connector(CONNECTOR)
    assert await store.connectors() == [CONNECTOR, second]
    await store.save_connector(replace(CONNECTOR, host="example.com"))
    assert await store.connectors() == [replace(CONNECTOR, host="example.com"), second]


async def test_a_deleted_connector_is_gone(store: Store) -> None:
    await store.save_connector(CONNECTOR)
    await store.delete_connector("1")
    assert await store.connectors() == []


async def test_a_token_identifies_one_connector(store: Store) -> None:
    await store.save_connector(CONNECTOR)
    with pytest.raises(RuleViolation):
        await store.save_connector(replace(CONNECTOR, id="2"))
    assert await store.connectors() == [CONNECTOR]
    await begin(store, "s")


async def test_a_setting_is_made_once(store: Store) -> None:
    count = itertools.count()
    values = await asyncio.gather(*(store.setting("install", lambda: str(next(count))) for _ in range(20)))
    assert len(set(values)) == 1
    assert await store.setting("install", lambda: "other") == values[0]
    assert await store.setting("other", lambda: "other") == "other"


async def test_what_is_opened_for_reading_reads_beside_the_one_that_writes(store_url: str) -> None:
    async with opened(store_url) as store:
        await store.save_connection(WEBEX)
        await store.claim("node-a", 10_000, 1_000)
        async with opened(store_url, reading=True) as beside:
            assert await beside.connections() == [WEBEX]
            assert await beside.nodes(5_000) == ["node-a"]
            assert await beside.nodes(11_000) == []
            with pytest.raises(StoreUnavailable, match="for reading"):
                await beside.save_connection(replace(WEBEX, name="New"))
            with pytest.raises(StoreUnavailable, match="for reading"):
                await beside.disarm("timer")
        assert await store.connections() == [WEBEX]


async def test_reading_makes_no_schema(store_url: str) -> None:
    with pytest.raises(ConfigError, match="WARMLINE_DATABASE_URL"):
        async with opened(store_url, reading=True):
            pass
    async with opened(store_url) as store:
        assert await store.connections() == []
    async with opened(store_url, reading=True) as store:
        assert await store.connections() == []
