"""When the clients of sessions were last heard, wherever their sockets are."""

import asyncio
import contextlib

import structlog

from warmline.domain.errors import StoreUnavailable
from warmline.domain.texting import IDLE
from warmline.ports import Clock, Store

_log = structlog.get_logger(__name__)

_WRITE_S = 1.0
_TIDY_S = 60.0
_PARTS = 3
"""So often the timer of a session whose client is heard is put off in the time after which the session would end."""


class Presence:
    """Puts off the idle timers of sessions whose clients are heard here; they may fire on another node.

    Seldom, and all of a second together: a timer is put off again when a third of its time is gone. So a session whose
    client and node are both lost may end a third of the time early, and none does whose client is heard.
    """

    def __init__(self, store: Store, clock: Clock, idle_ms: int) -> None:
        self._store = store
        self._clock = clock
        self._idle_ms = idle_ms
        self._heard: dict[str, int] = {}
        """When clients were heard last, milliseconds since the epoch."""
        self._put_off: dict[str, int] = {}
        """Until when their timers stand in the store, as far as this node knows."""
        self._late: set[str] = set()
        """Sessions whose timers are to be put off."""
        self._tidy_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def began(self, session_id: str, now: int) -> None:
        """A session began; its timer stands in the store."""
        self._heard[session_id] = now
        self._put_off[session_id] = now + self._idle_ms

    def heard(self, session_id: str) -> None:
        """The session's client is there."""
        now = self._heard[session_id] = self._clock.now()
        if (now + self._idle_ms - self._put_off.get(session_id, 0)) * _PARTS >= self._idle_ms:
            self._late.add(session_id)

    def last_heard(self, session_id: str) -> int:
        """When this node heard it last, milliseconds since the epoch; 0: not lately."""
        return self._heard.get(session_id, 0)

    def ended(self, session_id: str) -> None:
        """The session is over."""
        self._heard.pop(session_id, None)
        self._put_off.pop(session_id, None)

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="presence")

    async def stop(self) -> None:
        """Write once more, then stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            with contextlib.suppress(StoreUnavailable):
                await self._write()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(_WRITE_S)
            try:
                await self._write()
            except StoreUnavailable:
                _log.warning("presence.store_unavailable")

    async def _write(self) -> None:
        late = {session_id: self._heard[session_id] + self._idle_ms for session_id in self._late & self._heard.keys()}
        if late:
            await asyncio.gather(
                *(self._store.put_off(f"{session_id}/{IDLE}", due) for session_id, due in late.items())
            )
        self._late.difference_update(late)
        self._put_off.update((session_id, due) for session_id, due in late.items() if session_id in self._heard)
        if self._clock.monotonic() >= self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        """Forget whom nobody has heard for so long: their sessions are over, perhaps ended by another node."""
        self._tidy_at = self._clock.monotonic() + _TIDY_S
        oldest = self._clock.now() - 2 * self._idle_ms
        for session_id in [session_id for session_id, at in self._heard.items() if at < oldest]:
            self.ended(session_id)
        self._late &= self._heard.keys()
