"""The webhooks that Warmline registers (webex-byoc.md §10.1)."""

import asyncio
from typing import Any

import pytest

from support.scripted_http import Reply, ScriptedServer
from warmline.emulators.webex import RunningSim
from warmline.handoff.contract import (
    ProviderAuthFailed,
    ProviderEnvironment,
    ProviderRejected,
    ProviderUnavailable,
    RemovesRegistrations,
)
from warmline.handoff.providers.webex import provider as webex
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.subscriptions import Subscriptions
from warmline.handoff.providers.webex.tokens import Tokens
from warmline.testing.clock import ManualClock
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import EVENT_TYPES, Outside, connection_to, with_clock

URL = "http://warmline.example/hooks/webex/connection/events"
SECRET = "s" * 64
TASK_NAME, MESSAGE_NAME = "warmline-connection-task", "warmline-connection-msg"
CAPTURE_NAME = "warmline-connection-capture"


@pytest.fixture
async def client(sim: RunningSim, environment: ProviderEnvironment) -> WebexClient:
    """A client of the emulator."""
    settings = sim.sim.settings
    connection = connection_to(
        sim.url,
        {"client_secret": settings.client_secret, "refresh_token": settings.refresh_token, "access_token": ""},
        org_id=settings.org_id,
        client_id=settings.client_id,
    )
    config = WebexConfig.read(connection.values)
    return WebexClient(config, Tokens(config, connection.secrets, environment), environment)


@pytest.fixture
def ours(client: WebexClient) -> Subscriptions:
    return Subscriptions(client, "connection", URL, SECRET)


async def by_name(client: WebexClient) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in await client.subscriptions()}


async def test_A76_missing_ones_are_created(client: WebexClient, ours: Subscriptions) -> None:
    await ours.ensure()
    found = await by_name(client)
    assert set(found) == {TASK_NAME, MESSAGE_NAME, CAPTURE_NAME}
    assert found[CAPTURE_NAME]["eventTypes"] == ["capture:available"]
    assert found[TASK_NAME]["resourceVersion"] == "task:1.0.0"
    assert found[MESSAGE_NAME]["resourceVersion"] == "task-message:1.0.0"
    assert set(found[MESSAGE_NAME]["eventTypes"]) == {"task-message:appended", "task-message:append-failed"}
    assert {"task:new", "task:parked", "task:connected", "task:ended", "task:failed"} <= set(
        found[TASK_NAME]["eventTypes"]
    )
    assert {item["destinationUrl"] for item in found.values()} == {URL}
    assert SECRET not in repr(found)


async def test_A76_right_ones_are_left_alone(client: WebexClient, ours: Subscriptions, sim: RunningSim) -> None:
    await ours.ensure()
    before = await client.subscriptions()
    await ours.ensure()
    assert await client.subscriptions() == before


@pytest.mark.parametrize(
    "drift",
    [
        {"destinationUrl": "http://old.example/hooks"},
        {"eventTypes": ["task:new"]},
        {"status": "inactive"},
        {"description": "of an older secret"},
    ],
    ids=lambda drift: next(iter(drift)),
)
async def test_A76_drift_is_patched_and_inactive_ones_are_activated(
    client: WebexClient, ours: Subscriptions, drift: dict[str, object]
) -> None:
    await ours.ensure()
    before = await by_name(client)
    await client.update_subscription(before[TASK_NAME]["id"], {"resourceVersion": "task:1.0.0", **drift})
    await ours.ensure()
    after = await by_name(client)
    volatile = ("lastUpdatedTime",)
    assert {k: v for k, v in after[TASK_NAME].items() if k not in volatile} == {
        k: v for k, v in before[TASK_NAME].items() if k not in volatile
    }


async def test_a_new_secret_is_registered(client: WebexClient, ours: Subscriptions) -> None:
    await ours.ensure()
    before = await by_name(client)
    await Subscriptions(client, "connection", URL, "n" * 64).ensure()
    after = await by_name(client)
    assert after[TASK_NAME]["id"] == before[TASK_NAME]["id"]
    assert after[TASK_NAME]["description"] != before[TASK_NAME]["description"]


async def test_A76_of_doubles_the_newest_stays(scripted: ScriptedServer, environment: ProviderEnvironment) -> None:
    config = WebexConfig.read(connection_to(scripted.url).values)
    client = WebexClient(config, Tokens(config, connection_to(scripted.url).secrets, environment), environment)
    ours = Subscriptions(client, "connection", URL, SECRET)
    await ours.ensure()
    created = [asked.json for asked in scripted.requests("POST /v2/subscriptions")]
    listed = [
        {**body, "id": f"{number}-{body['name']}", "status": "active", "createdTime": time}
        for body in created
        for number, time in enumerate(("2026-05-26T08:00:00Z", 1779785508649, 1779785400))
    ]
    scripted.always("GET /v2/subscriptions", Reply(body={"data": listed}))
    await ours.ensure()
    deleted = {asked.path.rpartition("/")[2] for asked in scripted.asked if asked.method == "DELETE"}
    assert deleted == {f"{n}-{name}" for n in (0, 2) for name in (TASK_NAME, MESSAGE_NAME)}
    assert [asked for asked in scripted.asked if asked.method == "PATCH"] == []


async def test_A76_foreign_ones_are_never_touched(client: WebexClient, ours: Subscriptions) -> None:
    foreign = {
        "name": "warmline-another-task",
        "eventTypes": ["task:new"],
        "destinationUrl": "http://elsewhere.example/",
        "resourceVersion": "task:1.0.0",
    }
    await client.create_subscription(foreign)
    before = (await by_name(client))["warmline-another-task"]
    await ours.ensure()
    await ours.remove()
    assert await client.subscriptions() == [before]


async def test_A77_disconnect_deletes_ours(client: WebexClient, ours: Subscriptions) -> None:
    await ours.ensure()
    await ours.remove()
    assert await client.subscriptions() == []


async def test_A78_events_that_the_organization_does_not_list_are_left_out(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    types = {**EVENT_TYPES, "data": [item for item in EVENT_TYPES["data"] if item["name"] != "task:parked"]}
    scripted.always("GET /v2/event-types", Reply(body=types))
    config = WebexConfig.read(connection_to(scripted.url).values)
    client = WebexClient(config, Tokens(config, connection_to(scripted.url).secrets, environment), environment)
    await Subscriptions(client, "connection", URL, SECRET).ensure()
    task = next(a.json for a in scripted.requests("POST /v2/subscriptions") if a.json["name"] == TASK_NAME)
    assert "task:parked" not in task["eventTypes"]
    assert "task:connected" in task["eventTypes"]


async def test_an_organization_without_room_for_the_optional_one_does_without_it(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    types = {**EVENT_TYPES, "data": [*EVENT_TYPES["data"], {"name": "capture:available"}]}
    scripted.always("GET /v2/event-types", Reply(body=types))
    scripted.line_up("POST /v2/subscriptions", Reply(status=201), Reply(status=201), Reply(status=400))
    config = WebexConfig.read(connection_to(scripted.url).values)
    client = WebexClient(config, Tokens(config, connection_to(scripted.url).secrets, environment), environment)
    await Subscriptions(client, "connection", URL, SECRET).ensure()
    names = [asked.json["name"] for asked in scripted.requests("POST /v2/subscriptions")]
    assert names == [TASK_NAME, MESSAGE_NAME, CAPTURE_NAME]


async def test_A76_an_inactive_one_is_activated_when_our_endpoint_answers(client: WebexClient, sim: RunningSim) -> None:
    healthy = iter([False, True, *[False] * 4])

    async def answers() -> bool:
        return next(healthy)

    ours = Subscriptions(client, "connection", URL, SECRET, answers=answers)
    await ours.ensure()
    for refused in (1, 3):
        item = (await by_name(client))[TASK_NAME]
        change = {"status": "inactive", "resourceVersion": item["resourceVersion"]}
        sim.sim.subscriptions.update("v2", item["id"], change)
        for _ in range(refused):
            with pytest.raises(ProviderUnavailable, match="does not answer"):
                await ours.ensure()
            assert (await by_name(client))[TASK_NAME]["status"] == "inactive"
        await ours.ensure()
        assert (await by_name(client))[TASK_NAME]["status"] == "active"


async def test_versions_come_from_the_event_types(scripted: ScriptedServer, environment: ProviderEnvironment) -> None:
    types = {**EVENT_TYPES, "meta": {"resourceVersionList": [{"resource": "task", "version": "1.2.0"}]}}
    scripted.always("GET /v2/event-types", Reply(body=types))
    config = WebexConfig.read(connection_to(scripted.url).values)
    client = WebexClient(config, Tokens(config, connection_to(scripted.url).secrets, environment), environment)
    await Subscriptions(client, "connection", URL, SECRET).ensure()
    versions = {a.json["name"]: a.json["resourceVersion"] for a in scripted.requests("POST /v2/subscriptions")}
    assert versions == {TASK_NAME: "task:1.2.0", MESSAGE_NAME: "task-message:1.0.0"}


async def test_an_organization_without_the_events_is_told_so(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    scripted.always("GET /v2/event-types", Reply(body={"data": [{"name": "task:new"}]}))
    config = WebexConfig.read(connection_to(scripted.url).values)
    client = WebexClient(config, Tokens(config, connection_to(scripted.url).secrets, environment), environment)
    with pytest.raises(ProviderRejected, match="task-message:appended"):
        await Subscriptions(client, "connection", URL, SECRET).ensure()


async def test_long_connection_ids_give_names_of_at_most_64_characters(client: WebexClient) -> None:
    long = Subscriptions(client, "c" * 80, URL, SECRET)
    await long.ensure()
    assert len(await client.subscriptions()) == 3
    await long.remove()
    assert await client.subscriptions() == []


# --- readiness ---------------------------------------------------------------------------------------------------


async def test_A5_nothing_may_be_opened_before_the_subscriptions_are_active(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    provider = webex.create(connection_to(scripted.url), environment)
    assert isinstance(provider.ready(), ProviderUnavailable)
    await provider.start()
    try:
        assert provider.ready() is None
    finally:
        await provider.stop()


async def test_A5_it_becomes_ready_by_itself_when_webex_comes_back(
    scripted: ScriptedServer, environment: ProviderEnvironment, outside: Outside
) -> None:
    clock = ManualClock()
    scripted.always("GET /v2/event-types", Reply(status=503))
    provider = webex.create(connection_to(scripted.url), with_clock(environment, clock))
    await provider.start()
    try:
        assert isinstance(provider.ready(), ProviderUnavailable)
        scripted.always("GET /v2/event-types", Reply(body=EVENT_TYPES))
        await clock.advance(1.1)
        await scripted.until(lambda: provider.ready() is None)
        assert outside.states == [("connected", "")]
    finally:
        await provider.stop()


async def test_a_missing_scope_is_reported_with_its_remedy(
    scripted: ScriptedServer, environment: ProviderEnvironment, outside: Outside
) -> None:
    scripted.always("POST /v2/subscriptions", Reply(status=403))
    provider = webex.create(connection_to(scripted.url), environment)
    await provider.start()
    try:
        assert isinstance(provider.ready(), ProviderAuthFailed)
        ((state, reason),) = outside.states
        assert state == "misconfigured"
        assert "cjp:config_write" in reason
    finally:
        await provider.stop()


async def test_race_23_they_are_looked_after_every_quarter_of_an_hour(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    clock = ManualClock()
    provider = webex.create(connection_to(scripted.url), with_clock(environment, clock))
    await provider.start()
    try:
        created = len(scripted.requests("POST /v2/subscriptions"))
        await clock.advance(14 * 60)
        await asyncio.sleep(0.05)
        assert len(scripted.requests("POST /v2/subscriptions")) == created
        await clock.advance(61)
        await scripted.until(lambda: len(scripted.requests("POST /v2/subscriptions")) == 2 * created)
    finally:
        await provider.stop()


async def test_a_start_is_not_held_up_by_a_slow_webex(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    scripted.always("GET /v2/event-types", Reply(body=EVENT_TYPES, delay_s=60))
    provider = webex.create(connection_to(scripted.url), environment)
    async with asyncio.timeout(PATIENCE_S):
        await provider.start()
    assert isinstance(provider.ready(), ProviderUnavailable)
    await provider.stop()


async def test_unregistering_is_an_ability(scripted: ScriptedServer, environment: ProviderEnvironment) -> None:
    provider = webex.create(connection_to(scripted.url), environment)
    assert isinstance(provider, RemovesRegistrations)
    scripted.always("GET /v2/subscriptions", Reply(body={"data": [{"name": TASK_NAME, "id": "1"}]}))
    scripted.always("DELETE /v2/subscriptions/1", Reply(status=404))
    await provider.unregister()
    assert len(scripted.requests("DELETE /v2/subscriptions/1")) == 1
