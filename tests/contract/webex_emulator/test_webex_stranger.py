"""The emulated Webex and its document, as somebody uses them who knows nothing of Warmline."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from warmline.testing.server import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = Path(__file__).parents[3] / "docs" / "providers" / "webex-emulator.md"


def blocks(language: str) -> list[str]:
    """The document's examples in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


async def ran(*command: str, **environment: str) -> str:
    """Run a command that must succeed; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def webex() -> AsyncIterator[str]:
    """The emulator, started with the document's command; its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "warmline.cli.main", "emulate", "webex", "--port", str(port)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(40):
        while b"Control plane" not in await process.stdout.readline():
            assert process.returncode is None
    yield f"http://localhost:{port}"
    process.terminate()
    await process.wait()


async def test_the_documents_client_goes_from_the_token_to_the_end(webex: str) -> None:
    [client] = blocks("python")
    assert "warmline" not in client
    output = await ran(sys.executable, "-c", client, WEBEX=webex, OUR_PORT=str(free_port()))
    assert output.splitlines() == [
        "task:new ",
        "task:connected ",
        "task-message:appended INBOUND",
        "task-message:appended OUTBOUND",
        "agent: <p>Let me look.</p>",
        "task:ended ",
        "ended by Customer",
    ]


async def test_every_command_of_the_document_works_as_it_stands(webex: str) -> None:
    commands = blocks("sh")
    assert len(commands) >= 7
    for command in commands:
        await ran("sh", "-e", "-c", command.replace("curl -f", "curl -fsS").replace("http://localhost:8090", webex))


async def test_the_document_names_every_scenario_action_and_setting_that_there_is(webex: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    async with aiohttp.ClientSession(f"{webex}") as http:
        async with http.get("/__sim/v1/scenarios") as answer:
            known = set((await answer.json())["scenarios"])
        async with http.get("/__sim/v1/config") as answer:
            config = await answer.json()
        for action in ("login", "logout", "accept", "decline", "attach", "consult", "confer", "leave", "wrapup"):
            async with http.post(f"/__sim/v1/agents/agent-1/{action}", json={"taskId": 1}) as answer:
                assert answer.status != 404, action
            assert f"/{action}`" in text
    paragraph = text.partition("## Scenarios")[2].partition("```")[0]
    assert set(re.findall(r"`([a-z0-9_]+)`", paragraph)) == known
    table = text.partition("| Setting | What |")[2].partition("\n\n")[0]
    named = {
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`([a-zA-Z]+)(?:\[\]\.[a-z]+)?`", row.split("|")[1])
    }
    assert named <= set(config), named - set(config)
    assert {"channels", "noiseEvents", "encryptFiles"} <= named
