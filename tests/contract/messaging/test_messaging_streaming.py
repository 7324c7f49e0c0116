"""Answers that are shown while their turn runs (messaging-protocol.md §7), over real WebSockets."""

import asyncio
from pathlib import Path

from support.server import messaging_server
from warmline.domain import texts
from warmline.domain.messages import Say
from warmline.testing.engine import Reply
from warmline.testing.messaging_client import MessagingClient


def _chunks(client: MessagingClient) -> list[tuple[int, str, bool]]:
    payloads = [event.payload for event in client.all("POLY_AGENT_MESSAGE_CHUNK")][1:]
    return [(payload["chunk_index"], payload["text"], payload["is_complete"]) for payload in payloads]


async def test_A2_pieces_come_before_the_turn_is_over_and_its_outcome_completes_them(tmp_path: Path) -> None:
    async with messaging_server(tmp_path) as server, MessagingClient(server.url, streaming=True) as client:
        go_on = asyncio.Event()
        says = (Say(text="One. Two. Three.", suggestions=("Yes",)), Say(text="Four."))
        server.engine.on("count", Reply(says=says, streams=("One. ", "Two. "), until=go_on))
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE_CHUNK")
        await client.say("count")
        await client.wait(lambda: "".join(text for _, text, _ in _chunks(client)) == "One. Two. ", "both pieces")
        go_on.set()
        await client.wait(lambda: [c[2] for c in _chunks(client)].count(True) == 2, "both messages")
        *streamed, last, other = _chunks(client)
        assert (last[1:], other) == (("Three.", True), (1, "Four.", True))
        assert [index for index, *_ in (*streamed, last)] == list(range(1, len(streamed) + 2))
        assert client.violations == []


async def test_a_client_without_streaming_gets_the_whole_message_only(tmp_path: Path) -> None:
    async with messaging_server(tmp_path) as server, MessagingClient(server.url) as client:
        server.engine.on("count", Reply(says=(Say(text="One. Two."),), streams=("One. ",)))
        await client.start()
        await client.say("count")
        assert (await client.expect("POLY_AGENT_MESSAGE", 2)).payload["text"] == "One. Two."
        assert client.all("POLY_AGENT_MESSAGE_CHUNK") == []


async def test_an_engine_that_breaks_in_the_middle_leaves_no_open_message(tmp_path: Path) -> None:
    async with messaging_server(tmp_path) as server, MessagingClient(server.url, streaming=True) as client:
        server.engine.on("count", Reply(streams=("One. ",), raises=RuntimeError("broken")))
        await client.start()
        await client.say("count")
        assert (await client.expect("SYSTEM_MESSAGE")).payload["message"] == texts.TURN_FAILED
        assert _chunks(client) == [(1, "One. ", False), (2, "", True)]


async def test_a_turn_that_was_interrupted_in_the_middle_is_not_answered_twice(tmp_path: Path) -> None:
    async with MessagingClient("", streaming=True) as client:
        async with messaging_server(tmp_path, drain_s=0.05) as server:
            server.engine.on("count", Reply(streams=("One. ",), until=asyncio.Event()))
            client.base_url = server.url
            await client.start()
            await client.expect("POLY_AGENT_MESSAGE_CHUNK")
            await client.say("count")
            await client.expect("POLY_AGENT_MESSAGE_CHUNK", 2)
            await client.drop()
        async with messaging_server(tmp_path) as again:
            again.engine.on("count", Reply(says=(Say(text="One. Two."),)))
            client.base_url = again.url
            await client.reconnect()
            assert (await client.expect("SYSTEM_MESSAGE")).payload["message"] == texts.TURN_FAILED
            assert _chunks(client) == [(1, "One. ", False), (2, "", True)]
            assert again.engine.turns == []
