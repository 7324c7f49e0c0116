"""Messages between nodes over PostgreSQL's notifications, on a connection of their own.

Source: PostgreSQL 18 documentation, NOTIFY: a payload is shorter than 8000 bytes; notifications of a transaction
arrive in its order, transactions in the order of their commits; what is equal within a transaction is sent once.
"""

import contextlib
from collections.abc import Callable, Sequence

import asyncpg

from warmline.domain.errors import BusUnavailable, ConfigError

_CONNECT_TIMEOUT_S = 5
_COMMAND_TIMEOUT_S = 5
_SETTINGS = {
    "application_name": "warmline bus",
    # A notification need not be on disk: with a crash of the server its listeners are gone, too.
    "synchronous_commit": "off",
}
_PUBLISH = "SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message"
_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_REFUSED = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    ValueError,
)


class PostgresTransport:
    """Implements `bus.transport.Transport`.

    Args:
        url: the database; a transaction pooler in between loses notifications.
        channel: the same for all nodes of an installation, and another one for others on this database.
    """

    limit = 7999

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._db: asyncpg.Connection | None = None

    async def open(self, receive: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Connect and listen."""

        def ended(db: object) -> None:
            if db is self._db:
                lost()

        def heard(_: object, __: int, ___: str, payload: str) -> None:
            receive(payload.encode())

        try:
            db = self._db = await asyncpg.connect(
                self._url, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S, server_settings=_SETTINGS
            )
            db.add_termination_listener(ended)
            await db.add_listener(self._channel, heard)
        except _REFUSED as error:
            raise ConfigError("WARMLINE_DATABASE_URL", f"PostgreSQL refuses it: {type(error).__name__}") from error
        except _LOST as error:
            raise BusUnavailable(f"PostgreSQL cannot be used: {type(error).__name__}") from error

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Notify, in a transaction of its own."""
        if self._db is None:
            raise BusUnavailable("not connected to PostgreSQL")
        try:
            await self._db.execute(_PUBLISH, self._channel, [message.decode() for message in messages])
        except _LOST as error:
            raise BusUnavailable(f"PostgreSQL cannot be used: {type(error).__name__}") from error

    async def close(self) -> None:
        """Let go of the connection."""
        if self._db is not None:
            db, self._db = self._db, None
            with contextlib.suppress(*_LOST):
                await db.close(timeout=1)
