"""A process that writes to a store until something happens to it.

As a script: `victim.py DATABASE_URL SESSIONS`. It prints "ready", then one line for each acknowledged change:
`posted <session> <dedup key> <last sequence> <outbox row> <inbox row>` or `settled <outbox row> <inbox row>`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from support.stores import begin, opened, post, settlement
from warmline.domain.errors import LeaseLost
from warmline.ports import Change, InboxRow, Store


class Victim:
    """The process, seen from the test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = asyncio.create_task(process.stdout.read())
        self.pid = process.pid

    @classmethod
    async def start(cls, url: str, sessions: int = 40) -> "Victim":
        """Start it, and wait until it writes. Its sessions are named s<pid>-<0, 1, …>."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            url,
            str(sessions),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return cls(process)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def end(self) -> list[list[str]]:
        """The acknowledgements it printed until it ended."""
        output = await self._output
        await self._process.wait()
        return [line.split() for line in output.decode().rpartition("\n")[0].splitlines()]

    async def kill_after(self, seconds: float) -> list[list[str]]:
        """Kill it without warning; the acknowledgements it printed until then."""
        await asyncio.sleep(seconds)
        self.signal(signal.SIGKILL)
        return await self.end()


async def _write(store: Store, session_id: str, epochs: Mapping[int, int]) -> None:
    count = 0
    while True:
        count += 1
        key = f"{session_id}-{count}"
        hook = InboxRow(
            id=0, connection_id="c", endpoint="e", key=key, remote_id="r", received_at=1, event_at=1, body=b"{}"
        )
        row_id = await store.accept(hook)
        committed = await post(store, session_id, f"text {count}", key=key)
        row = committed.outbox[0]
        _say(f"posted {session_id} {key} {committed.session.last_sequence} {row.id} {row_id}")
        if count % 2:
            await store.transact(Change(session_id=session_id, settle=settlement(row, epochs), inbox_done=row_id))
            _say(f"settled {row.id} {row_id}")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def _main(url: str, sessions: int) -> None:
    async with opened(url) as store:
        epochs = await store.claim("victim", 60_000, 1)
        names = [f"s{os.getpid()}-{n}" for n in range(sessions)]
        await asyncio.gather(*(begin(store, name) for name in names))
        _say("ready")
        try:
            await asyncio.gather(*(_write(store, name, epochs) for name in names))
        except LeaseLost:
            _say("fenced")


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
