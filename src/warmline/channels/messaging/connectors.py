"""Finding the connector a request is for."""

import asyncio
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
