"""*Connect* against the emulator: check, save, start (webex-byoc.md §4)."""

from typing import Any

import msgspec
import pytest

from warmline.emulators.webex import RunningSim, demo_values
from warmline.handoff.connect import connect, draft
from warmline.handoff.registry import NoConnection, Registry
from warmline.ports import Store
from warmline.system import SystemClock, SystemIds

from .conftest import Connecting

STEPS = ["token", "organization", "event_types", "subscriptions", "reachability"]


def configure(sim: RunningSim, **settings: Any) -> None:
    sim.sim.configure(msgspec.structs.replace(sim.sim.settings, **settings))


def subscriptions(sim: RunningSim) -> set[str]:
    return {item["name"] for item in sim.sim.subscriptions.all("v2")["data"]}


async def test_a_good_connection_is_checked_saved_and_started(
    connecting: Connecting, store: Store, registry: Registry, sim: RunningSim
) -> None:
    report, connection = await connecting()
    assert [verdict.step for verdict in report.verdicts if verdict.step != "fields"] == STEPS
    assert report.ok
    assert report.identity == sim.sim.settings.org_id
    assert connection is not None
    assert await store.connections() == [connection]
    assert connection.state == "connected"
    provider = registry.get(connection.id)
    assert provider is not None
    assert provider.ready() is None
    assert connection.values["events_webhook_url"] == registry.webhook_url("webex", connection.id, "events")
    assert connection.values["asset_webhook_url"] == registry.webhook_url("webex", connection.id, "asset")
    assert len(connection.secrets["asset_webhook_secret"]) == 64
    assert subscriptions(sim) == {f"warmline-{connection.id}-{suffix}" for suffix in ("task", "msg", "capture")}


async def test_the_dialog_can_show_what_is_generated_before_anything_is_saved(
    store: Store, registry: Registry, sim: RunningSim
) -> None:
    connection_id, generated = draft(registry, SystemIds(), "webex")
    given = {"region": "custom", **demo_values(sim.sim.settings, sim.url), **generated}
    report, connection = await connect(
        store, registry, SystemClock(), SystemIds(), "webex", "lumen", given, {}, "Webex", connection_id=connection_id
    )
    assert report.ok
    assert connection is not None
    assert connection.id == connection_id
    assert {**connection.values, **connection.secrets}.items() >= generated.items()


async def test_a_value_that_is_emptied_is_gone_and_what_is_left_out_or_secret_stays(
    store: Store, registry: Registry, sim: RunningSim
) -> None:
    given = {
        "region": "custom",
        **demo_values(sim.sim.settings, sim.url),
        "queue_name": "Billing",
        "agent_label": "Ann",
    }
    parts = (store, registry, SystemClock(), SystemIds(), "webex", "lumen")
    _, first = await connect(*parts, given, {}, "Webex")
    assert first is not None
    emptied = {"queue_name": "", "asset_webhook_url": "", "policy.max_chars": ""}
    report, changed = await connect(*parts, emptied, {"client_secret": ""}, "Webex", connection_id=first.id)
    assert report.ok
    assert changed is not None
    assert "queue_name" not in changed.values
    assert changed.values == {key: value for key, value in first.values.items() if key != "queue_name"}
    assert changed.secrets["client_secret"] == first.secrets["client_secret"]


async def test_an_unusual_value_is_a_remark_and_not_a_pass(store: Store, registry: Registry, sim: RunningSim) -> None:
    given = {"region": "custom", **demo_values(sim.sim.settings, sim.url), "client_secret": "not-sixty-four-digits"}
    report, _ = await connect(store, registry, SystemClock(), SystemIds(), "webex", "lumen", given, {}, "Webex")
    remark = report.verdicts[0]
    assert (remark.step, remark.field, remark.ok) == ("fields", "client_secret", True)
    assert "64 hexadecimal digits" in remark.remedy


async def test_A1_wrong_fields_are_named_and_nothing_is_asked_or_saved(
    connecting: Connecting, store: Store, sim: RunningSim
) -> None:
    report, connection = await connecting(org_id="no uuid", channel_name="", **{"policy.max_chars": "0"})
    assert connection is None
    assert {v.field for v in report.verdicts if not v.ok} == {"org_id", "channel_name", "policy.max_chars"}
    assert await store.connections() == []
    assert sim.sim.access.views() == []


async def test_A2_tokens_of_another_organization(connecting: Connecting, store: Store, sim: RunningSim) -> None:
    report, connection = await connecting(org_id="11111111-1111-4111-8111-111111111111")
    assert connection is None
    failed = report.verdicts[-1]
    assert (failed.step, failed.field, failed.ok) == ("organization", "org_id", False)
    assert sim.sim.settings.org_id in failed.text
    assert await store.connections() == []


@pytest.mark.parametrize(
    ("changes", "step", "field"),
    [
        ({"client_secret": "wrong-secret-0123456789"}, "token", "client_secret"),
        ({"refresh_token": "wrong-refresh-token-0123456789"}, "token", "refresh_token"),
        ({"oauth_token_url": "http://127.0.0.1:1/token"}, "token", "oauth_token_url"),
        ({"api_base_url": "http://127.0.0.1:1"}, "event_types", "region"),
    ],
    ids=["client secret", "refresh token", "token URL", "base URL"],
)
async def test_A2_the_first_wrong_step_ends_the_check_and_names_its_field(
    connecting: Connecting, store: Store, changes: dict[str, str], step: str, field: str
) -> None:
    report, connection = await connecting(**changes)
    assert connection is None
    assert (report.verdicts[-1].step, report.verdicts[-1].field) == (step, field)
    assert [v.step for v in report.verdicts if not v.ok] == [step]
    assert await store.connections() == []
    assert not [value for value in changes.values() if "wrong" in value and value in repr(report)]


@pytest.mark.parametrize(
    ("missing", "step"), [("cjp:config_read", "event_types"), ("cjp:config_write", "subscriptions")]
)
async def test_A3_a_missing_scope_is_named_with_its_remedy(
    connecting: Connecting, sim: RunningSim, missing: str, step: str
) -> None:
    configure(sim, scopes=tuple(scope for scope in sim.sim.settings.scopes if scope != missing))
    report, connection = await connecting()
    assert connection is None
    assert report.verdicts[-1].step == step
    assert missing in report.verdicts[-1].text
    assert "generate a new token pair" in report.verdicts[-1].text


async def test_a_failed_first_connect_leaves_nothing_behind(connecting: Connecting, sim: RunningSim) -> None:
    configure(sim, subscription_limit=1)
    report, connection = await connecting()
    assert connection is None
    assert report.verdicts[-1].step == "subscriptions"
    assert subscriptions(sim) == set()


async def test_reconnect_changes_values_keeps_secrets_and_the_webhooks(
    connecting: Connecting, store: Store, sim: RunningSim
) -> None:
    _, first = await connecting()
    assert first is not None
    report, second = await connecting(connection_id=first.id, queue_name="Support", client_secret="", refresh_token="")
    assert report.ok
    assert second is not None
    assert second.values == {**first.values, "queue_name": "Support"}
    assert second.secrets["asset_webhook_secret"] == first.secrets["asset_webhook_secret"]
    assert second.secrets["client_secret"] == first.secrets["client_secret"]
    assert second.created_at == first.created_at
    assert await store.connections() == [second]
    assert len(subscriptions(sim)) == 3


async def test_A7_a_failed_reconnect_does_not_lose_a_rotated_refresh_token(
    connecting: Connecting, store: Store, registry: Registry, sim: RunningSim
) -> None:
    configure(sim, rotate_refresh_token=True)
    _, connection = await connecting()
    assert connection is not None
    report, again = await connecting(
        connection_id=connection.id, org_id="11111111-1111-4111-8111-111111111111", client_secret="", refresh_token=""
    )
    assert again is None
    assert not report.ok
    (stored,) = await store.connections()
    assert stored.values == connection.values
    assert stored.secrets["refresh_token"] != connection.secrets["refresh_token"]
    provider = await registry.reload(connection.id)
    assert provider is not None
    assert provider.ready() is None


async def test_A4_secrets_do_not_show_in_what_the_dialog_gets_back(connecting: Connecting, sim: RunningSim) -> None:
    report, connection = await connecting()
    settings = sim.sim.settings
    shown = repr(report) + repr(connection)
    assert settings.client_secret not in shown
    assert settings.refresh_token not in shown
    assert connection is not None
    assert connection.secrets["asset_webhook_secret"] not in shown


async def test_webhook_urls_that_webex_cannot_call_are_refused_outside_of_emulation(
    store: Store, registry: Registry
) -> None:
    registry.relaxed = False
    report, connection = await connect(
        store, registry, SystemClock(), SystemIds(), "webex", "lumen", {"region": "us1"}, {}, "Webex"
    )
    assert connection is None
    told = {v.field: v.text for v in report.verdicts if not v.ok}
    assert "WARMLINE_PUBLIC_URL" in told["events_webhook_url"]


async def test_a_provider_that_is_not_installed_cannot_be_connected(store: Store, registry: Registry) -> None:
    with pytest.raises(NoConnection) as caught:
        await connect(store, registry, SystemClock(), SystemIds(), "genesys", "lumen", {}, {}, "Genesys")
    assert caught.value.code == "not_available"
