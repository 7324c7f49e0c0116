"""A real server in a process of its own, for tests and benchmarks.

`python -m warmline.testing.server` reads one JSON line, prints one when it is ready, and stops when standard
input closes. It is the production composition on the database it is given; the second start on the same
database finds everything the first one left.
"""

import asyncio
import random
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from warmline.app import Overrides, Server
from warmline.bus import NatsSettings
from warmline.channels.messaging.deps import MessagingLimits
from warmline.channels.sms import SendSettings
from warmline.channels.sms import setup as sms_setup
from warmline.cli.logs import configure_logging
from warmline.config import Settings
from warmline.delivery import DeliverySettings
from warmline.handoff.connect import connect
from warmline.ports import Clock, Connector, Store
from warmline.system import make_full_collections_rare
from warmline.testing.crash import CrashPlan
from warmline.web.limits import RateLimit

SECRET_KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"  # noqa: S105  (throw-away installations only)


class ConnectOrder(msgspec.Struct, kw_only=True):
    """A connection to make on the first start."""

    provider: str
    values: dict[str, str]
    secrets: dict[str, str]


class Order(msgspec.Struct, kw_only=True):
    """What to run.

    `sms` are the fields of an SMS connection to make on the first start. `crash` names a point of
    `warmline.testing.crash`; `port` 0 takes a free one; `log_level` is one of `logging`'s;
    `limited` keeps the limits of frames and requests that customers have in production. `public_url` is where others
    reach it, if that is not its own port (several nodes behind a load balancer).
    """

    database_url: str
    project: str
    connector_token: str
    port: int = 0
    connect: ConnectOrder | None = None
    sms: dict[str, str] | None = None
    sms_look_after_s: float = 5.0
    sms_files_news_s: float = 10.0
    crash: str = ""
    crash_nth: int = 1
    log_level: int = 30
    log_format: str = "console"
    limited: bool = False
    idle_s: int = 600
    public_url: str = ""
    lease_ttl_s: float = 5.0
    nats_url: str = ""


def free_port() -> int:
    """A TCP port on the loopback interface that nobody uses right now.

    Not one of those that the system hands out by itself: a server that is started again on its port would find it
    taken by somebody's outgoing connection.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def start(
    order: Order,
    *,
    clock: Clock | None = None,
    trust: ssl.SSLContext | None = None,
    wrap_store: Callable[[Store], Store] | None = None,
) -> tuple[Server, dict[str, Any]]:
    """Start the server that was ordered, in this process; returns it and what others must know of it.

    `trust`: whose certificates count. `wrap_store` may put something around the store.

    Raises:
        RuntimeError: the contact centre refused the connection.
    """
    plan = CrashPlan(order.crash, order.crash_nth)
    port = order.port or free_port()
    plenty = RateLimit(count=1_000_000, seconds=1)
    settings = Settings(
        database_url=order.database_url,
        public_url=order.public_url or f"http://127.0.0.1:{port}",
        secret_key=SECRET_KEY,
        projects=Path(order.project),
        port=port,
        relaxed=True,
        nats=NatsSettings(servers=(order.nats_url,)) if order.nats_url else None,
    )
    overrides = Overrides(
        clock=clock,
        wrap_store=plan.store if order.crash else wrap_store,
        http_traces=(plan.trace(),) if order.crash else (),
        trust=trust,
        messaging_limits=MessagingLimits() if order.limited else MessagingLimits(frames=plenty, requests=plenty),
        idle_s=order.idle_s,
        delivery=DeliverySettings(lease_ttl_s=order.lease_ttl_s, lease_margin_s=order.lease_ttl_s / 5),
        sms_settings=SendSettings(look_after_s=order.sms_look_after_s, files_news_s=order.sms_files_news_s),
    )
    server = await Server.start(settings, overrides=overrides)
    answer: dict[str, Any] = {"url": server.url, "port": server.port}
    if not await server.store.connectors():
        project_id = server.project_ids[0]
        connector = Connector(
            id="test-connector",
            token=order.connector_token,
            project_id=project_id,
            host="localhost",
            agent_name="Lumi",
            agent_avatar_url="https://assets.example/lumi.png",
        )
        await server.store.save_connector(connector)
    if order.connect is not None and not await server.store.connections():
        asked = order.connect
        report, connection = await connect(
            server.store,
            server.registry,
            server.clock,
            server.ids,
            asked.provider,
            server.project_ids[0],
            asked.values,
            asked.secrets,
            "test",
        )
        if connection is None:
            await server.stop()
            raise RuntimeError(f"the connection test failed: {report.verdicts[-1].text}")
    if order.sms is not None and not await server.store.text_connections():
        made = await sms_setup.save(
            server.store, server.clock, server.ids, server.project_ids[0], order.sms, "test-sms", relaxed=True
        )
        server.sms.connections.forget()
        answer["sms_connection_id"] = made.id
    for connection in await server.store.connections():
        base = f"{server.url}/hooks/{connection.provider}/{connection.id}"
        answer |= {
            "connection_id": connection.id,
            "asset_webhook_url": f"{base}/asset",
            "events_webhook_url": f"{base}/events",
            "asset_webhook_secret": connection.secrets.get("asset_webhook_secret", ""),
        }
    return server, answer


async def serve(order: Order) -> None:
    """Run the server until standard input closes."""
    server, answer = await start(order)
    make_full_collections_rare()
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


def main() -> None:
    """Read the order and run."""
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    configure_logging(order.log_format, level=order.log_level)
    uvloop.run(serve(order))


if __name__ == "__main__":
    main()
