"""New secrets, tokens that die, subscriptions that went quiet (webex-byoc.md §5.5, §10.1)."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from support.scripted_http import ScriptedServer
from support.webex import fixture, webhook
from warmline.domain.errors import ConfigError
from warmline.emulators.webex import RunningSim
from warmline.handoff.contract import ProviderEnvironment, WebhookRefused
from warmline.handoff.providers.webex import provider as webex
from warmline.handoff.providers.webex.expiry import DAY_MS, ExpiryWatch, stage, warning
from warmline.handoff.registry import Registry
from warmline.handoff.rotate import UNTIL_USED, rotate
from warmline.ports import Connection, Store
from warmline.system import SystemClock, SystemIds
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import Connecting, Outside, connection_to, grant, with_clock

HOUR_MS = 3600 * 1000


async def stored(store: Store) -> Connection:
    (connection,) = await store.connections()
    return connection


def accepted(provider: webex.WebexProvider, secret: str, *, at: int, endpoint: str = "asset") -> bool:
    """Whether a webhook signed with `secret` counts as genuine."""
    event = fixture("appended_outbound_agent")
    del event["comciscoorgid"]
    request = webhook(event, secret=secret, endpoint=endpoint, stamp=False, received_at=at)
    try:
        provider.verify(request)
    except WebhookRefused as error:
        return error.code != "bad_signature"
    return True


async def test_A39_a_new_asset_secret_is_accepted_with_the_old_one_until_it_was_used(
    connecting: Connecting, store: Store, registry: Registry
) -> None:
    _, connection = await connecting()
    assert connection is not None
    old = connection.secrets["asset_webhook_secret"]
    rotated = await rotate(store, registry, SystemClock(), SystemIds(), connection.id, "asset")
    assert rotated.previous_until is None
    assert rotated.secret != old
    assert rotated.secret not in repr(rotated)
    provider = registry.get(connection.id)
    assert isinstance(provider, webex.WebexProvider)
    later = SystemClock().now() + 100 * 24 * HOUR_MS
    assert accepted(provider, old, at=later)
    assert (await stored(store)).secrets["asset_webhook_secret_previous_until"] == UNTIL_USED
    assert accepted(provider, rotated.secret, at=later)
    assert not accepted(provider, old, at=later)
    async with asyncio.timeout(PATIENCE_S):
        while (await stored(store)).secrets["asset_webhook_secret_previous"]:  # noqa: ASYNC110  (it tells nobody)
            await asyncio.sleep(0.02)
    assert (await stored(store)).secrets["asset_webhook_secret"] == rotated.secret


async def test_A39_a_second_rotation_before_the_first_was_used_loses_no_secret(
    connecting: Connecting, store: Store, registry: Registry
) -> None:
    _, connection = await connecting()
    assert connection is not None
    used = [connection.secrets["asset_webhook_secret"]]
    for _ in range(2):
        rotated = await rotate(store, registry, SystemClock(), SystemIds(), connection.id, "asset")
        used.append(rotated.secret)
    provider = registry.get(connection.id)
    assert isinstance(provider, webex.WebexProvider)
    now = SystemClock().now()
    assert [accepted(provider, secret, at=now) for secret in used] == [True, True, True]
    assert [accepted(provider, secret, at=now) for secret in used] == [False, False, True]


async def test_A39_a_second_subscription_secret_within_a_day_loses_none(
    connecting: Connecting, store: Store, registry: Registry, sim: RunningSim
) -> None:
    _, connection = await connecting()
    assert connection is not None
    used = [connection.secrets["subscription_secret"]]
    for _ in range(2):
        rotated = await rotate(store, registry, SystemClock(), SystemIds(), connection.id, "subscription")
        used.append(rotated.secret)
    provider = registry.get(connection.id)
    assert isinstance(provider, webex.WebexProvider)
    now = SystemClock().now()
    assert [accepted(provider, secret, at=now, endpoint="events") for secret in used] == [True, True, True]
    assert [accepted(provider, secret, at=now + 25 * HOUR_MS) for secret in used] == [False, False, True]


async def test_A39_a_new_subscription_secret_is_registered_and_the_old_one_accepted_for_a_day(
    connecting: Connecting, store: Store, registry: Registry, sim: RunningSim
) -> None:
    _, connection = await connecting()
    assert connection is not None
    old = connection.secrets["subscription_secret"]
    before = {item["id"]: item["description"] for item in sim.sim.subscriptions.all("v2")["data"]}
    rotated = await rotate(store, registry, SystemClock(), SystemIds(), connection.id, "subscription")
    now = SystemClock().now()
    assert rotated.previous_until is not None
    assert abs(rotated.previous_until - now - 24 * HOUR_MS) < 60_000
    provider = registry.get(connection.id)
    assert isinstance(provider, webex.WebexProvider)
    assert provider.ready() is None
    after = {item["id"]: item["description"] for item in sim.sim.subscriptions.all("v2")["data"]}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    for at, old_too in ((now + 23 * HOUR_MS, True), (now + 25 * HOUR_MS, False)):
        assert accepted(provider, rotated.secret, at=at, endpoint="events")
        assert accepted(provider, old, at=at, endpoint="events") is old_too


async def test_only_generated_secrets_of_known_connections_are_rotated(
    connecting: Connecting, store: Store, registry: Registry
) -> None:
    _, connection = await connecting()
    assert connection is not None
    for connection_id, name in ((connection.id, "client"), (connection.id, "nothing"), ("nobody", "asset")):
        with pytest.raises(ConfigError):
            await rotate(store, registry, SystemClock(), SystemIds(), connection_id, name)
    assert await stored(store) == connection


@pytest.mark.parametrize(
    ("days", "reached"), [(31, None), (30, 30), (14.5, 30), (14, 14), (7, 7), (1.5, 7), (1, 1), (0, 0), (-3, 0)]
)
def test_the_refresh_tokens_end_is_announced_in_time(days: float, reached: int | None) -> None:
    now = 1_700_000_000_000
    expires_at = now + round(days * DAY_MS)
    assert stage(expires_at, now) == reached
    assert bool(warning(expires_at, now)) is (reached is not None)
    assert stage(0, now) is None


def test_each_warning_is_logged_once() -> None:
    watch, now = ExpiryWatch("connection"), 1_700_000_000_000
    with capture_logs() as logs:
        for day in range(40):
            watch.look(now + 35 * DAY_MS, now + day * DAY_MS)
    assert [entry["within_days"] for entry in logs] == [30, 14, 7, 1, 0]
    assert {entry["event"] for entry in logs} == {"webex.refresh_token_expires"}


async def test_the_state_tells_that_the_refresh_token_dies_soon(
    scripted: ScriptedServer, environment: ProviderEnvironment, outside: Outside
) -> None:
    clock = ManualClock()
    body = {**grant().body, "refresh_token_expires_in": 10 * 24 * 3600}
    scripted.always("POST /v1/access_token", replace(grant(), body=body))
    connection = connection_to(scripted.url, {"access_token": "", "access_renew_at": ""})
    provider = webex.create(connection, with_clock(environment, clock))
    await provider.start()
    assert provider.ready() is None
    state, reason = outside.states[-1]
    assert state == "connected"
    assert reason.startswith("The refresh token expires within 14 days, on 2023-11-24.")
    assert int(outside.saved[-1]["refresh_expires_at"]) == clock.now() + 10 * DAY_MS
    await provider.stop()


async def test_A76_an_inactive_subscription_is_an_incident_and_is_activated_again(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    rows = [
        {"id": f"s-{suffix}", "name": f"warmline-connection-{suffix}", "status": "inactive", "lastUpdatedTime": 5}
        for suffix in ("task", "msg")
    ]
    scripted.always("GET /v2/subscriptions", replace(grant(), body={"data": rows}))
    provider = webex.create(connection_to(scripted.url), replace(environment, public_url=scripted.url))
    with capture_logs() as logs:
        await provider.start()
    assert provider.ready() is None
    assert len(scripted.requests("GET /hooks/webex/connection/events")) == 2, "it answers"
    incidents = [entry for entry in logs if entry["event"] == "webex.subscription_was_inactive"]
    assert [entry["log_level"] for entry in incidents] == ["error", "error"]
    for suffix in ("task", "msg"):
        (asked,) = scripted.requests(f"PATCH /v2/subscriptions/s-{suffix}")
        assert asked.json["status"] == "active"
    await provider.stop()
