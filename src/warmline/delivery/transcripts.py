"""Fetches the contact centres' own transcripts of what is over, and keeps them (webex-byoc.md §18.3).

They are the only source of what may have got lost on the way: stored for the operator, never shown to the customer.
"""

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

import structlog

from warmline.delivery.backoff import until_stored
from warmline.delivery.calls import Providers
from warmline.delivery.leases import Leases
from warmline.domain.errors import StoreUnavailable, WarmlineError
from warmline.files import Fetcher
from warmline.handoff.contract import ProviderError, Transcribes
from warmline.ports import Clock, Link, Store, Transcript, inbox_partition

_log = structlog.get_logger(__name__)

SCHEDULE_S = (60, 300, 900, 3600, 6 * 3600, 24 * 3600)
"""When it is asked for, seconds after the end; then no more."""

_TICK_S = 15.0
_MOST = 1000
"""Looked at in one go, those of other nodes included."""


class Transcripts:
    """Asks for each transcript on a schedule that survives a restart, on the node that owns the conversation's news."""

    def __init__(self, store: Store, providers: Providers, fetcher: Fetcher, clock: Clock, leases: Leases) -> None:
        self._store = store
        self._providers = providers
        self._fetcher = fetcher
        self._clock = clock
        self._leases = leases
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._worker = asyncio.create_task(self._run(), name="transcripts")

    async def stop(self) -> None:
        """Stop; what is wanted stays in the store."""
        tasks = [*self._tasks, *([self._worker] if self._worker is not None else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def want(self, link: Link) -> None:
        """A conversation with a live agent is over now.

        Not stored in the change that ended it: agents, customers, deadlines and channels end conversations, and most
        of these know neither the link nor what its provider can do. What a crash leaves out here, the next process
        finds in the sessions that ended lately (`Reconciler`).
        """
        if self._able(link.connection_id) is None:
            return
        now = self._clock.now()
        wanted = Transcript(
            handoff_id=link.handoff_id,
            session_id=link.session_id,
            connection_id=link.connection_id,
            remote_id=link.remote_id,
            ended_at=now,
            next_at=now + SCHEDULE_S[0] * 1000,
        )
        task = asyncio.create_task(until_stored(self._clock, partial(self._store.save_transcript, wanted)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ready(self, link: Link) -> None:
        """The platform says that it can be fetched: it is tried at once. Raises StoreUnavailable."""
        for wanted in await self._store.transcripts(link.session_id):
            if wanted.handoff_id == link.handoff_id and wanted.content is None:
                # Not one try less of those on the schedule: the news may come before the file.
                await self._store.save_transcript(replace(wanted, tries=max(0, wanted.tries - 1), next_at=1))

    def _able(self, connection_id: str) -> Transcribes | None:
        provider = self._providers.get(connection_id)
        return provider if provider is not None and isinstance(provider, Transcribes) else None

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(_TICK_S)
            try:
                for wanted in await self._store.transcripts_due(self._clock.now(), _MOST):
                    if not self._leases.owns(inbox_partition(wanted.connection_id, wanted.remote_id)):
                        continue
                    await self._store.save_transcript(await self._tried(wanted))
            except StoreUnavailable:
                _log.warning("transcripts.store_unavailable")
            except Exception:
                _log.exception("transcripts.failed")

    async def _tried(self, wanted: Transcript) -> Transcript:
        """What is known after one more try."""
        content = await self._fetched(wanted)
        tries = wanted.tries + 1
        if content is not None:
            _log.info("transcripts.stored", session_id=wanted.session_id, tries=tries)
            return replace(wanted, tries=tries, next_at=0, content=content)
        if tries >= len(SCHEDULE_S):
            _log.warning("transcripts.given_up", session_id=wanted.session_id, tries=tries)
            return replace(wanted, tries=tries, next_at=0)
        return replace(wanted, tries=tries, next_at=wanted.ended_at + SCHEDULE_S[tries] * 1000)

    async def _fetched(self, wanted: Transcript) -> bytes | None:
        provider = self._able(wanted.connection_id)
        if provider is None:
            return None
        try:
            url = await provider.transcript(wanted.remote_id)
            return (await self._fetcher.fetch(url)).content if url else None
        except ProviderError as error:
            _log.warning("transcripts.not_asked", session_id=wanted.session_id, code=error.code, hint=error.hint)
        except WarmlineError as error:
            _log.warning("transcripts.not_fetched", session_id=wanted.session_id, code=error.code)
        return None
