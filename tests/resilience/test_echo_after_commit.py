"""A customer's message is echoed when it is stored, not before: slow disk, or a database that hangs."""

import asyncio
from pathlib import Path
from typing import Any

from support.server import messaging_server
from warmline.ports import Change, Committed, Store
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient


class SlowDisk:
    """A store that has got a customer's message (`asked`) and stores it when `written` is set."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.asked, self.written = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def transact(self, change: Change) -> Committed:
        if change.dedup_key.startswith("client:"):
            self.asked.set()
            await self.written.wait()
        return await self._inner.transact(change)


async def test_no_echo_while_the_disk_is_slow_and_one_when_it_has_written(tmp_path: Path) -> None:
    disks: list[SlowDisk] = []

    def wrap(store: Any) -> Any:
        disks.append(SlowDisk(store))
        return disks[0]

    async with messaging_server(tmp_path, wrap=wrap) as server, MessagingClient(server.url) as client:
        await client.start()
        await client.expect("POLY_AGENT_MESSAGE")
        draft = await client.say("hello")
        await asyncio.wait_for(disks[0].asked.wait(), PATIENCE_S)
        # Another frame of the server after it: an echo sent before the commit would have come first.
        shown = len(client.all("POLY_AGENT_THINKING"))
        server.conversations.show(client.session_id, "thinking")
        await client.expect("POLY_AGENT_THINKING", shown + 1)
        assert client.all("USER_MESSAGE") == []
        disks[0].written.set()
        await client.wait(lambda: draft.state == "sent", "the echo", 20)
        assert len(client.all("USER_MESSAGE")) == 1
