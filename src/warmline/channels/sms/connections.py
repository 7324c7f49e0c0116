"""The connections of the SMS channel: which numbers are whose, and how to reach their carrier."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files

import structlog

from warmline.channels.sms.wire import E164
from warmline.handoff.manifest import Manifest, read_manifest
from warmline.ports import Clock, Connection, Store

_log = structlog.get_logger(__name__)

PROVIDER = "sms_twilio"
_FRESH_S = 5.0


@cache
def manifest() -> Manifest:
    """The fields of an SMS connection."""
    return read_manifest(files(__package__) / "manifest.toml")


def numbers(connection: Connection) -> tuple[str, ...]:
    """The numbers of a connection, the one that sends by default first."""
    return tuple(part for part in (raw.strip() for raw in connection.values["numbers"].split(",")) if part)


def webhook_url(public_url: str, connection_id: str) -> str:
    """What is entered at the carrier (design.md §3)."""
    return f"{public_url}/sms/twilio/{connection_id}"


def announces_to(number: Mapping[str, object] | None, url: str) -> bool:
    """Whether the carrier announces texts to a number of its account at `url`, whose `#` options do not count."""
    return number is not None and str(number.get("sms_url") or "").partition("#")[0] == url


class SmsConnections:
    """SMS connections by id and by number; what is known is at most five seconds old.

    `mended`, which the owner may replace, is called with a connection's id when its settings have changed.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._load: Callable[[], Awaitable[Iterable[Connection]]] = store.text_connections
        self._save = store.save_connection
        self._clock = clock
        self._lock = asyncio.Lock()
        self._loaded_at: float | None = None
        self._known: dict[str, Connection] = {}
        self.mended: Callable[[str], None] = lambda connection_id: None

    async def all(self) -> tuple[Connection, ...]:
        """All, oldest first. Raises StoreUnavailable."""
        async with self._lock:
            if self._loaded_at is None or self._clock.monotonic() - self._loaded_at >= _FRESH_S:
                await self._reload()
            return tuple(self._known.values())

    async def get(self, connection_id: str) -> Connection | None:
        """The connection of that id."""
        return next((c for c in await self.all() if c.id == connection_id), None)

    async def sender(self, project_id: str, number: str = "") -> tuple[Connection, str] | None:
        """The project's connection that has `number`, and the number; "" takes the first number of the oldest."""
        for connection in await self.all():
            if connection.project_id != project_id:
                continue
            service = connection.values.get("messaging_service_sid", "")
            if not number or number in numbers(connection) or (service and number == service):
                return connection, number if E164.fullmatch(number) else numbers(connection)[0]
        return None

    def forget(self) -> None:
        """Read the store at the next question."""
        self._loaded_at = None

    async def set_state(self, connection: Connection, state: str, reason: str) -> None:
        """Store how the connection is, for the operator."""
        if (connection.state, connection.state_reason) == (state, reason):
            return
        changed = replace(connection, state=state, state_reason=reason)
        await self._save(changed)
        self._known[connection.id] = changed
        _log.warning("sms.connection_state", connection_id=connection.id, state=state, reason=reason)

    async def _reload(self) -> None:
        before, self._known = self._known, {c.id: c for c in await self._load()}
        self._loaded_at = self._clock.monotonic()
        for connection_id, connection in self._known.items():
            old = before.get(connection_id)
            if old is not None and (old.values, old.secrets) != (connection.values, connection.secrets):
                self.mended(connection_id)
