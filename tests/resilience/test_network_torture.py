"""Conversations over a network that breaks every connection: every message arrives once and in order on both sides."""

import asyncio
import random
from pathlib import Path

from structlog.testing import capture_logs

from support.messaging import ANA, FREE, opened
from support.server import HANDOFF_ID, MessagingServer, messaging_server, one_handoff
from warmline.domain import commands as c
from warmline.domain.events import UserMessage
from warmline.domain.turn import HandoffRequest
from warmline.testing import ManualClock
from warmline.testing.engine import Reply
from warmline.testing.messaging_client import MessagingClient
from warmline.testing.messaging_sdk import SdkClient, token_left_s
from warmline.testing.rough_proxy import RoughProxy

PACE = 0.02
MESSAGES = 12
WANTS_A_HUMAN = "a human, please"


async def conversation(server: MessagingServer, customer: SdkClient, number: int) -> None:
    """A handoff, then both sides write at once, then the live agent ends it."""
    await opened(customer)
    await customer.deliver(WANTS_A_HUMAN)
    await customer.expect("POLY_AGENT_LEFT", timeout=60)
    (session_id,) = customer.sessions
    await tell(server, session_id, c.ConversationOpened(at=0, handoff_id=HANDOFF_ID))
    await tell(server, session_id, c.AgentJoined(at=0, handoff_id=HANDOFF_ID, agent=ANA))

    async def agent() -> None:
        for n in range(MESSAGES):
            text = f"agent {number}.{n}"
            said = c.AgentMessage(at=0, handoff_id=HANDOFF_ID, message_id=text, text=text, agent=ANA)
            await tell(server, session_id, said)
            await asyncio.sleep(0.01)

    speaking = asyncio.create_task(agent())
    for n in range(MESSAGES):
        await customer.deliver(f"customer {number}.{n}")
    await speaking
    await customer.expect("LIVE_AGENT_MESSAGE", MESSAGES, timeout=60)


async def tell(server: MessagingServer, session_id: str, command: c.Command) -> None:
    await server.conversations.apply(session_id, command)


async def test_every_message_arrives_once_and_in_order_over_a_network_that_breaks_everything(tmp_path: Path) -> None:
    chance = random.Random(20)
    async with messaging_server(tmp_path, limits=FREE, planner=one_handoff) as server:
        server.engine.on(WANTS_A_HUMAN, Reply(handoff=HandoffRequest(integration="webex_integration")))
        async with RoughProxy(server.port, chance, life_s=(0.01, 0.12), delay_s=0.005) as proxy:
            customers = [SdkClient(proxy.url, pace=PACE, chance=chance) for _ in range(6)]
            for customer in customers:
                await customer.__aenter__()
            with capture_logs() as logs:
                await asyncio.gather(*(conversation(server, customer, n) for n, customer in enumerate(customers)))
            assert [line for line in logs if line["log_level"] in ("error", "critical")] == []
            assert sum(proxy.fates.values()) >= 30
            assert set(proxy.fates) == {"cut", "client half", "server half", "stall"}
            for number, customer in enumerate(customers):
                await check(server, customer, number)
            for customer in customers:
                await customer.__aexit__()


async def check(server: MessagingServer, customer: SdkClient, number: int) -> None:
    """What the server has, what the customer saw, and what a fresh replay shows are the same."""
    wanted = [WANTS_A_HUMAN, *(f"customer {number}.{n}" for n in range(MESSAGES))]
    log = await server.conversations.events(customer.session_id, 0)
    assert [recorded.event.text for recorded in log if isinstance(recorded.event, UserMessage)] == wanted
    saw = [event.payload["text"] for event in customer.all("LIVE_AGENT_MESSAGE")]
    assert saw == [f"agent {number}.{n}" for n in range(MESSAGES)]
    assert [event.payload["text"] for event in customer.all("USER_MESSAGE")] == wanted
    assert customer.violations == []
    assert customer.gave_up == ""
    async with MessagingClient(server.url, auto_join=False) as fresh:
        fresh.access_token, fresh.session_id = customer.access_token, customer.session_id
        await fresh.connect()
        await fresh.wait(lambda: len(fresh.journal()) >= len(log), "the whole log")
        assert [event.raw for event in fresh.journal()] == [event.raw for event in customer.journal()]


async def test_W20_a_server_that_is_away_costs_no_session(tmp_path: Path) -> None:
    async with SdkClient("", pace=PACE) as customer:
        async with messaging_server(tmp_path, limits=FREE) as server:
            port, customer.base_url = server.port, server.url
            await customer.live()
            await customer.expect("POLY_AGENT_MESSAGE")
            await server.stop_serving()
            assert await customer.expect_close() == 1012
            draft = await customer.say("is anybody there?")
            await asyncio.sleep(0.3)
        async with messaging_server(tmp_path, limits=FREE, port=port) as server:
            await customer.wait(lambda: draft.state != "sending", "the fate of the message")
            if draft.state == "failed":
                await customer.deliver("again")
            assert customer.sessions == [customer.session_id]
            await server.conversations.abandon(customer.session_id)
            assert await customer.expect_close() == 1000
        assert customer.violations == []


async def test_a_token_that_is_about_to_end_costs_the_session_as_it_does_with_the_sdks(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messaging_server(tmp_path, clock=clock, limits=FREE) as server:
        async with SdkClient(server.url, pace=PACE, now=lambda: clock.now() / 1000) as customer:
            await customer.live()
            (first,) = customer.sessions
            assert 86_000 < token_left_s(customer.access_token, clock.now() / 1000) <= 86_400
            for _ in range(290):
                await clock.advance(297)
                server.conversations.seen(first)
            transport = customer.connections[-1]
            await customer.drop()
            transport.closed.set()
            await customer.wait(lambda: len(customer.sessions) == 2, "another session")
            assert token_left_s(customer.access_token, clock.now() / 1000) > 86_000


def test_only_jwt_shaped_tokens_are_good() -> None:
    assert token_left_s("opaque", 0) == token_left_s("a.b.c", 0) == token_left_s("", 0) == 0
    assert token_left_s("e30.e30.x", 0) == float("inf")
    assert token_left_s("e30.eyJleHAiOiI5In0.x", 0) == 0
    assert token_left_s("e30.eyJleHAiOjEwMH0.x", 0) == 95
