"""Looking at a connection without changing it (webex-byoc.md §5.5, §17 rows 24 and 27)."""

from dataclasses import replace

import pytest

from warmline.emulators.webex import RunningSim
from warmline.handoff.contract import InspectsConnections
from warmline.handoff.providers.webex.inspect import clock_verdict, inspect, silence
from warmline.handoff.registry import Registry
from warmline.handoff.verdicts import Verdict
from warmline.ports import Connection, Store
from warmline.system import SystemClock

from .conftest import Connecting

NOW = 1_700_000_000_000
HOUR = 3600 * 1000
DAY = 24 * HOUR


async def looked(registry: Registry, connection: Connection, **heard: int) -> dict[str, Verdict]:
    module = registry.module("webex")
    assert isinstance(module, InspectsConnections)
    found = await module.inspect(connection, registry.environment(connection.id), heard)
    return {verdict.step: verdict for verdict in found}


async def test_a_healthy_connection_is_found_healthy_and_left_alone(
    connecting: Connecting, registry: Registry, store: Store, sim: RunningSim
) -> None:
    _, connection = await connecting()
    assert connection is not None
    before = sim.sim.access.views()
    found = await looked(registry, connection, asset=SystemClock().now(), events=SystemClock().now())
    assert [step for step, verdict in found.items() if not verdict.ok or verdict.remedy] == []
    assert set(found) == {"clock", "refresh_token", "subscriptions", "webhooks"}
    asked = [(view["method"], view["path"]) for view in sim.sim.access.views()[len(before) :]]
    assert {method for method, _ in asked} == {"GET"}
    assert await store.connections() == [connection]


async def test_what_is_wrong_with_subscriptions_is_told_and_not_repaired(
    connecting: Connecting, registry: Registry, sim: RunningSim
) -> None:
    _, connection = await connecting()
    assert connection is not None
    first, second, third = sim.sim.subscriptions.all("v2")["data"]
    change = {"status": "inactive", "resourceVersion": first["resourceVersion"]}
    sim.sim.subscriptions.update("v2", first["id"], change)
    for gone in (second, third):
        sim.sim.subscriptions.delete("v2", gone["id"])
    found = await looked(registry, connection)
    assert not found["subscriptions"].ok
    assert f"{first['name']} is inactive" in found["subscriptions"].text
    assert f"{second['name']} is missing" in found["subscriptions"].text
    assert third["name"] not in found["subscriptions"].text, "nothing depends on it"
    assert len(sim.sim.subscriptions.all("v2")["data"]) == 1


async def test_a_public_address_that_changed_is_told(
    connecting: Connecting, registry: Registry, sim: RunningSim
) -> None:
    _, connection = await connecting()
    assert connection is not None
    environment = replace(registry.environment(connection.id), public_url="http://elsewhere.example")
    found = {verdict.step: verdict for verdict in await inspect(connection, environment, {})}
    assert f"http://elsewhere.example/hooks/webex/{connection.id}/asset" in found["asset_webhook_url"].remedy
    assert "leads to another address" in found["subscriptions"].text
    assert not found["subscriptions"].ok


async def test_an_access_token_that_died_is_not_renewed_from_here(
    connecting: Connecting, registry: Registry, sim: RunningSim
) -> None:
    _, connection = await connecting()
    assert connection is not None
    expired = replace(connection, secrets={**connection.secrets, "access_expires_at": "1"})
    found = await looked(registry, expired)
    assert found["subscriptions"].ok
    assert "renews the access token" in found["subscriptions"].remedy
    assert not [view for view in sim.sim.access.views() if view["path"] == "/v1/access_token"][1:]


@pytest.mark.parametrize(
    ("skew_s", "ok", "warned"), [(0.4, True, False), (-30, True, False), (61, True, True), (-301, False, True)]
)
def test_the_clock_is_compared(skew_s: float, ok: bool, warned: bool) -> None:
    verdict = clock_verdict(skew_s)
    assert (verdict.ok, bool(verdict.remedy)) == (ok, warned)


@pytest.mark.parametrize(
    ("heard", "ok", "text"),
    [
        ({}, True, "No webhook has come yet"),
        ({"events": NOW - HOUR}, True, "Asset webhook silent"),
        ({"events": NOW, "asset": NOW - DAY}, True, "Asset webhook silent"),
        ({"asset": NOW}, False, "Subscriptions silent"),
        ({"asset": NOW, "events": NOW - HOUR}, False, "Subscriptions silent"),
        ({"asset": NOW - HOUR, "events": NOW}, True, "Last agents' message"),
        ({"asset": NOW - 90 * DAY, "events": NOW - 90 * DAY}, True, "Last agents' message"),
    ],
)
def test_A86_which_path_is_silent(heard: dict[str, int], ok: bool, text: str) -> None:
    (verdict,) = silence(heard, NOW)
    assert verdict.ok is ok
    assert verdict.text.startswith(text)
    assert bool(verdict.remedy) is ("Last" not in text)
