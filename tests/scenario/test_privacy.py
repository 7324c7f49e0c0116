"""No word of customers or live agents, no name, number or secret is in the log, at any level (design.md §10)."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import aiohttp

from support.agent_projects import calling, write_project
from support.desk import Desk
from support.installation import TOKEN, customer, emulator, installation
from support.server_log import ServerLog
from warmline.emulators.webex.settings import AgentSpec, SimSettings

CUSTOMER = ["My name is Wilhelmina Quux", "call me on +44 7700 900123", "my card is 4111 1111 1111 1111"]
AGENT = "Dear Wilhelmina, see https://files.example/secret-offer.pdf"
NAMES = ("Xanthippe", "Zwiebel")
PRIVATE = ["Wilhelmina", "Quux", "7700 900123", "7700900123", "4111 1111", "41111111", "secret-offer", "passport-scan"]
PRIVATE += NAMES

FUNCTIONS = {
    "ask_human": (
        'return {"utterance": "One moment, Wilhelmina.", "handoff": {"text_chat": {"webex_integration": '
        '{"origin_name": "Wilhelmina Quux", "global_variables": {"caller": "+44 7700 900123", "odd": ["Quux"]}}}}}'
    ),
    "do_raise": "raise ValueError('Wilhelmina Quux is unknown')",
    "do_hang": "import time\ntime.sleep(60)",
    "do_print": (
        "print('Wilhelmina Quux')\nconv.log.info('Wilhelmina Quux')\n"
        "conv.write_metric('CALLER', 'Wilhelmina Quux')\nreturn {'utterance': 'Dear Wilhelmina'}"
    ),
    "do_number": "return {'handoff': {'text_chat': {'Wilhelmina Quux': 1}}}",
}

TOLD = {"server.started", "turn.finding", "webhook.refused", "webex.call_refused", "forward.undeliverable"}


async def test_A84_the_log_of_a_whole_conversation_tells_nothing_private(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", calling(*FUNCTIONS.items()))
    log = ServerLog(tmp_path / "server.log")
    agents = tuple(
        AgentSpec(id=spec.id, first_name=NAMES[0], last_name=NAMES[1], queues=spec.queues)
        for spec in SimSettings().agents
    )
    options = {"project": project, "log": log.path, "log_format": "json", "log_level": 10}
    async with emulator(agents=agents, html_agent_text=False) as sim:
        async with installation(f"sqlite:///{tmp_path}/w.db", sim, **options) as server:
            async with Desk(sim.url) as desk, customer(server) as visitor, aiohttp.ClientSession() as http:
                await desk.ready()
                await visitor.start()
                await visitor.expect("POLY_AGENT_MESSAGE")
                for number, name in enumerate(("do_raise", "do_print", "do_number"), start=1):
                    await visitor.say_and_wait(f"please run {name} now")
                    await visitor.wait(
                        lambda number=number: (
                            len(visitor.all("POLY_AGENT_MESSAGE")) + len(visitor.all("SYSTEM_MESSAGE")) > number
                        ),
                        "an answer",
                    )
                await visitor.say_and_wait("please run ask_human now")
                task_id = await desk.take()
                joined = await visitor.expect("LIVE_AGENT_JOINED")
                assert joined.payload["agent"]["name"] == NAMES[0]

                for text in CUSTOMER:
                    await visitor.say_and_wait(text)
                await desk.say(task_id, AGENT)
                await visitor.expect("LIVE_AGENT_MESSAGE")
                content = base64.b64encode(b"Wilhelmina's passport").decode()
                file = {"taskId": task_id, "fileName": "passport-scan.txt", "mimeType": "text/plain"}
                await desk.call("POST", "/agents/agent-1/attach", {**file, "contentBase64": content})
                await visitor.expect("LIVE_AGENT_MESSAGE", 2)

                # What goes wrong is told without what it was about.
                sim.sim.oauth.revoke_access_tokens()
                await visitor.say_and_wait("Quux again")
                append = {"endpoint": "append"}
                for effect in ({"status": 400, "times": 1}, {"status": 503, "times": 1}, {"drop": True, "times": 1}):
                    await desk.call("POST", "/faults", {"match": append, "effect": effect})
                    await visitor.say_and_wait("Wilhelmina once more")
                await visitor.send_raw('{"type": "Wilhelmina", "payload": "Quux')
                await visitor.send_raw('{"type": "EVENT_TYPE_WILHELMINA", "payload": {"text": "Quux"}}')
                await visitor.send("USER_MESSAGE", {"text": "Quux" * 40_000})
                await visitor.expect("SYSTEM_MESSAGE", 6)
                secret = server.answer["asset_webhook_secret"]
                for body in (b'{"text": "Wilhelmina Quux"}', b'["Wilhelmina'):
                    signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
                    for signature in (signed, "Wilhelmina"):
                        headers = {"X-WebexCC-Signature": signature}
                        async with http.post(server.answer["asset_webhook_url"], data=body, headers=headers) as answer:
                            assert answer.status >= 400
                async with http.get(f"{server.url}/ws?session_id=Quux&access_token=Wilhelmina&cursor=Quux"):
                    pass
                async with http.post(
                    f"{server.url}/api/v1/access-token", headers={"X-Token": "Quux", "X-Host": "Quux"}
                ):
                    pass
                for event in TOLD:
                    await log.wait(event)
                await desk.end(task_id)
                await visitor.expect("SESSION_END")
                tokens = [visitor.access_token, visitor.access_token.rpartition(".")[2], TOKEN, secret]
                settings = sim.sim.settings
                tokens += [settings.client_secret, settings.refresh_token]
                tokens += list(sim.sim.oauth.tokens.access)
            await server.stop()

    text = log.text()
    assert [private for private in PRIVATE if private.lower() in text.lower()] == []
    assert [token for token in tokens if token in text] == []
    assert visitor.session_id in text
    events = {record["event"] for record in log.records()}
    assert events >= TOLD
    assert [line for line in text.splitlines() if not line.startswith("{")] == []
    assert json.loads(text.splitlines()[0])["level"]
