"""Texts from customers: stored webhooks become messages, by line in order, each exactly once."""

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import parse_qsl

import structlog

from warmline import telemetry
from warmline.channels.sms.connections import SmsConnections
from warmline.channels.sms.keywords import Keyword, keyword
from warmline.channels.sms.limits import Limiter, Verdict
from warmline.channels.sms.media import MediaFiles
from warmline.channels.sms.sessions import Sessions
from warmline.channels.sms.wire import InboundText, inbound_text
from warmline.conversation.service import Conversations
from warmline.domain import texts
from warmline.domain.commands import PostUserMessage, TellCustomer
from warmline.domain.errors import RuleViolation, SessionNotFound, StoreUnavailable, WarmlineError
from warmline.domain.line import Line, line_key
from warmline.domain.messages import Attachment
from warmline.domain.texting import sentence
from warmline.ports import (
    EVERYTHING,
    TEXTS_ENDPOINT,
    Bus,
    Clock,
    Connection,
    Ids,
    InboxRow,
    Poke,
    Store,
    Wake,
    inbox_partition,
)

_log = structlog.get_logger(__name__)

_CRASHES = 5
_ADOPT_AFTER_S = 10.0
_SWEEP_S = 5.0
_AGAIN_S = 1.0
_KEYWORDS = {word.value: word for word in Keyword}
_SENTENCES = {Keyword.STOP: "stopped", Keyword.START: "started", Keyword.HELP: "help"}
_NOTICES = {Verdict.TOO_FAST: "too_fast", Verdict.REPEATED: "repeated"}


class Partitions(Protocol):
    """Which parts of the work are this node's (`delivery.leases.Leases`)."""

    @property
    def alone(self) -> bool:
        """All of them certainly are."""
        ...

    def owns(self, partition: int) -> bool:
        """This one certainly is."""
        ...

    def watch(self, changed: Callable[[set[int], set[int]], None]) -> None:
        """Call `changed` with those that were gained and lost."""
        ...


@dataclass(order=True, slots=True)
class _Item:
    row_id: int
    row: InboxRow = field(compare=False)
    text: InboundText = field(compare=False)
    verdict: Verdict | None = field(compare=False, default=None)
    waited: bool = field(compare=False, default=False)
    failures: int = field(compare=False, default=0)


class Inbound:
    """Takes verified texts in durably, then turns them into messages of sessions.

    The order of checks is that of messaging-protocol.md §17.1: keyword, opt-out, limits, session.
    """

    def __init__(
        self,
        store: Store,
        conversations: Conversations,
        connections: SmsConnections,
        sessions: Sessions,
        media: MediaFiles,
        limiter: Limiter,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._connections = connections
        self._sessions = sessions
        self._media = media
        self._limiter = limiter
        self._clock = clock
        self._ids = ids
        self._waiting: dict[str, list[_Item]] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._taken: set[int] = set()
        self._finished: set[int] = set()
        self._started = False
        self._partitions: Partitions | None = None
        self._bus: Bus | None = None
        self._look = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    def share(self, partitions: Partitions, bus: Bus) -> None:
        """Process the texts of this node's connections, whichever node took them in. Call it before `start`."""
        self._partitions, self._bus = partitions, bus
        bus.watch(self._hear)
        partitions.watch(self._moved)

    def owns(self, connection_id: str) -> bool:
        """The texts of this connection are processed here."""
        return self._partitions is None or self._partitions.owns(inbox_partition(connection_id, ""))

    def _alone(self) -> bool:
        return self._partitions is None or self._partitions.alone

    def _hear(self, signal: Poke | Wake) -> None:
        if isinstance(signal, Wake) and signal.topic in ("inbox", EVERYTHING):
            self._look.set()

    def _moved(self, gained: set[int], lost: set[int]) -> None:
        self._look.set()

    async def start(self) -> None:
        """Take up what was left unprocessed. Raises StoreUnavailable."""
        await self._take_up(age_s=0.0)
        self._sweeper = asyncio.create_task(self._sweep(), name="sms-sweeper")

    async def stop(self) -> None:
        """Stop where it is: rows stay in the store."""
        self._started = False
        tasks = list(self._at_work.values()) + ([self._sweeper] if self._sweeper else [])
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._media.close()

    async def accept(self, connection_id: str, text: InboundText, body: bytes, *, at: int = 0) -> bool:
        """Store a text; durable on return. False: it is here already. Raises StoreUnavailable.

        Args:
            body: the form of its webhook.
            at: when it was sent, in milliseconds since the epoch; 0 means now.
        """
        now = self._clock.now()
        row = InboxRow(
            id=0,
            connection_id=connection_id,
            endpoint=TEXTS_ENDPOINT,
            key=f"sms/{text.sid}",
            remote_id="",
            received_at=now,
            event_at=at or now,
            body=body,
        )
        row_id = await self._store.accept(row)
        if row_id is None:
            return False
        if self._started and self._alone():
            self._take(replace(row, id=row_id), text)
        elif self._started:
            # What another node took in before comes before.
            self._look.set()
            if self._bus is not None and not self.owns(connection_id):
                self._bus.send(Wake("inbox", (str(row.partition),)))
        return True

    # --- by line, in order ---------------------------------------------------------------------------------------

    def _take(self, row: InboxRow, text: InboundText) -> None:
        if row.id in self._taken:
            return
        self._taken.add(row.id)
        key = line_key(row.connection_id, text.number, text.customer)
        heapq.heappush(self._waiting.setdefault(key, []), _Item(row.id, row, text))
        if key not in self._at_work:
            self._at_work[key] = asyncio.create_task(self._run(key), name="sms-line")

    async def _run(self, key: str) -> None:
        try:
            while self._waiting[key]:
                item = heapq.heappop(self._waiting[key])
                if not self.owns(item.row.connection_id):
                    # The node that has it now finds it in the store.
                    self._taken.discard(item.row_id)
                    continue
                if not await self._processed(key, item):
                    heapq.heappush(self._waiting[key], item)
                    await self._clock.sleep(_AGAIN_S)
        finally:
            del self._at_work[key]
            if not self._waiting[key]:
                del self._waiting[key]

    async def _processed(self, key: str, item: _Item) -> bool:
        """True: it is done, or will never be."""
        try:
            await self._process(key, item)
        except StoreUnavailable:
            _log.warning("sms.store_unavailable", row=item.row_id)
            return False
        except Exception as error:
            item.failures += 1
            code = error.code if isinstance(error, WarmlineError) else type(error).__name__
            _log.error("sms.inbound_failed", row=item.row_id, failures=item.failures, error=code)
            if item.failures < _CRASHES:
                return False
            with contextlib.suppress(StoreUnavailable):
                await self._store.finish_inbox(item.row_id, state="dead", attempts=item.failures)
        self._taken.discard(item.row_id)
        self._finished.add(item.row_id)
        return True

    async def _process(self, key: str, item: _Item) -> None:
        text, row = item.text, item.row
        connection = await self._connections.get(row.connection_id)
        if connection is None:
            _log.error("sms.not_connected", connection_id=row.connection_id, row=row.id)
            await self._store.finish_inbox(row.id, state="dead")
            return
        known = await self._store.line(connection.id, text.number, text.customer)
        if text.opt_out:
            await self._note(connection, text, _KEYWORDS.get(text.opt_out))
            await self._store.finish_inbox(row.id, state="done")
            return
        asked = None if text.media else keyword(text.text, opted_out=known.opted_out)
        if asked is not None:
            await self._note(connection, text, asked)
            line = self._sessions.line(connection, text.number, text.customer)
            await self._tell(connection, line, row, sentence(line, _SENTENCES[asked]), always=True)
            return
        if known.opted_out:
            await self._store.finish_inbox(row.id, state="done")
            return
        await self._limited(key, item, connection)

    async def _note(self, connection: Connection, text: InboundText, asked: Keyword | None) -> None:
        if asked in (Keyword.STOP, Keyword.START):
            await self._store.set_opted_out(
                connection.id,
                text.number,
                text.customer,
                opted_out=asked is Keyword.STOP,
                at=self._clock.now(),
            )

    async def _limited(self, key: str, item: _Item, connection: Connection) -> None:
        if item.verdict is None:
            item.verdict = self._limiter.judge(key, item.text.text or item.text.sid, item.row.event_at)
        if item.verdict is not Verdict.TAKEN:
            _log.warning("sms.limited", connection_id=connection.id, row=item.row_id, why=item.verdict.value)
            line = self._sessions.line(connection, item.text.number, item.text.customer)
            notice = _NOTICES.get(item.verdict)
            if notice is None:
                await self._store.finish_inbox(item.row_id, state="done")
            else:
                await self._tell(connection, line, item.row, sentence(line, notice))
            return
        while not item.waited and (wait := self._limiter.wait(connection.project_id)):
            await self._clock.sleep(wait)
        item.waited = True
        await self._deliver(item, connection)

    # --- into the session ----------------------------------------------------------------------------------------

    async def _tell(
        self, connection: Connection, line: Line, row: InboxRow, words: str, *, always: bool = False
    ) -> None:
        """Answer a customer without the agent: in the session they are in, else in one that is only for this."""
        while True:
            stored = await self._sessions.current(connection.id, line.number, line.customer)
            if stored is None:
                known = await self._store.line(connection.id, line.number, line.customer)
                session_id = await self._sessions.begin(
                    connection, line, f"{row.key}/answer", instead_of=known.session_id
                )
            else:
                session_id = stored.session.id
            command = TellCustomer(at=self._clock.now(), text=words, always=always, end=stored is None)
            try:
                await self._conversations.apply(session_id, command, dedup_key=row.key, inbox_done=row.id)
                return
            except SessionNotFound:
                # It ended a moment ago.
                continue

    async def _deliver(self, item: _Item, connection: Connection) -> None:
        text, row = item.text, item.row
        line = self._sessions.line(connection, text.number, text.customer)
        while True:
            stored = await self._sessions.open(connection, line, text.sid)
            session_id = stored.session.id
            files: tuple[Attachment, ...] = ()
            if text.media:
                files, problem = await self._media.taken(connection, stored.session, text)
                if problem:
                    told = TellCustomer(at=self._clock.now(), text=problem)
                    await self._conversations.apply(session_id, told, dedup_key=f"{row.key}/files")
            if not text.text.strip() and not files:
                await self._store.finish_inbox(row.id, state="done")
                return
            try:
                await self._post(session_id, row, text.text.strip(), files)
                return
            except SessionNotFound:
                # It ended a moment ago: what is said now begins the next one.
                continue

    async def _post(self, session_id: str, row: InboxRow, words: str, files: tuple[Attachment, ...]) -> None:
        message_id = self._ids.uuid()
        post = PostUserMessage(at=self._clock.now(), message_id=message_id, text=words, attachments=files)
        try:
            with telemetry.begin("message.accept", message_id, since_ms=row.received_at, session_id=session_id):
                await self._conversations.apply(session_id, post, dedup_key=row.key, inbox_done=row.id)
        except SessionNotFound:
            raise
        except RuleViolation as error:
            told = TellCustomer(at=self._clock.now(), text=error.public_message or texts.FILES_NOT_TAKEN)
            await self._conversations.apply(session_id, told, dedup_key=f"{row.key}/files")
            if not words:
                await self._store.finish_inbox(row.id, state="done")
                return
            alone = PostUserMessage(at=self._clock.now(), message_id=message_id, text=words)
            await self._conversations.apply(session_id, alone, dedup_key=row.key, inbox_done=row.id)

    # --- looking after what waits ----------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await self._pause()
            try:
                await self._take_up(age_s=_ADOPT_AFTER_S if self._alone() else 0.0)
            except StoreUnavailable:
                _log.warning("sms.sweep_failed")

    async def _pause(self) -> None:
        """Wait until it is time to look, or something is to be looked for."""
        sleep = asyncio.ensure_future(self._clock.sleep(_SWEEP_S))
        look = asyncio.ensure_future(self._look.wait())
        try:
            await asyncio.wait((sleep, look), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            look.cancel()
        self._look.clear()

    async def _take_up(self, *, age_s: float) -> None:
        """Take rows that nobody in this process has: left by a crash, here or on another node."""
        self._finished.clear()
        before = self._clock.now() - round(age_s * 1000)
        rows = [row for row in await self._store.inbox_pending() if row.endpoint == TEXTS_ENDPOINT]
        self._started = True
        for row in rows:
            known = row.id in self._taken or row.id in self._finished
            if row.received_at > before or known or not self.owns(row.connection_id):
                continue
            try:
                text = inbound_text(dict(parse_qsl(row.body.decode(), keep_blank_values=True)))
            except ValueError:
                _log.error("sms.not_understood", row=row.id)
                await self._store.finish_inbox(row.id, state="dead")
                continue
            self._take(row, text)
