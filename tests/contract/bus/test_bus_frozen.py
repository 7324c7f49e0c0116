"""A server that hangs with all its connections open."""

from dataclasses import replace
from pathlib import Path

import pytest

from support.buses import FAST, Heard
from support.nats import nats_server
from warmline.bus import NatsSettings
from warmline.bus.cluster import ClusterBus
from warmline.bus.nats import NatsTransport
from warmline.domain.errors import BusUnavailable
from warmline.ports import EVERYTHING, LOOK, Poke, Wake
from warmline.system import SystemIds


async def test_a_frozen_server_is_noticed_and_one_that_goes_on_is_found_again(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as server:
        settings = NatsSettings(servers=(f"nats://127.0.0.1:{server.port}",))
        beats = replace(FAST, beat_s=0.5)
        nodes = [ClusterBus(NatsTransport(settings, "warmline.test"), SystemIds(), beats) for _ in range(2)]
        for node in nodes:
            await node.start()
        heard = [Heard(node, ["s"]) for node in nodes]
        server.freeze()
        for node in heard:
            await node.until(lambda node=node: Poke(session_id="s", upto=LOOK) in node.signals, "it looks")  # type: ignore[misc]
        with pytest.raises(BusUnavailable):
            await nodes[1].check()
        server.thaw()
        for node in heard:
            await node.until(lambda node=node: Wake(EVERYTHING) in node.watched, "it is back")  # type: ignore[misc]
        nodes[1].send(Wake("here again"))
        await heard[0].until(lambda: Wake("here again") in heard[0].watched, "signals come again")
        for node in nodes:
            await node.stop()
