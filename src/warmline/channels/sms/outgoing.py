"""Texts to customers: the handler of `SendText` (messaging-protocol.md §17.5, design.md §6)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter

from warmline.channels.sms.client import MEANINGS, MEDIA_ERRORS, OPTED_OUT, Accepted, Refused, TwilioClient
from warmline.channels.sms.connections import SmsConnections, webhook_url
from warmline.channels.sms.pictures import AGAIN, in_doubt, spoiled, without_files
from warmline.channels.sms.wire import FAILED, RANKS, TextStatus
from warmline.domain.effects import SendText
from warmline.domain.segments import segments
from warmline.handoff.contract import ProviderAuthFailed, ProviderError, ProviderRejected, ProviderThrottled
from warmline.ports import (
    Clock,
    Connection,
    Done,
    GiveUp,
    OutboxRow,
    Outcome,
    Retry,
    SentText,
    Settlement,
    Store,
    Waiting,
    seconds_until,
)

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_NOT_SENT = "not_sent:"
"""Begins the last error of a row none of whose attempts can have had an effect."""
_NEWS_S = 0.5
"""Between two looks at what became of a text with files; its news may come to another node."""


class Calls(Protocol):
    """Calls of carriers, guarded by the lease and watched for their health (`delivery.calls.ProviderCalls`)."""

    def admit(self, connection_id: str, row: OutboxRow) -> bool:
        """The carrier may be called for this row now; else its stream is woken when it may."""
        ...

    def withdraw(self, connection_id: str, row: OutboxRow) -> None:
        """The row that was not admitted does not wait any more."""
        ...

    async def call(self, connection_id: str, settlement: Settlement, operation: Callable[[], Awaitable[T]]) -> T:
        """Call it. Raises ProviderError; LeaseLost, then nothing was sent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """Seconds. A text is tried for `send_for_s`; after an attempt of which nothing is known, its news are waited for
    `look_after_s` before the carrier is asked what it has. The next text to a customer waits until one with files has
    arrived or failed; the carrier is asked when there are no news of it for `files_news_s`."""

    send_for_s: float = 4 * 3600.0
    look_after_s: float = 5.0
    recheck_s: float = 5.0
    files_news_s: float = 10.0


class Outgoing:
    """Sends texts, one of a line at a time, and notes what became of them.

    The carrier has no idempotency keys. So after an attempt whose outcome is not known (a time-out, a crash) it is
    looked for: in the news of texts, which name our row, and in the carrier's list of messages.

    A text whose files the carrier cannot deliver is sent once more without them, before the next one of the line.
    """

    def __init__(
        self,
        store: Store,
        connections: SmsConnections,
        http: aiohttp.ClientSession,
        clock: Clock,
        public_url: str,
        metrics: CollectorRegistry,
        settings: SendSettings | None = None,
    ) -> None:
        self._store = store
        self._connections = connections
        self._http = http
        self._clock = clock
        self._public_url = public_url
        self._settings = settings or SendSettings()
        self._calls: Calls | None = None
        names = ("connection_id", "status")
        self._texts = Counter(
            "warmline_sms_texts",
            "Texts to customers, by what became known. When undelivered or failed rise: the carrier's error in "
            "the log, and its console.",
            names,
            registry=metrics,
        )
        self._segments = Counter(
            "warmline_sms_segments",
            "Parts that texts to customers took: what the carrier bills. When it is high: shorter texts, and no "
            "letters outside of GSM 03.38.",
            ("connection_id",),
            registry=metrics,
        )

    def call_by(self, calls: Calls) -> None:
        """Make calls through these. To be set before the first row comes."""
        self._calls = calls

    async def __call__(self, row: OutboxRow, settlement: Settlement) -> Outcome:
        """Do what is next for this text."""
        effect = row.effect
        assert isinstance(effect, SendText)
        known = await self._store.sent_text(str(row.id))
        if spoiled(effect, known):
            effect = without_files(effect)
        elif known is not None and known.sid:
            return await self._fate(row, settlement, effect, known) if in_doubt(effect, known) else Done()
        connection = await self._connections.get(effect.connection_id)
        if connection is None or self._calls is None:
            return GiveUp("not_connected")
        line = await self._store.line(effect.connection_id, effect.number, effect.customer)
        if line.opted_out and not effect.always:
            _log.warning("sms.not_sent", session_id=row.session_id, row=row.id, error="opted_out")
            await self._note(row, "", "opted_out")
            return Done()
        if (early := row.early_s(self._clock.now())) > 0:
            return Waiting(early)
        if (self._clock.now() - row.created_at) / 1000 > self._settings.send_for_s:
            self._calls.withdraw(effect.connection_id, row)
            return await self._give_up(row, row.last_error.removeprefix(_NOT_SENT) or "too_late")
        if not self._calls.admit(effect.connection_id, row):
            return Waiting(self._settings.recheck_s)
        return await self._attempt(row, settlement, effect, connection, self._calls)

    async def _attempt(
        self, row: OutboxRow, settlement: Settlement, effect: SendText, connection: Connection, calls: Calls
    ) -> Outcome:
        client = TwilioClient(self._http, connection)
        call = partial(calls.call, connection.id, settlement)
        doubtful = bool(row.last_error) and not row.last_error.startswith(_NOT_SENT)
        try:
            accepted = await call(partial(self._find, client, effect, row.created_at)) if doubtful else None
            # What was looked for in vain has not been sent: from here an attempt that certainly fails is certain.
            doubtful = False
            if accepted is None:
                accepted = await call(partial(self._send, client, effect, row))
            else:
                _log.info("sms.found_sent", session_id=row.session_id, row=row.id)
        except ProviderAuthFailed as error:
            # Mending the connection lets it go on, also one whose earlier attempt is in doubt.
            await self._connections.set_state(connection, "auth_failed", error.code)
            return Waiting(self._settings.recheck_s)
        except Refused as error:
            if effect.media and error.number in MEDIA_ERRORS:
                await self._note(row, "", "failed", error.number)
                return Waiting(0.0)
            if error.number == OPTED_OUT:
                await self._opted_out(effect.connection_id, effect.number, effect.customer)
                await self._note(row, "", "opted_out", OPTED_OUT)
                return Done()
            return await self._give_up(row, error.code, error.number)
        except ProviderRejected as error:
            return await self._give_up(row, error.code)
        except ProviderThrottled as error:
            return _again(error, doubtful, after=error.retry_after)
        except ProviderError as error:
            return _again(error, doubtful, after=None if error.certain else self._settings.look_after_s)
        again = effect is not row.effect
        if again:
            _log.warning("sms.sent_without_files", session_id=row.session_id, row=row.id)
        await self._note(row, accepted.sid, accepted.status, again=again)
        self._segments.labels(connection.id).inc(segments(effect.text).count if effect.text else 1)
        return Waiting(0.0) if effect.media else Done()

    async def _fate(self, row: OutboxRow, settlement: Settlement, effect: SendText, known: SentText) -> Outcome:
        """Wait for what becomes of a text with files; ask the carrier when its news do not come."""
        now, settings = self._clock.now(), self._settings
        left_s = seconds_until(known.at + round(settings.files_news_s * 1000), now)
        if left_s > 0:
            return Waiting(min(left_s, _NEWS_S))
        connection = await self._connections.get(effect.connection_id)
        if connection is None or self._calls is None:
            return Done()
        if (now - row.created_at) / 1000 > settings.send_for_s:
            self._calls.withdraw(connection.id, row)
            return Done()
        if not self._calls.admit(connection.id, row):
            return Waiting(settings.recheck_s)
        ask = partial(TwilioClient(self._http, connection).fate, known.sid)
        try:
            told = await self._calls.call(connection.id, settlement, ask)
        except ProviderAuthFailed as error:
            await self._connections.set_state(connection, "auth_failed", error.code)
            return Waiting(settings.recheck_s)
        except ProviderRejected:
            return Done()
        except ProviderError:
            return Waiting(settings.recheck_s)
        await self.news(connection.id, row.session_id, str(row.id), told, (effect.number, effect.customer))
        if told.status in FAILED:
            return Waiting(0.0)
        return Done() if RANKS[told.status] >= RANKS["sent"] else Waiting(settings.recheck_s)

    async def _send(self, client: TwilioClient, effect: SendText, row: OutboxRow) -> Accepted:
        callback = f"{webhook_url(self._public_url, effect.connection_id)}?session={row.session_id}&text={row.id}"
        if effect is not row.effect:
            callback += "&again=1"
        return await client.send(
            number=effect.number,
            customer=effect.customer,
            text=effect.text,
            media=effect.media,
            status_callback=callback,
        )

    async def _find(self, client: TwilioClient, effect: SendText, since: int) -> Accepted | None:
        """The text as the carrier has it, if an earlier attempt came through: the oldest that is no other's."""
        sent = await client.sent_since(number=effect.number, customer=effect.customer, at=since)
        alike = [one for one, body, media in sent if body == effect.text and media == len(effect.media)]
        known = await self._store.known_sids([one.sid for one in alike])
        return next((one for one in reversed(alike) if one.sid not in known), None)

    async def news(
        self,
        connection_id: str,
        session_id: str,
        text_id: str,
        news: TextStatus,
        line: tuple[str, str],
        *,
        again: bool = False,
    ) -> None:
        """Note what the carrier tells of a text. Raises StoreUnavailable.

        `line`: our number and the customer's. `again`: it is about the text that was sent once more without files.
        """
        fresh = await self._store.save_text(
            SentText(
                id=text_id,
                connection_id=connection_id,
                session_id=session_id,
                sid=news.sid,
                status=news.status,
                rank=RANKS[news.status] + (AGAIN if again else 0),
                at=self._clock.now(),
                error=news.error,
            )
        )
        if not fresh:
            return
        self._texts.labels(connection_id, news.status).inc()
        if news.error == OPTED_OUT:
            await self._opted_out(connection_id, *line)
        if news.status in FAILED:
            meaning = MEANINGS.get(news.error, "see the carrier's list of errors")
            _log.error(
                "sms.not_delivered", connection_id=connection_id, session_id=session_id, error=news.error, why=meaning
            )

    async def _opted_out(self, connection_id: str, number: str, customer: str) -> None:
        await self._store.set_opted_out(connection_id, number, customer, opted_out=True, at=self._clock.now())

    async def _note(self, row: OutboxRow, sid: str, status: str, error: str = "", *, again: bool = False) -> None:
        effect = row.effect
        assert isinstance(effect, SendText)
        self._texts.labels(effect.connection_id, status).inc()
        await self._store.save_text(
            SentText(
                id=str(row.id),
                connection_id=effect.connection_id,
                session_id=row.session_id,
                sid=sid,
                status=status,
                rank=RANKS.get(status, 1 if sid else 0) + (AGAIN if again else 0),
                at=self._clock.now(),
                error=error,
            )
        )

    async def _give_up(self, row: OutboxRow, error: str, number: str = "") -> Outcome:
        await self._note(row, "", "not_sent", number or error)
        meaning = MEANINGS.get(number, "")
        _log.error("sms.not_sent", session_id=row.session_id, row=row.id, error=error, why=meaning)
        return GiveUp(error)


def _again(error: ProviderError, doubtful: bool, *, after: float | None) -> Retry:
    """Try again; once the outcome of an attempt is not known, it stays so until it was looked for."""
    certain = error.certain and not doubtful
    return Retry(f"{_NOT_SENT}{error.code}" if certain else error.code, after=after, certain=certain)
