"""`warmline verify webex`: every failure that it can name (webex-byoc.md §15.2, §17), and a connection that breaks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from support.fake_messaging import FakeMessaging, FakeSession
from support.tcp_proxy import TcpProxy
from warmline.app import Server
from warmline.cli.demo import connect_emulator
from warmline.cli.installation import opened
from warmline.cli.verify import SAY, Plan, make_plan, run_steps
from warmline.cli.verify_causes import failure_cause
from warmline.config import Settings
from warmline.domain.errors import ConfigError
from warmline.emulators.webex import RunningSim
from warmline.ports import Connection, Connector
from warmline.testing.server import free_port

CONNECTOR = Connector(id="1", token="token", project_id="lumen-energy", host="www.lumen-energy.com")
CONNECTION = Connection(id="wx1", provider="webex", name="Webex", project_id="lumen-energy", values={})
Printed = pytest.CaptureFixture[str]


class NoSockets(FakeMessaging):
    """A server behind a proxy that knows nothing of WebSockets."""

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=400)


@pytest.fixture
async def far() -> AsyncIterator[FakeMessaging]:
    """A server that says what the test lets it say."""
    server = FakeMessaging()
    await server.start()
    yield server
    await server.stop()


def plan(url: str, **changes: Any) -> Plan:
    """Impatient, against a server that is played."""
    options: dict[str, Any] = {"say": (SAY,), "answer_s": 0.4, "open_s": 0.3, "agent_s": 0.3, **changes}
    return Plan(url=url.rstrip("/"), connector=CONNECTOR, connection=CONNECTION, **options)


async def handed_over(session: FakeSession, text: str) -> None:
    """What a server says when a topic hands over."""
    await session.log("POLY_AGENT_TRIGGERED_HANDOFF")


async def failed(capsys: Printed, chosen: Plan, step: int) -> str:
    """Run the steps; what was printed, after making sure that it stopped at that step."""
    assert not await run_steps(chosen)
    printed = capsys.readouterr().out
    assert printed.count("   ok   ") == step - 1, printed
    assert printed.count("   fail ") == printed.count("most likely: ") == 1
    return printed


async def test_step_1_no_server_a_wrong_connector_no_sockets(capsys: Printed, far: FakeMessaging) -> None:
    printed = await failed(capsys, plan(f"http://127.0.0.1:{free_port()}"), 1)
    assert "no connection (ClientConnectorError)" in printed
    assert "start it with `warmline serve`, or give --url" in printed
    far.rest_status = 401
    printed = await failed(capsys, plan(far.url), 1)
    assert "the server answered HTTP 401" in printed
    assert "the connector token is unknown to the server" in printed
    deaf = NoSockets()
    await deaf.start()
    printed = await failed(capsys, plan(deaf.url), 1)
    await deaf.stop()
    assert "the WebSocket was answered HTTP 400" in printed
    assert "a proxy before the server does not pass WebSockets on" in printed


async def test_step_1_the_virtual_agent_says_nothing(capsys: Printed, far: FakeMessaging) -> None:
    far.greeting = None
    printed = await failed(capsys, plan(far.url), 1)
    assert "no POLY_AGENT_MESSAGE within 0 s" in printed
    assert "the project's start function says nothing or fails" in printed


async def test_step_2_no_echo_and_no_handoff(capsys: Printed, far: FakeMessaging) -> None:
    far.echoing = False
    printed = await failed(capsys, plan(far.url), 2)
    assert "the server does not confirm the customer's message" in printed
    assert "cannot store what they bring" in printed
    far.echoing = True
    printed = await failed(capsys, plan(far.url, say=("one", "two")), 2)
    assert "none of these words lead to a topic that hands over: one | two." in printed
    assert far.session.texts() == ["one", "two"]


@pytest.mark.parametrize(
    ("event", "payload", "texts"),
    [
        (
            "",
            {},
            ["no HANDOFF_ACCEPTED within 0 s", "its events do not reach this server", "warmline connect show wx1"],
        ),
        ("HANDOFF_FAILED", {"reason": "ENTRY_POINT_NOT_FOUND"}, ["HANDOFF_FAILED ENTRY_POINT", "no active flow"]),
        ("HANDOFF_FAILED", {"reason": "something new"}, ["something new", "its events do not reach this server"]),
        ("HANDOFF_TIMEOUT", {}, ["HANDOFF_TIMEOUT", "no agent is available"]),
        ("HANDOFF_ACCEPTED", {}, ["no LIVE_AGENT_JOINED", "no agent is available", "the entry point's flow"]),
    ],
)
async def test_step_3_it_is_not_taken(
    capsys: Printed, far: FakeMessaging, event: str, payload: dict[str, Any], texts: list[str]
) -> None:
    async def answer(session: FakeSession, text: str) -> None:
        await handed_over(session, text)
        if event:
            await session.log(event, payload)

    far.on_message = answer
    printed = await failed(capsys, plan(far.url), 3)
    assert [text for text in texts if text not in printed] == []


async def test_steps_4_and_5_name_what_is_missing(capsys: Printed, far: FakeMessaging) -> None:
    known = ["LIVE_AGENT_RECEIVED_MESSAGE", "LIVE_AGENT_MESSAGE"]

    async def answer(session: FakeSession, text: str) -> None:
        if text == SAY:
            for event in ("POLY_AGENT_TRIGGERED_HANDOFF", "HANDOFF_ACCEPTED", "LIVE_AGENT_JOINED"):
                await session.log(event)
            return
        for event in known:
            await session.log(event, {"text": "Hello"})

    far.on_message = answer
    printed = await failed(capsys, plan(far.url), 5)
    assert "no SESSION_END within 0 s" in printed
    assert "nobody ended the conversation, or the events for tasks do not reach this server" in printed
    known.remove("LIVE_AGENT_MESSAGE")
    printed = await failed(capsys, plan(far.url), 4)
    assert "the asset's webhook URL or secret in Control Hub is not the one of this connection" in printed
    known.clear()
    printed = await failed(capsys, plan(far.url), 4)
    assert "the message was refused by the channel's policy" in printed


async def test_an_end_before_its_time_is_told(capsys: Printed, far: FakeMessaging) -> None:
    async def answer(session: FakeSession, text: str) -> None:
        await handed_over(session, text)
        await session.log("SESSION_END", {"reason": "REASON_ERROR"})

    far.on_message = answer
    printed = await failed(capsys, plan(far.url), 3)
    assert "SESSION_END REASON_ERROR" in printed
    assert "the conversation was ended before the step was over" in printed


@pytest.mark.parametrize("step", [3, 5])
async def test_an_end_while_the_connection_is_away_is_known_when_it_comes_back(
    capsys: Printed, far: FakeMessaging, step: int
) -> None:
    """The server does not know a session that is over: messaging-protocol.md W24. In step 5 that is what is wanted."""

    async def answer(session: FakeSession, text: str) -> None:
        if text == SAY:
            await handed_over(session, text)
            if step == 5:
                await session.log("HANDOFF_ACCEPTED")
                await session.log("LIVE_AGENT_JOINED")
                return
        else:
            await session.log("LIVE_AGENT_RECEIVED_MESSAGE")
            await session.log("LIVE_AGENT_MESSAGE", {"text": "Hello"})
        far.sessions.clear()
        await session.close(1012)

    far.on_message = answer
    patient = plan(far.url, open_s=30.0, agent_s=30.0)
    if step == 3:
        assert "it was over when the connection came back" in await failed(capsys, patient, 3)
    else:
        assert await run_steps(patient), capsys.readouterr().out


@pytest.mark.parametrize(
    ("event", "reason", "text"),
    [
        ("HANDOFF_FAILED", "CHANNEL_ASSET_UNDEFINED", "business address"),
        ("HANDOFF_FAILED", "FEATURE_FLAG_DISABLED", "ask your Cisco team"),
        ("HANDOFF_FAILED", "entry_point_not_found", "entry point"),
        ("HANDOFF_FAILED", "ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED", "limit of digital contacts"),
        ("HANDOFF_FAILED", "CONVERSATION_ALREADY_OPEN", "end it in the desktop"),
        ("HANDOFF_FAILED", "CONVERSATION_CREATION_FAILED", "a problem of its own"),
        ("HANDOFF_FAILED", "INVALID_CONTENT", "policy refuses"),
        ("HANDOFF_FAILED", "auth_failed", "does not accept the tokens"),
        ("HANDOFF_FAILED", "scope_missing", "a scope is missing"),
        ("HANDOFF_FAILED", "misconfigured", "not usable"),
        ("HANDOFF_FAILED", "not_started", "still being started"),
        ("HANDOFF_FAILED", "token_endpoint_unavailable", "no access token"),
        ("HANDOFF_FAILED", "unavailable", "does not answer"),
        ("HANDOFF_FAILED", "not_connected", "start the server anew"),
        ("HANDOFF_FAILED", "something new", "otherwise"),
        ("HANDOFF_TIMEOUT", "", "no agent is available"),
        ("SESSION_END", "", "ended before"),
    ],
)
def test_causes(event: str, reason: str, text: str) -> None:
    assert text in failure_cause(event, reason, "otherwise")


# --- with a server and the emulator


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


async def planned(server: Server, **changes: Any) -> Plan:
    options = {"wanted": "", "url": "", "token": "", "say": (SAY,), "agent_s": 15.0, "play_agent": True}
    return await make_plan(server.settings, "webex", **{**options, **changes})


async def test_a_connection_that_breaks_while_it_waits_is_opened_again(
    server: Server, sim: RunningSim, capsys: Printed
) -> None:
    port = int(server.url.rpartition(":")[2])
    async with TcpProxy(port) as proxy:
        chosen = await planned(server, url=f"http://127.0.0.1:{proxy.port}", agent_s=20.0)

        async def cut() -> None:
            while True:
                if sim.sim.world.tasks:
                    proxy.cut()
                await asyncio.sleep(0.2)

        cutting = asyncio.create_task(cut())
        try:
            passed = await run_steps(chosen)
        finally:
            cutting.cancel()
    printed = capsys.readouterr().out
    assert passed, printed
    assert "The connection to the server broke (code 1006) and was opened again." in printed


async def test_what_the_emulator_could_not_deliver_is_told(server: Server, sim: RunningSim, capsys: Printed) -> None:
    faults = f"{sim.url}/__sim/v1/faults"
    await planned(server)
    async with opened(server.settings, reading=True) as installation:
        await installation.http.post(faults, json={"match": {"event": "task:ended"}, "effect": {"drop": True}})
        printed = await failed(capsys, await planned(server, agent_s=1.0), 5)
        assert "A fault of the emulator dropped task:ended." in printed
        await installation.http.post(faults, json={"match": {"endpoint": "asset"}, "effect": {"status": 500}})
        printed = await failed(capsys, await planned(server, agent_s=1.0), 4)
        assert "to send task-message:appended; the last time it was answered HTTP 500." in printed
        asset = {"businessAddress": sim.sim.settings.assets[0].business_address, "webhookUrl": ""}
        await installation.http.put(f"{sim.url}/__sim/v1/config", json={"assets": [asset]})
        printed = await failed(capsys, await planned(server, agent_s=1.0), 4)
        assert "The emulator sent no task-message:appended: the asset has no webhook URL." in printed
    for subscription in sim.sim.world.subscriptions.values():
        subscription.status = "inactive"
    printed = await failed(capsys, replace(await planned(server, agent_s=1.0), open_s=1.0), 3)
    assert "its events do not reach this server" in printed


async def test_what_is_missing_is_named_before_anything_is_tried(server: Server, sim: RunningSim) -> None:
    for options, text in [
        ({"token": "another"}, "there is no connector for the project"),
        ({"wanted": "nothing"}, "is no connection"),
        ({"url": server.url, "play_agent": True, "wanted": "Second"}, "is no connection"),
    ]:
        with pytest.raises(ConfigError, match=text):
            await planned(server, **options)
    chosen = await planned(server)
    nowhere = replace(chosen, emulator_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match="works against Warmline's Webex emulator only"):
        await run_steps(nowhere)
    first = chosen.connection
    await server.store.save_connection(replace(first, id="second", name="Second"))
    with pytest.raises(ConfigError, match="name one of"):
        await planned(server)


async def test_without_the_feature_webexs_own_reason_is_explained(
    server: Server, sim: RunningSim, capsys: Printed
) -> None:
    sim.sim.configure(msgspec.structs.replace(sim.sim.settings, feature_enabled=False))
    assert "Custom Messaging is not enabled for the organization" in await failed(capsys, await planned(server), 3)
