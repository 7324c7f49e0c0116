"""Texts whose webhook never got its 200: the carrier's list of messages has them (messaging-protocol.md §17.1).

The carrier calls a webhook once, and again only when it could not connect
(https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides): an outage of ours would swallow them.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter

from warmline.channels.sms.client import Received, TwilioClient
from warmline.channels.sms.connections import SmsConnections, announces_to, numbers, webhook_url
from warmline.channels.sms.inbound import Inbound
from warmline.channels.sms.wire import inbound_text
from warmline.domain.errors import StoreUnavailable
from warmline.domain.line import HOUR_MS
from warmline.handoff.contract import ProviderAuthFailed, ProviderError, ProviderRejected
from warmline.ports import TEXTS_ENDPOINT, Clock, Connection, Store

_log = structlog.get_logger(__name__)

_LONGEST_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class LookSettings:
    """Seconds. It is looked every `every_s`; a webhook has `grace_s` to come by itself, but none at a start."""

    every_s: float = 300.0
    grace_s: float = 30.0


class Missed:
    """Fetches them, at the start and every few minutes, for numbers whose webhook leads to this server.

    It looks back to an hour before the last webhook that is on disk, a day at most, and never before the connection
    was made. Texts are told apart by their MessageSid, so one that is here already changes nothing.
    """

    def __init__(
        self,
        store: Store,
        connections: SmsConnections,
        inbound: Inbound,
        http: aiohttp.ClientSession,
        clock: Clock,
        public_url: str,
        metrics: CollectorRegistry,
        settings: LookSettings | None = None,
    ) -> None:
        self._store = store
        self._connections = connections
        self._inbound = inbound
        self._http = http
        self._clock = clock
        self._public_url = public_url
        self._settings = settings or LookSettings()
        self._looked_at: dict[str, int] = {}
        self._failed: set[str] = set()
        self._seen: dict[str, set[str]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._fetched = Counter(
            "warmline_sms_missed",
            "Texts from customers that were fetched, as their webhooks did not come. When it rises: the carrier cannot "
            "reach this server; look at the number's webhook address and the proxy.",
            ("connection_id",),
            registry=metrics,
        )

    def start(self) -> None:
        """Look now and then from here on."""
        self._watching = asyncio.create_task(self._watch(), name="sms-missed")

    async def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        while True:
            try:
                for connection in await self._connections.all():
                    if not self._inbound.owns(connection.id):
                        continue
                    await self.look(connection)
            except StoreUnavailable:
                _log.warning("sms.missed_not_looked_for", why="store_unavailable")
            except Exception:
                _log.exception("sms.missed_not_looked_for")
            await self._clock.sleep(self._settings.every_s)

    async def look(self, connection: Connection) -> None:
        """Fetch what is missing of one connection. Raises StoreUnavailable."""
        if connection.state == "auth_failed":
            return
        now = self._clock.now()
        try:
            await self._look(connection, TwilioClient(self._http, connection), now)
        except ProviderAuthFailed as error:
            await self._connections.set_state(connection, "auth_failed", error.code)
        except ProviderError as error:
            # Once is nothing: the carrier may be there a moment later.
            tell = _log.warning if connection.id in self._failed else _log.info
            tell("sms.missed_not_looked_for", connection_id=connection.id, why=error.code)
            self._failed.add(connection.id)
        else:
            self._failed.discard(connection.id)
            self._looked_at[connection.id] = now

    async def _look(self, connection: Connection, client: TwilioClient, now: int) -> None:
        before = self._looked_at.get(connection.id)
        grace = 0 if before is None else round(self._settings.grace_s * 1000)
        since = await self._last_here(connection, now) if before is None else before - 2 * grace
        url = webhook_url(self._public_url, connection.id)
        seen: set[str] = set()
        found: list[Received] = []
        for number in numbers(connection):
            # Else somebody else answers what is sent to this number.
            if announces_to(await client.number(number), url):
                found += await client.received_since(number=number, at=max(since, connection.created_at))
        fetched = 0
        for text in sorted(found, key=lambda text: text.at):
            if text.at > now - grace:
                continue
            seen.add(text.sid)
            if text.sid not in self._seen.get(connection.id, ()):
                fetched += await self._take(connection, client, text)
        self._seen[connection.id] = seen
        if fetched:
            self._fetched.labels(connection.id).inc(fetched)
            _log.warning("sms.missed_webhooks", connection_id=connection.id, texts=fetched)

    async def _last_here(self, connection: Connection, now: int) -> int:
        heard = await self._store.last_webhooks()
        return max(heard.get((connection.id, TEXTS_ENDPOINT), 0) - HOUR_MS, now - _LONGEST_MS)

    async def _take(self, connection: Connection, client: TwilioClient, text: Received) -> bool:
        """True: it was missing. It is kept in the form in which its webhook would have come."""
        form = {"MessageSid": text.sid, "From": text.customer, "To": text.number, "Body": text.body}
        try:
            files = await client.media(text.sid) if text.files else []
        except ProviderRejected:
            # They are gone there; the words are still here.
            files = []
        form["NumMedia"] = str(len(files))
        for index, (url, mime_type) in enumerate(files):
            form |= {f"MediaUrl{index}": url, f"MediaContentType{index}": mime_type}
        try:
            read = inbound_text(form)
        except ValueError as error:
            _log.warning("sms.webhook_not_understood", connection_id=connection.id, field=str(error))
            return False
        return await self._inbound.accept(connection.id, read, urlencode(form).encode(), at=text.at)
