"""Finding the connector a request is for, and whether the request comes from where it may."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable

from warmline.ports import Clock, Connector

_FRESH_S = 5.0


class ConnectorDirectory:
    """Connectors by token and by id; what is known is at most five seconds old.

    `load` gives all of them, e.g. `store.connectors`.
    """

    def __init__(self, load: Callable[[], Awaitable[Iterable[Connector]]], clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._lock = asyncio.Lock()
        self._loaded_at: float | None = None
        self._by_token: dict[str, Connector] = {}
        self._by_id: dict[str, Connector] = {}

    async def by_token(self, token: str) -> Connector | None:
        """The connector with this token. Raises StoreUnavailable."""
        await self._refresh()
        return self._by_token.get(token)

    async def by_id(self, connector_id: str) -> Connector | None:
        """The connector with this id. Raises StoreUnavailable."""
        await self._refresh()
        return self._by_id.get(connector_id)

    async def _refresh(self) -> None:
        if self._fresh():
            return
        async with self._lock:
            if self._fresh():
                return
            asked_at = self._clock.monotonic()
            connectors = list(await self._load())
            self._by_token = {connector.token: connector for connector in connectors}
            self._by_id = {connector.id: connector for connector in connectors}
            self._loaded_at = asked_at

    def _fresh(self) -> bool:
        return self._loaded_at is not None and self._clock.monotonic() - self._loaded_at < _FRESH_S


_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)(?::\d*)?(?:[/?#].*)?", re.DOTALL)


def normal_host(host: str) -> str:
    """A host as it is compared: without scheme, port, path and trailing slash or dot, in lower case (§2.1)."""
    match = _HOST.fullmatch(host.strip().lower())
    return match.group(1).strip().rstrip(".") if match else ""


_APP_ID = re.compile(r"(?:com|org|net)\.[^.]+\..+")


def host_matches(registered: str, given: str) -> bool:
    """Whether `given` (X-Host) is the registered domain, one of its subdomains, or the registered app id (§2.1).

    An app id is told from a domain by its first label ("com.example.app"); it has no subdomains.
    """
    domain, host = normal_host(registered), normal_host(given)
    if not domain or _APP_ID.fullmatch(domain):
        return bool(domain) and host == domain
    return host == domain or host.endswith(f".{domain}")
