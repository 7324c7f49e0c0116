"""Scenarios of the messaging protocol over connections that break at bytes that a seed decides.

Whatever breaks, the customer's view is in the end the server's log, and what was said stands in it once.
"""

import asyncio
import contextlib
import random
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from support.desk import Desk
from support.installation import DISPUTE, TOKEN, emulator, installation
from support.messaging import FREE, opened
from support.server import MessagingServer, messaging_server
from warmline.domain.events import UserMessage
from warmline.testing import ManualClock
from warmline.testing.messaging_client import MessagingClient
from warmline.testing.messaging_sdk import SdkClient
from warmline.testing.rough_proxy import RoughProxy

PACE = 0.02
SEEDS = range(6)


def rough(port: int, seed: int, *, life_bytes: tuple[int, int] = (200, 1_500), most: int = 8) -> RoughProxy:
    return RoughProxy(port, random.Random(seed), delay_s=0.002, life_bytes=life_bytes, most=most)


def sdk(proxy: RoughProxy, seed: int, **options: object) -> SdkClient:
    return SdkClient(proxy.url, pace=PACE, chance=random.Random(seed), **options)  # type: ignore[arg-type]


async def said(server: MessagingServer, session_id: str) -> list[str]:
    log = await server.conversations.events(session_id, 0)
    return [recorded.event.text for recorded in log if isinstance(recorded.event, UserMessage)]


async def same_as_a_fresh_replay(url: str, customer: SdkClient) -> None:
    """What the customer saw is what somebody sees who comes now, over a network that works."""
    async with MessagingClient(url, auto_join=False) as fresh:
        fresh.access_token, fresh.session_id = customer.access_token, customer.session_id
        await fresh.connect()
        await fresh.wait(lambda: len(fresh.journal()) >= len(customer.journal()), "the whole log")
        assert [event.raw for event in fresh.journal()] == [event.raw for event in customer.journal()]


@pytest.mark.parametrize("seed", SEEDS)
async def test_messages_are_sent_again_and_stand_in_the_log_once(tmp_path: Path, seed: int) -> None:
    async with messaging_server(tmp_path, limits=FREE) as server, rough(server.port, seed) as proxy:
        async with sdk(proxy, seed) as customer:
            await opened(customer)
            texts = [f"{seed}.{n} {'é😀' * 20}" for n in range(5)]
            for text in texts:
                await customer.deliver(text)
            await customer.expect("POLY_AGENT_MESSAGE", len(texts) + 1)
            assert proxy.fates.total() > 0
            assert await said(server, customer.session_id) == texts
            assert [event.payload["text"] for event in customer.all("USER_MESSAGE")] == texts
            assert len(customer.sessions) == 1
            assert (customer.violations, customer.gave_up) == ([], "")
            await same_as_a_fresh_replay(server.url, customer)


@pytest.mark.parametrize("seed", SEEDS[:4])
async def test_a_customer_who_was_away_gets_what_was_missed_once(tmp_path: Path, seed: int) -> None:
    async with messaging_server(tmp_path, limits=FREE) as server, rough(server.port, seed) as proxy:
        async with sdk(proxy, seed) as customer, MessagingClient(server.url, auto_join=False) as other_tab:
            await opened(customer)
            await customer.expect("POLY_AGENT_MESSAGE")
            other_tab.access_token, other_tab.session_id = customer.access_token, customer.session_id
            await other_tab.connect()
            for n in range(10):
                await other_tab.say_and_wait(f"{n} {'x' * 400}")
            await customer.expect("POLY_AGENT_MESSAGE", 11)
            assert proxy.fates.total() > 0
            assert customer.violations == []
            await same_as_a_fresh_replay(server.url, customer)


@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_a_token_that_ends_is_renewed_over_a_bad_network_too(tmp_path: Path, seed: int) -> None:
    clock = ManualClock()
    # Even the calls that fetch tokens and make sessions break.
    async with (
        messaging_server(tmp_path, clock=clock, limits=FREE) as server,
        rough(server.port, seed, life_bytes=(50, 700)) as proxy,
        sdk(
            proxy, seed, now=lambda: clock.now() / 1000 + (86_200 if customer.access_token == first else 0)
        ) as customer,
    ):
        first = "none yet"
        await opened(customer)
        await customer.deliver("before")
        first = customer.access_token
        transport = customer.connections[-1]
        await customer.drop()
        transport.closed.set()
        await customer.wait(lambda: len(customer.sessions) == 2, "another session")
        await customer.deliver("after")
        assert customer.access_token != first
        assert [await said(server, session_id) for session_id in customer.sessions] == [["before"], ["after"]]
        assert proxy.fates.total() > 0
        assert (customer.violations, customer.gave_up) == ([], "")


async def test_A87_the_five_steps_over_a_network_that_breaks(tmp_path: Path) -> None:
    seed = 5
    async with emulator() as sim, installation(f"sqlite:///{tmp_path}/w.db", sim) as server, Desk(sim.url) as desk:
        port = int(server.url.rpartition(":")[2])
        async with rough(port, seed, most=30) as proxy, sdk(proxy, seed, token=TOKEN) as customer:
            server.customers.append(customer)
            await desk.ready()
            await opened(customer)
            await customer.deliver(DISPUTE)
            task_id = await desk.take()
            await customer.expect("LIVE_AGENT_JOINED")
            for n in range(3):
                await desk.say(task_id, f"agent {n}")
                await customer.deliver(f"customer {n}")
            await desk.until_heard(task_id, [f"customer {n}" for n in range(3)])
            await customer.expect("LIVE_AGENT_MESSAGE", 3)
            await desk.end(task_id)
            assert (await customer.expect("SESSION_END")).payload["reason"] == "REASON_NATURAL_END"
            assert [event.payload["text"] for event in customer.all("LIVE_AGENT_MESSAGE")] == [
                f"agent {n}" for n in range(3)
            ]
            assert [event.sequence for event in customer.journal()] == list(range(1, len(customer.journal()) + 1))
            assert proxy.fates.total() > 0
            assert (customer.violations, len(customer.sessions)) == ([], 1)


async def test_a_request_that_breaks_in_the_middle_is_no_error_of_the_server(tmp_path: Path) -> None:
    async with messaging_server(tmp_path, limits=FREE) as server:
        with capture_logs() as logs:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST /api/v1/access-token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()
            async with SdkClient(server.url, pace=PACE) as customer:
                await customer.live()
        assert [line for line in logs if line["log_level"] in ("error", "critical")] == []


async def test_the_same_seed_breaks_at_the_same_byte() -> None:
    """What comes through is the same in every run, to the byte, whatever the pace of who sends."""

    async def came(seed: int, piece: int) -> list[int]:
        lengths: list[int] = []
        arrived = asyncio.Event()

        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                lengths.append(0)
                while data := await reader.read(4096):
                    lengths[-1] += len(data)
            arrived.set()
            writer.close()

        async with await asyncio.start_server(count, "127.0.0.1", 0) as far:
            port = far.sockets[0].getsockname()[1]
            async with RoughProxy(port, random.Random(seed), delay_s=0, life_bytes=(10, 3_000)) as proxy:
                for _ in range(4):
                    arrived.clear()
                    near = int(proxy.url.rpartition(":")[2])
                    _, writer = await asyncio.open_connection("127.0.0.1", near)
                    with contextlib.suppress(OSError):
                        for _ in range(4_000 // piece):
                            writer.write(b"x" * piece)
                            await writer.drain()
                        writer.write_eof()
                    await arrived.wait()
                    writer.close()
        return lengths

    runs = [await came(3, 10), await came(3, 500)]
    assert runs[0] == runs[1]
    assert min(runs[0]) < 3_000
