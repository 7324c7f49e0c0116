"""`warmline doctor` and `warmline verify webex` beside a running server (webex-byoc.md §17 rows 24, 27; A-86, A-87)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from support.installation import LUMEN
from support.stores import NODE, TTL_MS, begin, settlement
from warmline.app import Server
from warmline.cli.connect import _probe as probe_connection
from warmline.cli.demo import connect_emulator
from warmline.cli.doctor import examine
from warmline.cli.installation import opened
from warmline.cli.verify import SAY, make_plan, run_steps
from warmline.config import Settings
from warmline.delivery.report import PREFIX, DayReport
from warmline.domain.errors import ConfigError
from warmline.emulators.webex import RunningSim
from warmline.health import backlog
from warmline.ports import Change, Connector, Finding, InboxRow, Level
from warmline.system import SystemClock
from warmline.testing.server import free_port

from .conftest import Command

CONNECTOR = Connector(id="1", token="token", project_id="lumen-energy", host="www.lumen-energy.com")


async def found(settings: Settings, url: str = "http://127.0.0.1:1") -> dict[str, Finding]:
    return {item.subject: item async for item in examine(settings, url)}


@pytest.fixture
async def server(settings: Settings, sim: RunningSim) -> AsyncIterator[Server]:
    """A server, connected to the emulator."""
    port = free_port()
    running = await Server.start(replace(settings, port=port, public_url=f"http://localhost:{port}"))
    try:
        await running.store.save_connector(CONNECTOR)
        await connect_emulator(running, sim)
        yield running
    finally:
        await running.stop()


async def planned(server: Server, **changes: Any) -> Any:
    options = {"wanted": "", "url": "", "token": "", "say": (SAY,), "agent_s": 15.0, "play_agent": True}
    return await make_plan(server.settings, "webex", **{**options, **changes})


async def test_a_running_installation_is_healthy_and_the_five_steps_pass(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run_steps(await planned(server)), capsys.readouterr().out
    printed = capsys.readouterr().out
    assert printed.count("   ok   ") == 5
    assert "All five steps passed." in printed
    findings = await found(server.settings, server.url)
    assert [item for item in findings.values() if item.level is not Level.OK] == []
    assert {"server", "public address", "database", "outbox", "inbox", "dead letters"} <= findings.keys()
    webhooks = findings["webex Webex emulator webhooks"]
    assert webhooks.text.startswith("Last agents' message 0 min ago, last event 0 min ago")


async def test_a_test_conversation_is_created_heard_of_and_ended(
    server: Server, sim: RunningSim, capsys: pytest.CaptureFixture[str]
) -> None:
    (connection,) = await server.store.connections()
    assert await probe_connection(server.settings, connection.id)
    assert "told so after" in capsys.readouterr().out
    (task,) = sim.sim.world.tasks.values()
    assert task.first["message"]["text"] == "Warmline connection test"
    sim.sim.configure(msgspec.structs.replace(sim.sim.settings, feature_enabled=False))
    assert not await probe_connection(server.settings, connection.id)
    told = capsys.readouterr().out
    assert "FEATURE_FLAG_DISABLED" in told
    assert "Ask your Cisco team" in told


async def test_doctor_tells_how_the_last_day_compares(server: Server) -> None:
    (connection,) = await server.store.connections()
    for report in (
        DayReport(day="2026-01-01", conversations=7),
        DayReport(day="2026-01-02", conversations=5, unknown=2),
    ):
        key = f"{PREFIX}{connection.id}/{report.day}"
        await server.store.setting(key, lambda report=report: msgspec.json.encode(report).decode())  # type: ignore[misc]
    told = (await found(server.settings, server.url))["webex Webex emulator day"]
    assert told.level is Level.WARN
    assert told.text.startswith("2026-01-02: 5 conversations, 2 unknown here")


async def test_verify_names_the_cause_when_nobody_comes_and_when_no_topic_hands_over(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = replace(await planned(server, play_agent=False), agent_s=1.0)
    assert not await run_steps(nobody)
    printed = capsys.readouterr().out
    assert printed.count("   ok   ") == 2
    assert "fail no LIVE_AGENT_JOINED within 1 s" in printed
    assert "no agent is available in the queue" in printed
    assert "the entry point's flow does not queue" in printed
    assert not await run_steps(await planned(server, say=("qwertz",)))
    assert "none of these words lead to a topic that hands over: qwertz" in capsys.readouterr().out


async def test_A86_a_wrong_asset_secret_is_found_by_verify_and_by_doctor(
    server: Server, sim: RunningSim, capsys: pytest.CaptureFixture[str]
) -> None:
    (asset, *others) = sim.sim.settings.assets
    wrong = msgspec.structs.replace(asset, webhook_secret="0" * 64)
    sim.sim.configure(msgspec.structs.replace(sim.sim.settings, assets=(wrong, *others)))
    assert not await run_steps(await planned(server, agent_s=4.0))
    printed = capsys.readouterr().out
    assert "fail no LIVE_AGENT_MESSAGE" in printed
    assert "the asset's webhook URL or secret in Control Hub is not the one of this connection" in printed
    findings = await found(server.settings, server.url)
    assert findings["webex Webex emulator webhooks"].level is Level.WARN
    assert findings["webex Webex emulator webhooks"].text.startswith("Asset webhook silent")


async def test_verify_says_what_is_missing(warmline: Command, settings: Settings, sim: RunningSim) -> None:
    result = await warmline("verify", "webex")
    assert isinstance(result.exception, ConfigError)
    assert "warmline connect add webex" in str(result.exception)


async def test_doctor_exits_with_1_and_tells_the_remedy(warmline: Command, settings: Settings, sim: RunningSim) -> None:
    async with opened(settings) as installation:
        row = InboxRow(
            id=0, connection_id="x", endpoint="events", key="k", remote_id="t", received_at=1, event_at=1, body=b"{}"
        )
        await installation.store.accept(row)
    result = await warmline("doctor", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 0, result.output
    for told in ("warn server", "warn inbox: 1 waiting", "warn connections", "warn connectors", "ok   database"):
        assert told in result.output
    broken = replace(settings, public_url="http://localhost:8080", relaxed=False, secret_key="x" * 64)
    findings = await found(broken)
    assert findings["public address"].level is Level.FAIL
    assert "https on port 443" in findings["public address"].text
    nowhere = replace(settings, database_url=settings.database_url + "-missing")
    assert (await found(nowhere))["database"].level is Level.FAIL
    assert (await found(replace(settings, projects=LUMEN / "topics")))["projects"].level is Level.FAIL


async def test_doctor_finds_a_connection_that_stopped(warmline: Command, settings: Settings, sim: RunningSim) -> None:
    port = free_port()
    server = await Server.start(replace(settings, port=port, public_url=f"http://localhost:{port}"))
    connection = await connect_emulator(server, sim)
    await server.registry.set_state(connection.id, "auth_failed", "Webex does not accept the refresh token")
    await server.stop()
    sim.sim.subscriptions.delete("v2", sim.sim.subscriptions.all("v2")["data"][0]["id"])
    result = await warmline("doctor", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "auth_failed: Webex does not accept the refresh token" in result.output
    assert f"warmline connect rotate {connection.id} client" in result.output
    assert "is missing" in result.output
    assert "No webhook has come yet" in result.output


async def test_doctor_names_a_server_that_is_not_ready(settings: Settings) -> None:
    async def not_ready(request: web.Request) -> web.Response:
        return web.json_response({"problems": {"database": "unreachable"}}, status=503)

    app = web.Application()
    app.router.add_get("/readyz", not_ready)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        item = (await found(settings, f"http://127.0.0.1:{runner.addresses[0][1]}"))["server"]
    finally:
        await runner.cleanup()
    assert (item.level, "database: unreachable" in item.text) == (Level.FAIL, True)


async def test_doctor_tells_what_waits_and_what_was_given_up(settings: Settings) -> None:
    async with opened(settings) as installation:
        store, now = installation.store, installation.clock.now()
        epochs = await store.claim(NODE, TTL_MS, now)
        (given_up,) = (await begin(store, "first", at=now)).outbox
        dead = settlement(given_up, epochs, dead=True, error="http_503")
        await store.transact(Change(session_id="first", settle=dead))
        await begin(store, "second", at=now)
        calm = {item.subject: item for item in await backlog(store, now)}
        slow = {item.subject: item for item in await backlog(store, now + 600_000)}
    assert (calm["outbox"].level, calm["outbox"].text[:10]) == (Level.OK, "1 waiting,")
    assert (calm["dead letters"].level, calm["dead letters"].text) == (Level.WARN, "1, the last: http_503")
    assert (slow["outbox"].level, "the oldest for 600 s" in slow["outbox"].text) == (Level.WARN, True)


@pytest.mark.parametrize(
    ("days", "level", "text"),
    [
        (60, Level.OK, "is valid until"),
        (10, Level.WARN, "expires within 14 days"),
        (-1, Level.FAIL, "expired on"),
    ],
)
async def test_doctor_tells_how_long_the_refresh_token_lives(
    server: Server, days: int, level: Level, text: str
) -> None:
    [connection] = await server.store.connections()
    dies = SystemClock().now() + days * 86_400_000
    secrets = {**connection.secrets, "refresh_expires_at": str(dies)}
    await server.store.save_connection(replace(connection, secrets=secrets))
    item = (await found(server.settings, server.url))["webex Webex emulator refresh_token"]
    assert (item.level, text in item.text) == (level, True), item


async def test_doctor_names_a_webex_that_does_not_answer_and_states_that_stop_work(
    server: Server, sim: RunningSim
) -> None:
    [connection] = await server.store.connections()
    for state, remedy in [("misconfigured", "connect test"), ("auth_failed", "connect rotate")]:
        await server.store.save_connection(replace(connection, state=state, state_reason="because"))
        item = (await found(server.settings, server.url))["webex Webex emulator state"]
        assert (item.level, item.text) == (Level.FAIL, f"{state}: because")
        assert remedy in item.remedy
    await server.store.save_connection(replace(connection, id="other", provider="nobody", name="Old"))
    await sim.stop()
    findings = await found(server.settings, server.url)
    assert findings["webex Webex emulator clock"].level is Level.FAIL
    assert "cannot be reached" in findings["webex Webex emulator clock"].text
    assert findings["nobody Old"].level is Level.FAIL


async def test_doctor_finds_subscriptions_that_are_inactive(server: Server, sim: RunningSim) -> None:
    for subscription in sim.sim.world.subscriptions.values():
        subscription.status = "inactive"
    item = (await found(server.settings, server.url))["webex Webex emulator subscriptions"]
    assert (item.level, "is inactive" in item.text) == (Level.FAIL, True)
    assert "within 5 s" in item.remedy
