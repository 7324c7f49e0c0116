"""Bad input from customers, from whoever calls the webhooks, and from projects, at the whole server.

Each finds a clear answer in the right place and leaves every other session untouched: a bystander talks on
through every test and would notice.
"""

import asyncio
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support.agent_projects import calling, function_file, topic_file, write_project
from support.bystander import bystander, live_bystander
from support.desk import Desk
from support.installation import TOKEN, ServerProcess, customer, emulator, installation
from support.server_log import ServerLog
from warmline.emulators.webex import RunningSim
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient, Refused
from warmline.testing.server import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID = "Unknown event type or invalid message format"
APOLOGY = "Sorry, I'm having trouble responding right now. Please try again."
NO_HANDOFF = "Sorry, handoff could not be initiated."
QUESTION, ANSWER = "please run be_fine now", "Fine."
WISH = "please run ask_human now"

FUNCTIONS = {
    "be_fine": 'return {"utterance": "Fine."}',
    "ask_human": 'return {"utterance": "One moment.", "handoff": {"text_chat": {"webex_integration": {}}}}',
    "do_raise": "raise RuntimeError('trouble with ' + str(conv.history[-1].text))",
    "do_hang": "import time\ntime.sleep(60)",
    "do_leave": "import os\nos._exit(3)",
    "do_exit": "import sys\nsys.exit(1)",
    "do_number": "return 42",
    "do_nonsense": 'return {"utterance": ["no", "text"], "transition": 7, "hangup": "perhaps", "what": object()}',
    "no_integration": 'return {"handoff": {"text_chat": {"nobody_integration": {}}}}',
    "no_provider": 'return {"handoff": {"text_chat": {"salesforce_integration": {}}}}',
    "no_form": 'return {"handoff": {"somewhere": True}}',
    "no_connection": 'return {"handoff": {"text_chat": {"webex_integration": {"connection": "nobody"}}}}',
    "odd_options": (
        'return {"handoff": {"text_chat": {"webex_integration": {"global_variables": [1], "colour": "blue"}}}}'
    ),
}
BROKEN = {
    "topics/broken.yaml": "name: broken\n  example_queries: [\n",
    "functions/no_python.py": "from _gen import *\n\n\ndef no_python(conv: Conversation:\n    return None\n",
    "topics/run_no_python.yaml": topic_file(
        "run no python", "please run no_python now", actions="Call {{fn:no_python}}."
    ),
    "functions/no_import.py": function_file("no_import", "return None").replace("\n\n\n", "\nimport nowhere\n\n", 1),
    "topics/run_no_import.yaml": topic_file(
        "run no import", "please run no_import now", actions="Call {{fn:no_import}}."
    ),
}


@dataclass
class Site:
    """A server with a project full of mistakes, connected to an emulator."""

    sim: RunningSim
    server: ServerProcess
    log: ServerLog
    http: aiohttp.ClientSession

    async def post(self, path: str, headers: dict[str, str], body: bytes = b"{}") -> tuple[int, str]:
        url = path if path.startswith("http") else self.server.url + path
        async with self.http.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        async with self.http.get(f"{self.server.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        wanted = [line for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        matching = [line for line in wanted if all(f'{key}="{value}"' in line for key, value in labels.items())]
        return sum(float(line.rpartition(" ")[2]) for line in matching)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("bad-input")
    project = write_project(folder / "project", {**calling(*FUNCTIONS.items()), **BROKEN})
    log = ServerLog(folder / "server.log")
    order = {"project": project, "log": log.path, "log_format": "json", "log_level": 10, "limited": True}
    async with emulator() as sim, installation(f"sqlite:///{folder}/warmline.db", sim, **order) as server:
        async with aiohttp.ClientSession() as http:
            yield Site(sim, server, log, http)


@pytest_asyncio.fixture(loop_scope="module")
async def other(site: Site) -> AsyncIterator[MessagingClient]:
    """A bystander who talks with the virtual agent."""
    async with bystander(site.server, QUESTION, ANSWER) as visitor:
        yield visitor


async def notice(visitor: MessagingClient, text: str, count: int = 1, timeout: float = PATIENCE_S) -> dict[str, Any]:
    """Wait for the `count`th SYSTEM_MESSAGE with that text."""
    await visitor.wait(lambda: len(_notices(visitor, text)) >= count, f"{text!r} number {count}", timeout)
    return _notices(visitor, text)[count - 1]


def _notices(visitor: MessagingClient, text: str) -> list[dict[str, Any]]:
    return [dict(e.raw) for e in visitor.all("SYSTEM_MESSAGE") if e.payload["message"] == text]


async def is_answered(visitor: MessagingClient) -> None:
    """The virtual agent answers the next message."""
    before = len(visitor.all("POLY_AGENT_MESSAGE"))
    await visitor.say_and_wait(QUESTION)
    said = await visitor.expect("POLY_AGENT_MESSAGE", before + 1)
    assert said.payload["text"] == ANSWER


# --- customers -----------------------------------------------------------------------------------------------------


async def test_wrong_tokens_and_hosts_are_told_what_is_wrong(site: Site, other: MessagingClient) -> None:
    path = "/api/v1/access-token"
    for headers, text in (
        ({}, "Missing authentication headers"),
        ({"X-Token": "another-token", "X-Host": "localhost"}, "Connector token does not exist"),
        ({"X-Token": TOKEN, "X-Host": "elsewhere.example"}, "Failed to validate connector"),
    ):
        status, body = await site.post(path, headers)
        assert status == 401
        assert text in body
    status, body = await site.post("/api/v1/sessions", {"Authorization": "Bearer a.b.c"})
    assert status == 401
    assert "Invalid access token" in body
    logged = site.log.text()
    assert "another-token" not in logged
    assert TOKEN not in logged


async def test_a_foreign_session_is_out_of_reach(site: Site, other: MessagingClient) -> None:
    async with customer(site.server) as thief:
        await thief.start()
        await thief.expect("POLY_AGENT_MESSAGE")
        for query, status in (
            ({"session_id": other.session_id}, 401),
            ({"access_token": "a.b.c"}, 401),
            ({"session_id": str(uuid.uuid4())}, 404),
            ({"session_id": ""}, 400),
        ):
            with pytest.raises(Refused) as refused:
                await thief.connect(**query)
            assert refused.value.status == status, query
        await thief.reconnect()
        await is_answered(thief)


async def test_bad_frames_are_answered_and_good_ones_around_them_arrive(site: Site) -> None:
    """In a conversation with a live agent, who reads nothing of it; another live conversation goes on."""
    async with Desk(site.sim.url, "agent-2") as busy, Desk(site.sim.url) as desk, live_bystander(
        site.server, busy, WISH
    ), customer(site.server) as visitor:  # fmt: skip
        await desk.ready()
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait(WISH)
        task_id = await desk.take()
        await visitor.expect("LIVE_AGENT_JOINED")
        await visitor.say("first")
        bad: list[tuple[str | bytes, str]] = [
            (_message("x" * 131_073), "Message too large"),
            (b"\x00\x01", INVALID),
            ('{"type": "EVENT_TYPE_USER_MESSAGE", "payl', INVALID),
            ("[]", INVALID),
            ('{"type": "EVENT_TYPE_NOTHING_KNOWN", "payload": {}}', INVALID),
            ('{"type": "EVENT_TYPE_USER_MESSAGE", "payload": {"text": 7}}', INVALID),
            ('{"type": "EVENT_TYPE_LIVE_AGENT_MESSAGE", "payload": {}}', "Event type not allowed: "),
            ('{"type": "EVENT_TYPE_SESSION_END", "payload": {}}', "Event type not allowed: "),
        ]
        for number, (frame, text) in enumerate(bad, start=1):
            await visitor.send_raw(frame)
            told = await visitor.expect("SYSTEM_MESSAGE", number)
            assert told.payload["message"].startswith(text), frame[:60]
            assert told.payload["level"] == "SYSTEM_MESSAGE_LEVEL_ERROR"
        await visitor.say_and_wait("second")
        await visitor.send_raw(_message("y" * 1_048_576))
        assert await visitor.expect_close() == 1009
        await visitor.reconnect()
        await visitor.say_and_wait("third")
        await desk.until_heard(task_id, ["first", "second", "third"])
        await desk.end(task_id)
        await visitor.expect("SESSION_END")
        assert visitor.violations == []
    assert site.log.tracebacks() == []


def _message(text: str) -> str:
    return json.dumps({"type": "EVENT_TYPE_USER_MESSAGE", "payload": {"text": text}})


async def test_a_flood_is_slowed_down_and_what_was_echoed_is_answered(site: Site, other: MessagingClient) -> None:
    async with customer(site.server, resend_s=60.0) as flooder:
        await flooder.start()
        await flooder.expect("POLY_AGENT_MESSAGE")
        began = time.monotonic()
        for _ in range(300):
            await flooder.say(QUESTION)
        await notice(flooder, "You are sending messages too quickly. Please wait a moment and try again.")
        # 30 frames in 10 s, and one of them asked the virtual agent in.
        await flooder.expect("POLY_AGENT_MESSAGE", 1 + 29)
        took_s = time.monotonic() - began
        assert 29 <= len(flooder.all("USER_MESSAGE")) <= 32 + 3 * took_s
        assert 1 <= len(flooder.all("SYSTEM_MESSAGE")) <= 1 + took_s / 10
        await flooder.end()
        await flooder.expect("SESSION_END")
        assert flooder.violations == []


# --- webhooks ------------------------------------------------------------------------------------------------------


async def test_webhooks_that_are_not_genuine_or_not_ours_change_nothing(site: Site) -> None:
    answer = site.server.answer
    async with Desk(site.sim.url, "agent-2") as busy, Desk(site.sim.url) as desk, live_bystander(
        site.server, busy, WISH
    ), customer(site.server) as visitor:  # fmt: skip
        await desk.ready()
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait(WISH)
        task_id = await desk.take()
        await visitor.expect("LIVE_AGENT_JOINED")
        await desk.say(task_id, "one")
        await visitor.expect("LIVE_AGENT_MESSAGE")

        said = _hook(site, task_id, text="forged words")
        over = _hook(site, task_id, kind="task:ended")
        now = round(time.time() * 1000)
        foreign = {**said, "comciscoorgid": str(uuid.uuid4())}
        base, asset = f"{site.server.url}/hooks", answer["asset_webhook_url"]
        cases: list[tuple[str, str, bytes, dict[str, str], int]] = [
            ("forged", asset, _raw(said), _signed(site, said, secret="f" * 32), 401),
            ("forged end", answer["events_webhook_url"], _raw(over), _signed(site, over, secret="f" * 32), 401),
            ("unsigned", asset, _raw(said), {}, 401),
            ("changed on the way", asset, _raw(over), _signed(site, said), 401),
            ("another time in the header", asset, _raw(said), _signed(site, said, stamp=now + 1), 401),
            ("another organization", asset, _raw(foreign), _signed(site, foreign), 401),
            ("unknown connection", f"{base}/webex/{uuid.uuid4()}/asset", _raw(said), _signed(site, said), 404),
            ("wrong provider", f"{base}/genesys/{answer['connection_id']}/asset", _raw(said), _signed(site, said), 404),
            ("wrong endpoint", f"{base}/webex/{answer['connection_id']}/else", _raw(said), _signed(site, said), 404),
        ]
        for name, shift_s in (("stale", -600), ("future", 600)):
            old = {**said, "comciscotimestamp": now + shift_s * 1000}
            cases.append((name, asset, _raw(old), _signed(site, old), 403))
        for name, body in (("no JSON", b'{"id": '), ("no object", b"[1]"), ("no id", b'{"type": "task:ended"}')):
            cases.append((name, asset, body, {"X-WebexCC-Signature": _signature(site, body)}, 400))
        big = _raw({**said, "data": {**said["data"], "padding": "x" * (1 << 20)}})
        cases.append(("too large", asset, big, {"X-WebexCC-Signature": _signature(site, big)}, 413))
        unknown = _hook(site, str(uuid.uuid4()), text="words for nobody")
        cases.append(("unknown task", asset, _raw(unknown), _signed(site, unknown), 200))
        elsewhere = _hook(site, task_id, text="words in a mail")
        elsewhere["data"]["channelType"] = "email"
        cases.append(("another channel", asset, _raw(elsewhere), _signed(site, elsewhere), 200))
        odd = {**_hook(site, task_id, text=""), "data": {"taskId": task_id, "messageDirection": ["OUTBOUND"]}}
        cases.append(("odd data", asset, _raw(odd), _signed(site, odd), 200))
        for name, url, raw, headers, status in cases:
            assert (await site.post(url, headers, raw))[0] == status, name

        await desk.say(task_id, "two")
        await visitor.expect("LIVE_AGENT_MESSAGE", 2)
        await asyncio.sleep(1.0)
        await visitor.say_and_wait("still here")
        await desk.until_heard(task_id, ["still here"])
        assert [event.payload["text"] for event in visitor.all("LIVE_AGENT_MESSAGE")] == ["one", "two"]
        assert visitor.ended is None
        assert visitor.violations == []
        assert visitor.all("SYSTEM_MESSAGE") == []

        for code in ("bad_signature", "timestamp_mismatch", "other_organization", "stale", "not_an_envelope"):
            assert await site.metric("warmline_webhooks_total", result=code) >= 1, code
        assert await site.metric("warmline_inbox_rows_total", result="parked") == 1
        refused = await site.log.wait("webhook.refused", level="warning")
        assert refused["connection_id"] == answer["connection_id"]
        assert len(site.log.records("webhook.refused")) == 1
        await desk.end(task_id)
        await visitor.expect("SESSION_END")
    assert site.log.tracebacks() == []


def _hook(site: Site, task_id: str, *, kind: str = "task-message:appended", text: str = "") -> dict[str, Any]:
    now = round(time.time() * 1000)
    data: dict[str, Any] = {"taskId": task_id, "createdTime": now, "channelType": "customMessaging"}
    if kind == "task-message:appended":
        message = {"aliasId": str(uuid.uuid4()), "text": text, "timestamp": now}
        data |= {"messageDirection": "OUTBOUND", "senderType": "agent", "senderId": str(uuid.uuid4())}
        data |= {"channelParams": {"type": "text", "message": message}}
    return {
        "id": str(uuid.uuid4()),
        "specversion": "1.0",
        "type": kind,
        "comciscoorgid": site.sim.sim.settings.org_id,
        "comciscotimestamp": now,
        "data": data,
    }


def _raw(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _signature(site: Site, raw: bytes, secret: str = "") -> str:
    key = (secret or site.server.answer["asset_webhook_secret"]).encode()
    return hmac.new(key, raw, hashlib.sha256).hexdigest()


def _signed(site: Site, body: dict[str, Any], *, secret: str = "", stamp: int | None = None) -> dict[str, str]:
    return {
        "X-WebexCC-Signature": _signature(site, _raw(body), secret),
        "X-WebexCC-Timestamp": str(stamp or body["comciscotimestamp"]),
    }


# --- projects ------------------------------------------------------------------------------------------------------


async def test_mistakes_in_the_files_are_told_at_the_start_with_file_and_line(
    site: Site, other: MessagingClient
) -> None:
    for file, rule in (("topics/broken.yaml", "yaml"), ("functions/no_python.py", "python")):
        found = [r for r in site.log.records("project.problem") if r["file"] == file]
        assert found, file
        assert found[0]["line"] > 0
        assert found[0]["level"] in ("warning", "error")
        assert re.search(rule, found[0]["rule"] + found[0]["text"], re.IGNORECASE)


@pytest.mark.parametrize(
    ("name", "text", "rule", "line"),
    [
        ("do_raise", APOLOGY, "function-error", 6),
        ("do_leave", APOLOGY, "function-exit", 7),
        ("do_exit", APOLOGY, "function-exit", 7),
        ("no_python", APOLOGY, "", 4),
        ("no_import", APOLOGY, "function-error", 2),
        ("no_integration", NO_HANDOFF, "handoff-malformed", 6),
        ("no_form", NO_HANDOFF, "handoff-malformed", 6),
        ("no_provider", NO_HANDOFF, "handoff_not_available", 6),
        ("no_connection", NO_HANDOFF, "handoff_not_connected", 6),
    ],
)
async def test_a_mistake_in_a_function_costs_one_answer(
    site: Site, other: MessagingClient, name: str, text: str, rule: str, line: int
) -> None:
    async with customer(site.server) as visitor:
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        draft = await visitor.say_and_wait(f"please run {name} now")
        told = await notice(visitor, text)
        assert told["payload"]["level"] == "SYSTEM_MESSAGE_LEVEL_ERROR"
        assert told["metadata"]["custom"]["local_id"] == draft.local_id
        await is_answered(visitor)
        assert len(visitor.all("SYSTEM_MESSAGE")) == 1
        assert "POLY_AGENT_TRIGGERED_HANDOFF" not in visitor.types()
        assert visitor.violations == []
        finding = await site.log.wait("turn.finding", file=f"functions/{name}.py", session_id=visitor.session_id)
        assert rule in finding["rule"]
        assert finding["line"] == line
    assert f"please run {name}" not in site.log.text()


async def test_a_function_that_hangs_is_stopped_and_nobody_else_waits(site: Site, other: MessagingClient) -> None:
    async with customer(site.server) as visitor:
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait("please run do_hang now")
        await visitor.say_and_wait(QUESTION)
        await notice(visitor, APOLOGY)
        said = await visitor.expect("POLY_AGENT_MESSAGE", 2)
        assert said.payload["text"] == ANSWER
        assert len(visitor.all("POLY_AGENT_THINKING")) >= 3
        finding = await site.log.wait("turn.finding", rule="function-timeout")
        assert (finding["file"], finding["line"]) == ("functions/do_hang.py", 7)


@pytest.mark.parametrize("name", ["do_number", "do_nonsense", "odd_options"])
async def test_nonsense_that_a_function_returns_is_no_dead_end(site: Site, other: MessagingClient, name: str) -> None:
    async with customer(site.server) as visitor:
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait(f"please run {name} now")
        if name == "odd_options":
            await visitor.expect("HANDOFF_ACCEPTED")
            left_out = await site.log.wait("webex.options_left_out")
            assert left_out["names"] == ["colour", "global_variables"]
        else:
            await visitor.wait(
                lambda: len(visitor.all("POLY_AGENT_MESSAGE")) > 1 or bool(visitor.all("SYSTEM_MESSAGE")), "an answer"
            )
            await site.log.wait("turn.finding", file=f"functions/{name}.py")
            before = len(visitor.all("POLY_AGENT_MESSAGE"))
            await visitor.say_and_wait(QUESTION)
            assert (await visitor.expect("POLY_AGENT_MESSAGE", before + 1)).payload["text"] == ANSWER
        await visitor.end()
        await visitor.expect("SESSION_END")
        assert visitor.violations == []


async def test_without_a_connection_or_a_sound_project_file_the_rest_works(tmp_path: Path) -> None:
    lonely = write_project(tmp_path / "lonely", calling(*FUNCTIONS.items()))
    broken = write_project(tmp_path / "broken", calling(*FUNCTIONS.items()))
    (broken / "project.yaml").write_text("project_id: [unclosed\n")
    logs = [ServerLog(tmp_path / "lonely.log"), ServerLog(tmp_path / "broken.log")]
    servers = [
        ServerProcess(
            {
                "database_url": f"sqlite:///{tmp_path}/{project.name}.db",
                "project": str(project),
                "connector_token": TOKEN,
                "port": free_port(),
                "log_format": "json",
            },
            log.path,
        )
        for project, log in zip((lonely, broken), logs, strict=True)
    ]
    try:
        await asyncio.gather(*(server.start() for server in servers))
        async with customer(servers[0]) as visitor, customer(servers[1]) as unlucky:
            await visitor.start()
            await visitor.expect("POLY_AGENT_MESSAGE")
            await visitor.say_and_wait(WISH)
            await notice(visitor, NO_HANDOFF)
            await is_answered(visitor)
            finding = await logs[0].wait("turn.finding", rule="handoff_not_connected")
            assert (finding["file"], finding["line"]) == ("functions/ask_human.py", 6)
            await unlucky.start()
            await unlucky.expect("POLY_AGENT_MESSAGE")
            await is_answered(unlucky)
            problem = await logs[1].wait("project.problem", file="project.yaml")
            assert problem["line"] > 0
    finally:
        await asyncio.gather(*(server.kill() for server in servers))
