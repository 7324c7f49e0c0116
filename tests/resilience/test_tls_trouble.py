"""TLS with the contact centre fails in every usual way, in the midst of a conversation: what is said waits, nothing is
sent in the clear or to a stranger, the operator is told what to mend, and all goes on when it is mended."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.desk import Desk
from support.installation import DISPUTE, LUMEN, TOKEN, connect_order, emulator, set_asset_webhook
from support.jump_clock import JumpClock
from support.tcp_proxy import TcpProxy
from support.tls import Authority
from warmline.app import Server
from warmline.emulators.webex import RunningSim
from warmline.health import SystemHealth
from warmline.ports import Finding, Level
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient
from warmline.testing.server import ConnectOrder, Order, start

SUBJECT = "webex test state"


async def finding(server: Server) -> Finding:
    """What the page "Health" tells of the connection."""
    health = SystemHealth(server.store, server.registry, server.delivery, server.clock, {}, None)
    (found,) = [item for item in await health.look() if item.subject == SUBJECT]
    return found


async def until(clock: JumpClock, server: Server, reached: Callable[[Finding], bool]) -> Finding:
    """Skip time, as much as attempts wait for, until the finding is so; returns it."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached(found := await finding(server)):
            clock.jump(1)
            await asyncio.sleep(0.01)
    return found


def order(tmp_path: Path, sim: RunningSim, door: TcpProxy) -> Order:
    """A server whose contact centre is behind the door."""
    given, secure = connect_order(sim), f"https://localhost:{door.port}"
    values = {key: value.replace(sim.url, secure) for key, value in given["values"].items()}
    connect = ConnectOrder(provider="webex", values=values, secrets=given["secrets"])
    return Order(database_url=f"sqlite:///{tmp_path}/w.db", project=str(LUMEN), connector_token=TOKEN, connect=connect)


async def test_what_is_said_waits_while_tls_fails_and_the_operator_is_told_why(tmp_path: Path) -> None:
    clock, authority = JumpClock(), Authority(tmp_path)
    (tmp_path / "stranger").mkdir()
    good = authority.server(30)
    cases = {
        "it has expired": authority.server(-1),
        "it is for another name": authority.server(30, "other.example"),
        "SSL_CERT_FILE": Authority(tmp_path / "stranger").server(30),
        "is it https?": None,
    }
    async with emulator() as sim, TcpProxy(int(sim.url.rpartition(":")[2]), good) as door:
        server, answer = await start(order(tmp_path, sim, door), clock=clock, trust=authority.trust)
        try:
            await set_asset_webhook(sim, answer["asset_webhook_url"], answer["asset_webhook_secret"])
            async with Desk(sim.url) as desk, MessagingClient(server.url, token=TOKEN) as visitor:
                await desk.ready()
                await visitor.start()
                await visitor.expect("POLY_AGENT_MESSAGE")
                await visitor.say_and_wait(DISPUTE)
                task_id = await desk.take()
                await visitor.expect("LIVE_AGENT_JOINED")
                said: list[str] = []
                for words, tls in cases.items():
                    await door.wear(tls)
                    said.append(f"said while {words}")
                    await visitor.say_and_wait(said[-1])
                    told = await until(clock, server, lambda found, words=words: words in found.text)
                    assert told.level in (Level.WARN, Level.FAIL)
                    assert await desk.heard(task_id) == said[:-1]
                    await door.wear(good)
                    await until(clock, server, lambda found: found.level is Level.OK)
                    await desk.until_heard(task_id, said)
                await door.wear(None)
                door.refusing = True
                said.append("said while the handshake is cut")
                await visitor.say_and_wait(said[-1])
                await until(clock, server, lambda found: "cut during the TLS handshake" in found.text)
                door.refusing = False
                await door.wear(good)
                await until(clock, server, lambda found: found.level is Level.OK)
                await desk.until_heard(task_id, said)
                await desk.say(task_id, "All of it arrived.")
                await visitor.expect("LIVE_AGENT_MESSAGE")
                assert visitor.violations == []
                assert [event.payload["text"] for event in visitor.all("USER_MESSAGE")] == [DISPUTE, *said]
        finally:
            await server.stop()


async def test_a_connection_is_not_made_with_a_certificate_that_does_not_count(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with emulator() as sim, TcpProxy(int(sim.url.rpartition(":")[2]), authority.server(-1)) as door:
        with pytest.raises(RuntimeError, match="certificate of localhost is not accepted: it has expired"):
            await start(order(tmp_path, sim, door), trust=authority.trust)
