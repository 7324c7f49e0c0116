"""The registry: providers found by folder, one running object per connection."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from support.scripted_http import Reply, ScriptedServer
from support.stores import opened
from warmline.bus.memory import MemoryBus
from warmline.domain.errors import ConfigError
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.registry import KNOWN_PROVIDERS, NoConnection, Registry, provider_key
from warmline.ports import Poke, Signal, Store, Wake
from warmline.system import SystemClock, SystemIds
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import connection_to


def registry_of(store: Store, http: aiohttp.ClientSession) -> Registry:
    return Registry(
        store, http, SystemClock(), SystemIds(), public_url="http://localhost/", install_secret=b"i", relaxed=True
    )


@pytest.fixture
async def running(store: Store, http: aiohttp.ClientSession):
    registry = registry_of(store, http)
    yield registry
    await registry.stop()


def test_all_seven_stems_are_handoff_keys_and_nothing_else_is() -> None:
    assert [provider_key(f"{stem}_integration") for stem in KNOWN_PROVIDERS] == list(KNOWN_PROVIDERS)
    assert len(KNOWN_PROVIDERS) == 7
    assert [provider_key(key) for key in ("webex", "intercom_integration", "_integration", "")] == [None] * 4


def test_webex_is_found_by_its_folder(store: Store, running: Registry) -> None:
    assert running.manifests["webex"].title == "Webex Messaging"
    assert set(running.manifests) <= set(KNOWN_PROVIDERS)


async def test_stored_connections_are_started_and_found(
    store: Store, running: Registry, scripted: ScriptedServer
) -> None:
    connection = connection_to(scripted.url)
    await store.save_connection(connection)
    await running.start()
    provider = running.get("connection")
    assert provider is not None
    assert provider.ready() is None
    assert running.find("lumen", "webex_integration").id == "connection"
    assert running.get("another") is None
    assert running.connection("another") is None


@pytest.mark.parametrize(
    ("project", "key", "name", "code"),
    [
        ("lumen", "intercom_integration", "", "unknown_integration"),
        ("lumen", "genesys_integration", "", "not_available"),
        ("another", "webex_integration", "", "not_connected"),
        ("lumen", "webex_integration", "Nordic", "not_connected"),
    ],
)
async def test_why_there_is_no_connection_is_told(
    store: Store, running: Registry, scripted: ScriptedServer, project: str, key: str, name: str, code: str
) -> None:
    await store.save_connection(connection_to(scripted.url))
    await running.start()
    with pytest.raises(NoConnection) as caught:
        running.find(project, key, name=name)
    assert caught.value.code == code
    assert str(caught.value) != code


async def test_of_several_the_named_one_else_the_oldest_healthy_one(
    store: Store, running: Registry, scripted: ScriptedServer
) -> None:
    base = connection_to(scripted.url)
    for connection_id, name, created, state in [
        ("a", "Oldest", 1, "auth_failed"),
        ("b", "Nordic", 3, "connected"),
        ("c", "South", 2, "connected"),
    ]:
        refused = {"refresh_token": "refused", "access_token": ""} if state == "auth_failed" else {}
        connection = replace(base, id=connection_id, name=name, created_at=created, state=state)
        await store.save_connection(replace(connection, secrets={**base.secrets, **refused}))
    scripted.always(
        "POST /v1/access_token", lambda asked: Reply(status=400) if b"refused" in asked.body else Reply(status=503)
    )
    await running.start()
    assert running.find("lumen", "webex_integration").id == "c"
    assert running.find("lumen", "webex_integration", name="Nordic").id == "b"
    assert running.find("lumen", "webex_integration", name="a").id == "a"


async def test_one_broken_connection_holds_up_no_other(
    store: Store, running: Registry, scripted: ScriptedServer
) -> None:
    good = connection_to(scripted.url)
    await store.save_connection(good)
    await store.save_connection(replace(good, id="broken", values={"region": "custom"}))
    await store.save_connection(replace(good, id="unknown", provider="intercom"))
    await running.start()
    assert running.get("connection") is not None
    assert running.get("broken") is None
    assert running.get("unknown") is None


async def test_a_change_of_state_is_stored_told_and_never_takes_newer_secrets_back(
    store: Store, running: Registry, scripted: ScriptedServer
) -> None:
    told: list[tuple[str, str]] = []
    running.watch(lambda connection: told.append((connection.id, connection.state)))
    await store.save_connection(connection_to(scripted.url))
    await running.start()
    environment = running.environment("connection")
    await environment.save_secrets({"refresh_token": "rotated"})
    await environment.set_state("auth_failed", "mend it")
    await environment.set_state("auth_failed", "mend it")
    (stored,) = await store.connections()
    assert (stored.state, stored.state_reason, stored.secrets["refresh_token"]) == ("auth_failed", "mend it", "rotated")
    assert running.connection("connection") == stored
    assert told == [("connection", "connected"), ("connection", "auth_failed")]


async def test_reload_takes_what_is_stored_and_forgets_what_is_not(
    store: Store, running: Registry, scripted: ScriptedServer
) -> None:
    connection = connection_to(scripted.url)
    await store.save_connection(connection)
    await running.start()
    before = running.get("connection")
    await store.save_connection(replace(connection, name="Renamed"))
    after = await running.reload("connection")
    assert after is running.get("connection") is not before
    stored = running.connection("connection")
    assert stored is not None
    assert stored.name == "Renamed"
    await store.delete_connection("connection")
    assert await running.reload("connection") is None
    assert running.get("connection") is None


async def test_A77_disconnect_removes_registrations_and_secrets(
    store: Store, running: Registry, scripted: ScriptedServer
) -> None:
    await store.save_connection(connection_to(scripted.url))
    await running.start()
    listed = [{"id": "1", "name": "warmline-connection-task"}, {"id": "2", "name": "foreign"}]
    scripted.always("GET /v2/subscriptions", Reply(body={"data": listed}))
    await running.remove("connection")
    assert [asked.path for asked in scripted.asked if asked.method == "DELETE"] == ["/v2/subscriptions/1"]
    assert await store.connections() == []
    assert running.get("connection") is None


async def test_A77_disconnect_works_while_webex_does_not(
    store: Store, running: Registry, scripted: ScriptedServer
) -> None:
    await store.save_connection(connection_to(scripted.url))
    await running.start()
    scripted.always("GET /v2/subscriptions", Reply(status=503))
    await running.remove("connection")
    assert await store.connections() == []


async def test_a_restart_finds_the_tokens_of_before(tmp_path: Path, http: aiohttp.ClientSession, scripted) -> None:
    url = f"sqlite:///{tmp_path}/restart.db"
    async with opened(url) as store:
        await store.save_connection(connection_to(scripted.url, {"access_token": "", "access_renew_at": ""}))
        first = registry_of(store, http)
        await first.start()
        await first.stop()
    async with opened(url) as store:
        second = registry_of(store, http)
        await second.start()
        provider = second.get("connection")
        assert provider is not None
        assert provider.ready() is None
        await second.stop()
    assert len(scripted.requests("POST /v1/access_token")) == 1


def test_a_value_that_cannot_be_read_is_named() -> None:
    for key, value in {"policy.max_chars": "many", "global_variables": "{", "org_id": ""}.items():
        with pytest.raises(ConfigError, match=key):
            WebexConfig.read({**connection_to("http://webex").values, key: value})


class Neighbour(MemoryBus):
    """Hands what is sent here to those who watch at `other`, as a bus between nodes does."""

    def __init__(self) -> None:
        super().__init__()
        self.other = self
        self.watchers: list[Callable[[Poke | Wake], None]] = []

    def send(self, signal: Signal) -> None:
        super().send(signal)
        if isinstance(signal, Wake):
            for watcher in self.other.watchers:
                watcher(signal)

    def watch(self, sink: Callable[[Poke | Wake], None]) -> Callable[[], None]:
        self.watchers.append(sink)
        return partial(self.watchers.remove, sink)


async def test_other_nodes_take_over_what_is_done_to_a_connection(
    store: Store, running: Registry, http: aiohttp.ClientSession, scripted: ScriptedServer
) -> None:
    here, there = Neighbour(), Neighbour()
    here.other, there.other = there, here
    distant = registry_of(store, http)
    for registry, bus in ((running, here), (distant, there)):
        await registry.start()
        registry.follow(bus)

    async def until(reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if reached():
                    return
                await asyncio.sleep(0.01)

    made = connection_to(scripted.url)
    await store.save_connection(made)
    await running.reload("connection")
    await until(lambda: distant.get("connection") is not None)

    # A provider there renewed a secret; the state that is noted here must not bring the old one back.
    await store.save_secrets("connection", {"refresh_token": "renewed"})
    await running.set_state("connection", "auth_failed", "refused")
    await until(lambda: (found := distant.connection("connection")) is not None and found.state == "auth_failed")
    assert [stored.secrets["refresh_token"] for stored in await store.connections()] == ["renewed"]

    before = distant.get("connection")
    await store.save_secrets("connection", {"client_secret": "another"})
    await running.reload("connection")
    await until(lambda: distant.get("connection") is not before)

    await running.remove("connection")
    await until(lambda: distant.get("connection") is None)
    await distant.stop()
