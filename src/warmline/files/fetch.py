"""Downloading what an address of somebody else points at, and only from the internet (webex-byoc.md §13.2)."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from warmline.domain.errors import WarmlineError
from warmline.ports import MAX_FILE_BYTES

_TIMEOUT_S = 30.0
_REDIRECTS = 3
_AT_ONCE = 8


class FetchFailed(WarmlineError):
    """The file could not be had. `retryable` says whether another try may help; the address is in no text."""

    def __init__(self, code: str, *, retryable: bool = False) -> None:
        super().__init__(code)
        self.retryable = retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A downloaded file and the type that its server says it has."""

    content: bytes
    mime_type: str


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet: not private, loopback, link-local, shared or reserved."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = ip.ipv4_mapped or ip.sixtofour if isinstance(ip, ipaddress.IPv6Address) else None
    return ip.is_global and not ip.is_multicast and (inner is None or is_public(str(inner)))


class _PublicOnly(AbstractResolver):
    """Resolves names for connections; what it gives is what is connected to, so there is no second look-up to fool."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise FetchFailed("private_address")
        return found

    async def close(self) -> None:
        await self._inner.close()


def open_session(*, relaxed: bool, limit: int) -> aiohttp.ClientSession:
    """An HTTP client that connects to public addresses only; `relaxed`: to every one. `limit`: connections at once."""
    resolver = None if relaxed else _PublicOnly()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=limit),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def checked_address(text: str, *, relaxed: bool) -> URL:
    """The address if something may be asked of it or sent to it: https and not private, unless `relaxed`.

    Raises:
        FetchFailed: it may not ("bad_address", "private_address"). Names are resolved only when they are used.
    """
    try:
        url = URL(text)
        host = url.host
    except ValueError as error:
        raise FetchFailed("bad_address") from error
    if not host or url.scheme not in (("https", "http") if relaxed else ("https",)):
        raise FetchFailed("bad_address")
    if url.user is not None or url.password is not None:
        raise FetchFailed("bad_address")
    if not relaxed and _is_ip(host) and not is_public(host):
        raise FetchFailed("private_address")
    return url


class Fetcher:
    """Fetches files by GET: https only, public addresses only, bounded in time and size.

    Args:
        relaxed: permit http and private addresses (emulators).
        timeout_s: for one file with all redirects.
        max_bytes: hard limit while streaming, whatever the server announced.
    """

    def __init__(
        self, *, relaxed: bool = False, timeout_s: float = _TIMEOUT_S, max_bytes: int = MAX_FILE_BYTES
    ) -> None:
        self._relaxed = relaxed
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._http: aiohttp.ClientSession | None = None
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def close(self) -> None:
        """Give connections back."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def fetch(self, url: str, *, authorization: str = "") -> Fetched:
        """Download one file; only `url` itself sees `authorization`, no redirect. Raises FetchFailed."""
        async with self._free:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._follow(url, authorization)
            except TimeoutError as error:
                raise FetchFailed("too_slow", retryable=True) from error
            except (aiohttp.ClientError, OSError) as error:
                raise FetchFailed("not_reached", retryable=True) from error

    async def _follow(self, text: str, authorization: str) -> Fetched:
        url = self._checked(text)
        headers = {"Accept-Encoding": "identity"}
        if authorization:
            headers["Authorization"] = authorization
        for _ in range(_REDIRECTS + 1):
            async with self._session().get(url, allow_redirects=False, headers=headers) as response:
                if response.status in (301, 302, 303, 307, 308):
                    headers.pop("Authorization", None)
                    target = response.headers.get("Location", "")
                    try:
                        url = self._checked(str(url.join(URL(target))))
                    except ValueError as error:
                        raise FetchFailed("bad_address") from error
                    continue
                return await self._read(response)
        raise FetchFailed("too_many_redirects")

    async def _read(self, response: aiohttp.ClientResponse) -> Fetched:
        if response.status != 200:
            raise FetchFailed(
                f"http_{response.status}", retryable=response.status in (404, 408, 429) or response.status >= 500
            )
        if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            raise FetchFailed("encoded")
        if (response.content_length or 0) > self._max_bytes:
            raise FetchFailed("too_large")
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > self._max_bytes:
                raise FetchFailed("too_large")
        if not content:
            raise FetchFailed("empty", retryable=True)
        return Fetched(content=bytes(content), mime_type=response.content_type)

    def _checked(self, text: str) -> URL:
        return checked_address(text, relaxed=self._relaxed)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = open_session(relaxed=self._relaxed, limit=2 * _AT_ONCE)
        return self._http


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
