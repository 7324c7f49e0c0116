"""The upload of a customer's file (our extension; webex-byoc.md §13.1)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.server import MessagingServer, messaging_server, one_handoff
from warmline.channels.messaging import MessagingLimits
from warmline.conversation.planning import Planned
from warmline.domain import commands as c
from warmline.domain.effects import ForwardMessage
from warmline.domain.messages import FileRules
from warmline.domain.turn import HandoffRequest
from warmline.ports import StoredSession
from warmline.testing.engine import Reply
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.web.limits import RateLimit

RULES = FileRules(max_count=1, max_bytes=50_000, max_total_bytes=50_000, types=("image/png", "text/csv"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)


def plan(stored: StoredSession, request: HandoffRequest) -> Planned:
    """A handoff whose contact centre takes small pictures and tables."""
    planned = one_handoff(stored, request).plan
    assert planned is not None
    return Planned(plan=replace(planned, files=RULES))


@contextlib.asynccontextmanager
async def with_human(
    folder: Path, limits: MessagingLimits | None = None
) -> AsyncIterator[tuple[MessagingServer, MessagingClient]]:
    async with messaging_server(folder, planner=plan, limits=limits) as server, MessagingClient(server.url) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        server.engine.on("a human", Reply(handoff=HandoffRequest(integration="webex_integration")))
        await client.say("a human")
        await client.expect("POLY_AGENT_LEFT")
        stored = await server.conversations.session(client.session_id)
        assert stored is not None
        assert stored.session.handoff is not None
        opened = c.ConversationOpened(at=server.clock.now(), handoff_id=stored.session.handoff.id)
        await server.conversations.apply(client.session_id, opened)
        await client.expect("HANDOFF_ACCEPTED")
        yield server, client


async def upload(
    server: MessagingServer, client: MessagingClient, body: Any = PNG, **query: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    url = f"{server.url}/api/v1/sessions/{client.session_id}/files"
    headers = {"Authorization": f"Bearer {client.access_token}", "Origin": "https://shop.example"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, params={"name": "a.png", **query}, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(), {k.lower(): v for k, v in answer.headers.items()}


async def test_what_can_be_sent_is_told_with_the_acceptance(tmp_path: Path) -> None:
    async with with_human(tmp_path) as (_, client):
        payload = client.all("HANDOFF_ACCEPTED")[0].payload
        limits = {"max_count": 1, "max_size_bytes": 50_000, "types": ["image/png", "text/csv"]}
        assert payload == {"capabilities": {"attachments": limits}}


async def test_an_accepted_file_is_in_the_log_and_on_its_way_before_it_is_answered(tmp_path: Path) -> None:
    async with with_human(tmp_path) as (server, client):
        status, answer, headers = await upload(server, client, local_id="ref-1", text=" my meter ")
        assert status == 201
        assert headers["access-control-allow-origin"] == "*"
        rows = [row.effect for row in await server.store.pending(range(64))]
        (forwarded,) = [effect for effect in rows if isinstance(effect, ForwardMessage)]
        assert (forwarded.message_id, forwarded.text) == (answer["message_id"], "my meter")
        (file,) = forwarded.attachments
        assert (file.title, file.mime_type, file.size) == ("a.png", "image/png", len(PNG))
        echo = await client.expect("USER_MESSAGE", 2)
        assert echo.payload["message_id"] == answer["message_id"]
        assert echo.custom == {"local_id": "ref-1"}
        assert len(echo.payload["attachments"]) == 1


async def test_the_same_reference_is_the_same_message_also_at_once(tmp_path: Path) -> None:
    async with with_human(tmp_path) as (server, client):
        answers = await asyncio.gather(*(upload(server, client, local_id="ref-1") for _ in range(5)))
        assert {status for status, _, _ in answers} == {201}
        assert len({answer["message_id"] for _, answer, _ in answers}) == 1
        await client.settle()
        assert len(client.all("USER_MESSAGE")) == 2


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ({"name": "a.pdf"}, PNG, 415),
        ({"name": "a.txt"}, b"only tables are taken", 415),
        ({}, b"", 400),
        ({}, PNG + bytes(50_000), 413),
        ({"local_id": "no spaces"}, PNG, 400),
    ],
)
async def test_what_is_refused_leaves_no_trace(tmp_path: Path, query: dict[str, str], body: bytes, status: int) -> None:
    async with with_human(tmp_path) as (server, client):
        found, answer, headers = await upload(server, client, body, **query)
        assert found == status
        assert headers["access-control-allow-origin"] == "*"
        assert answer["message"]
        await client.settle()
        assert len(client.all("USER_MESSAGE")) == 1


async def test_a_body_that_lies_about_its_length_is_cut_off(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield PNG

    async with with_human(tmp_path) as (server, client):
        with contextlib.suppress(aiohttp.ClientError):
            status, _, _ = await upload(server, client, endless())
            assert status == 413
        await client.settle()
        assert len(client.all("USER_MESSAGE")) == 1


async def test_files_have_a_rate_limit_of_their_own(tmp_path: Path) -> None:
    limits = MessagingLimits(files=RateLimit(count=2, seconds=60))
    async with with_human(tmp_path, limits) as (server, client):
        statuses = [(await upload(server, client))[0] for _ in range(3)]
        assert statuses == [201, 201, 429]
        assert int((await upload(server, client))[2]["retry-after"]) >= 1


async def test_only_so_many_files_arrive_at_once(tmp_path: Path) -> None:
    rest = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield PNG[:100]
        await rest.wait()
        yield PNG[100:]

    limits = MessagingLimits(uploads=1, files=RateLimit(count=1_000_000, seconds=1))
    async with with_human(tmp_path, limits) as (server, client), asyncio.timeout(PATIENCE_S):
        status, first = 201, asyncio.create_task(upload(server, client, slow()))
        while status == 201:
            if first.done():  # It found another one under way.
                first = asyncio.create_task(upload(server, client, slow()))
            status, _, headers = await upload(server, client)
        assert (status, headers["retry-after"]) == (503, "5")
        rest.set()
        assert (await first)[0] == 201
        assert (await upload(server, client))[0] == 201


async def test_pages_of_other_origins_may_upload(tmp_path: Path) -> None:
    async with (
        messaging_server(tmp_path, planner=plan) as server,
        aiohttp.ClientSession() as http,
        http.options(f"{server.url}/api/v1/sessions/x/files") as answer,
    ):
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
