"""Finding the connector a request is for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from warmline.ports import Clock, Connector

_FRESH_S = 5.0
_MISSED_S = 0.5
"""Who is not known is looked for anew after this: an operator has just made the connector, or it is none."""


class ConnectorDirectory:
    """Connectors by token and by id; what is known is at most five seconds old, what is not half a second.

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
        await self._refresh(_FRESH_S)
        if token not in self._by_token:
            await self._refresh(_MISSED_S)
        return self._by_token.get(token)

    async def by_id(self, connector_id: str) -> Connector | None:
        """The connector with this id. Raises StoreUnavailable."""
        await self._refresh(_FRESH_S)
        if connector_id not in self._by_id:
            await self._refresh(_MISSED_S)
        return self._by_id.get(connector_id)

    async def _refresh(self, fresh_s: float) -> None:
        if self._fresh(fresh_s):
            return
        async with self._lock:
            if self._fresh(fresh_s):
                return
            asked_at = self._clock.monotonic()
            connectors = list(await self._load())
            self._by_token = {connector.token: connector for connector in connectors}
            self._by_id = {connector.id: connector for connector in connectors}
            self._loaded_at = asked_at

    def _fresh(self, fresh_s: float) -> bool:
        return self._loaded_at is not None and self._clock.monotonic() - self._loaded_at < fresh_s
