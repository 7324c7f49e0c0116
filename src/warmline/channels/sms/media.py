"""Files of an MMS, from the carrier to the live agent (messaging-protocol.md §17.6, webex-byoc.md §13.1)."""

import aiohttp
import structlog

from warmline.channels.sms.client import TwilioClient
from warmline.channels.sms.wire import InboundText
from warmline.domain import texts
from warmline.domain.messages import Attachment
from warmline.domain.session import Session
from warmline.files import Fetcher, FileRelay
from warmline.files.fetch import FetchFailed
from warmline.files.kinds import EXTENSIONS, FileRefused, identify
from warmline.files.relay import CUSTOMER_TTL_S
from warmline.ports import Clock, Connection

_log = structlog.get_logger(__name__)

_TRIES = 3
_BETWEEN_S = 2.0
_NOT_FETCHED = "A file that you sent could not be read. Please send it again."


class MediaFiles:
    """Fetches files from the carrier and keeps them under addresses of ours."""

    def __init__(self, relay: FileRelay, fetcher: Fetcher, http: aiohttp.ClientSession, clock: Clock) -> None:
        self._relay = relay
        self._fetcher = fetcher
        self._http = http
        self._clock = clock

    async def close(self) -> None:
        """Give connections back."""
        await self._fetcher.close()

    async def taken(
        self, connection: Connection, session: Session, text: InboundText
    ) -> tuple[tuple[Attachment, ...], str]:
        """The files of `text` that somebody takes now; what the customer must be told of the others, "" for none."""
        rules = session.file_rules
        if rules is None:
            return (), texts.FILES_NOT_TAKEN
        files: list[Attachment] = []
        problem = ""
        client = TwilioClient(self._http, connection)
        for number, media in enumerate(text.media, start=1):
            try:
                content = await self._fetch(client, media.url)
                kind = identify("", content)
                if not rules.takes(kind):
                    raise FileRefused("file_type", 415, texts.FILES_REFUSED["type"])
            except FileRefused as error:
                problem = error.public_message
                continue
            except FetchFailed as error:
                _log.warning("sms.media_not_fetched", session_id=session.id, error=error.code)
                problem = _NOT_FETCHED
                continue
            name = f"file-{number}.{EXTENSIONS[kind][0]}"
            files.append(await self._relay.keep(session.id, name, kind, content, ttl_s=CUSTOMER_TTL_S))
        if found := rules.problem(files):
            return (), texts.FILES_REFUSED[found]
        return tuple(files), problem

    async def _fetch(self, client: TwilioClient, url: str) -> bytes:
        authorization = client.authorization if client.owns(url) else ""
        for tries in range(1, _TRIES + 1):
            try:
                return (await self._fetcher.fetch(url, authorization=authorization)).content
            except FetchFailed as error:
                if not error.retryable or tries == _TRIES:
                    raise
                await self._clock.sleep(_BETWEEN_S)
        raise FetchFailed("not_reached")
