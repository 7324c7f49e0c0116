"""Steps that tests of the messaging channel share."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp

from support.server import HANDOFF_ID, MessagingServer
from warmline.channels.messaging import MessagingLimits
from warmline.domain import commands as c
from warmline.domain.messages import LiveAgent
from warmline.domain.turn import HandoffRequest
from warmline.testing.engine import Reply
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.testing.messaging_sdk import SdkClient
from warmline.web.limits import RateLimit

ANA = LiveAgent(id="agent-1", name="Ana")
FREE = MessagingLimits(frames=RateLimit(count=100_000, seconds=1))
"""Limits that no test reaches by accident."""


async def greeted(client: MessagingClient) -> MessagingClient:
    await client.start()
    await client.expect("POLY_AGENT_MESSAGE")
    return client


async def opened(customer: SdkClient) -> None:
    """Open the chat; again where the network is so bad that the SDK's own tries are used up."""
    while True:
        try:
            return await customer.live()
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)


async def same_session(client: MessagingClient, other: MessagingClient) -> MessagingClient:
    """`other` opens a socket on `client`'s session."""
    other.access_token, other.session_id = client.access_token, client.session_id
    await other.connect()
    return other


async def talk_to_live_agent(server: MessagingServer, client: MessagingClient) -> None:
    server.engine.on("a human, please", Reply(handoff=HandoffRequest(integration="webex_integration")))
    await client.say("a human, please")
    await client.expect("POLY_AGENT_LEFT")
    at = server.clock.now()
    await server.conversations.apply(client.session_id, c.ConversationOpened(at=at, handoff_id=HANDOFF_ID))
    await server.conversations.apply(client.session_id, c.AgentJoined(at=at, handoff_id=HANDOFF_ID, agent=ANA))
    await client.expect("LIVE_AGENT_JOINED")


async def live_agent_says(server: MessagingServer, client: MessagingClient, text: str, number: int) -> None:
    said = c.AgentMessage(
        at=server.clock.now(), handoff_id=HANDOFF_ID, message_id=f"live-{number}", text=text, agent=ANA
    )
    await server.conversations.apply(client.session_id, said)


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is waited for tells nobody)
            await asyncio.sleep(0.01)


def batches_of(client: MessagingClient, connection: int = -1) -> list[list[dict[str, Any]]]:
    frames = [json.loads(frame) for frame in client.connections[connection].frames]
    return [frame["payload"]["events"] for frame in frames if frame["type"] == "EVENT_TYPE_EVENT_BATCH"]


def sequences(client: MessagingClient) -> list[int]:
    return [event.sequence for event in client.journal() if event.sequence is not None]


def stop_reading(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Take nothing more from the network, as a client on a dead line."""
    connection = ws._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()
