"""HTTP matters of the whole emulator: its client, and who may use its control plane from a browser."""

from urllib.parse import urlsplit

import aiohttp
from aiohttp import web


def is_foreign(request: web.Request) -> bool:
    """Whether a page of another site sends this request: such pages must neither drive nor watch the emulator."""
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


class HttpClient:
    """One `aiohttp` session, made at its first use."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session; needs a running event loop."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
