"""A customer, the whole server and an emulated language model: answers while they come, and what fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from support.agent_projects import CHAT, write_project
from support.llm import LlmLab, llm_lab
from warmline.app import Server
from warmline.config import Settings
from warmline.emulators.llm.script import Answer
from warmline.ports import Connector
from warmline.testing.messaging_client import MessagingClient

ANSWER = "Your bill is ready. It is due in May. You can pay it online."
APOLOGY = "Sorry, I'm having trouble responding right now. Please try again."
AGENT = {**CHAT, "agent_settings/rules.txt": "Be brief.\n"}


@asynccontextmanager
async def _running(tmp_path: Path) -> AsyncIterator[tuple[LlmLab, Server]]:
    async with llm_lab() as lab:
        settings = Settings(
            database_url=f"sqlite:///{tmp_path}/w.db",
            secret_key="k" * 40,
            projects=write_project(tmp_path / "project", AGENT),
            port=0,
            brain="llm",
            llm=lab.endpoint(),
            relaxed=True,
        )
        server = await Server.start(settings)
        try:
            await server.store.save_connector(
                Connector(id="c1", token="demo-connector-token", project_id="sample", host="localhost")
            )
            yield lab, server
        finally:
            await server.stop()


def _chunks(client: MessagingClient) -> list[tuple[int, str, bool]]:
    """The chunks after the greeting."""
    payloads = [event.payload for event in client.all("POLY_AGENT_MESSAGE_CHUNK")][1:]
    assert len({payload["message_id"] for payload in payloads}) <= 1
    return [(payload["chunk_index"], payload["text"], payload["is_complete"]) for payload in payloads]


async def test_a_customer_reads_an_answer_while_the_model_is_still_speaking(tmp_path: Path) -> None:
    async with _running(tmp_path) as (lab, server), MessagingClient(server.url, streaming=True) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE_CHUNK")
        lab.play(Answer(say=ANSWER))
        lab.spoil(stall_after=7, stall_ms=700)
        await client.say("my bill?")
        await client.expect("POLY_AGENT_MESSAGE_CHUNK", 2)
        assert _chunks(client) == [(1, "Your bill is ready. ", False)]
        # A7: whoever comes back in the middle reads the rest, and nothing twice.
        await client.reconnect()
        await client.wait(lambda: bool(_chunks(client)) and _chunks(client)[-1][2], "the end of the answer")
        chunks = _chunks(client)
        assert "".join(text for _, text, _ in chunks) == ANSWER
        assert [index for index, *_ in chunks] == list(range(1, len(chunks) + 1))
        assert client.violations == []
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as response:
            metrics = await response.text()
        assert 'warmline_llm_tokens_total{kind="completion",purpose="turn"}' in metrics
        values = [line for line in metrics.splitlines() if not line.startswith("#")]
        assert not any("bill" in line for line in values)


async def test_half_an_answer_is_completed_and_followed_by_an_apology(tmp_path: Path) -> None:
    async with _running(tmp_path) as (lab, server), MessagingClient(server.url, streaming=True) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE_CHUNK")
        lab.play(Answer(say=ANSWER))
        lab.spoil(cut_after=7)
        await client.say("my bill?")
        notice = await client.expect("SYSTEM_MESSAGE")
        assert notice.payload["message"] == APOLOGY
        assert _chunks(client) == [(1, "Your bill is ready. ", False), (2, "", True)]
        await client.say("my bill?")
        await client.wait(lambda: len(client.all("POLY_AGENT_MESSAGE_CHUNK")) >= 4, "an answer")
        assert client.violations == []


async def test_an_endpoint_that_is_down_is_an_apology_and_its_return_an_answer(tmp_path: Path) -> None:
    async with _running(tmp_path) as (lab, server), MessagingClient(server.url) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        lab.spoil(status=401)
        await client.say("hello?")
        assert (await client.expect("SYSTEM_MESSAGE")).payload["message"] == APOLOGY
        lab.play(Answer(say=ANSWER))
        await client.say("hello?")
        assert (await client.expect("POLY_AGENT_MESSAGE", 2)).payload["text"] == ANSWER
        (record,) = [r for _, r in await server.store.turn_records(client.session_id) if b"llm-refused" in r]
        assert b"hello" not in record
