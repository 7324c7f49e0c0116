"""Calls of contact centres: guarded by the lease, watched for the destination's health."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from warmline import telemetry
from warmline.delivery.health import DestinationState, Health
from warmline.delivery.leases import Leases
from warmline.delivery.metrics import DeliveryMetrics
from warmline.domain.errors import LeaseLost
from warmline.handoff.contract import (
    Provider,
    ProviderAuthFailed,
    ProviderError,
    ProviderNotAsked,
    ProviderTimeout,
    send_guard,
)
from warmline.ports import Connection, OutboxRow, Settlement

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Providers(Protocol):
    """The running providers (`handoff.registry.Registry`)."""

    def get(self, connection_id: str) -> Provider | None:
        """The provider of a connection."""
        ...

    def connection(self, connection_id: str) -> Connection | None:
        """The connection as it is now."""
        ...

    async def set_state(self, connection_id: str, state: str, reason: str) -> None:
        """Store how the connection is, for the operator."""
        ...

    def watch(self, callback: Callable[[Connection], None]) -> None:
        """Call `callback` whenever a connection was started, replaced or changed its state."""
        ...


class ProviderCalls:
    """Makes one call at a time for a row that is certainly still ours."""

    def __init__(self, providers: Providers, health: Health, leases: Leases, metrics: DeliveryMetrics) -> None:
        self._providers = providers
        self._health = health
        self._leases = leases
        self.metrics = metrics

    def provider(self, connection_id: str) -> Provider | None:
        """The provider of a connection; None when it is not connected any more."""
        return self._providers.get(connection_id)

    def admit(self, connection_id: str, row: OutboxRow) -> bool:
        """The destination may be called for this row now; else its stream is woken when it may."""
        return self._health.admit(connection_id, row)

    def withdraw(self, connection_id: str, row: OutboxRow) -> None:
        """The row that was not admitted does not wait any more."""
        self._health.withdraw(connection_id, row)

    def stopped(self, connection_id: str) -> bool:
        """Nothing goes out until somebody has mended the connection."""
        return self._health.state(connection_id) is DestinationState.AUTH_FAILED

    def down(self, connection_id: str) -> int:
        """Since when the destination is down, milliseconds since the epoch; 0: it is not."""
        return self._health.down_since(connection_id)

    async def call(self, connection_id: str, settlement: Settlement, operation: Callable[[], Awaitable[T]]) -> T:
        """Call the contact centre.

        Raises: ProviderError; LeaseLost when the row is not certainly ours, then nothing was sent.
        """
        guard = send_guard.set(lambda: self._leases.check(settlement))
        try:
            self._leases.check(settlement)
            with telemetry.part("contact_centre.call", connection=connection_id):
                result = await operation()
        except ProviderError as error:
            if isinstance(error, ProviderNotAsked):
                self._health.aborted(connection_id)
            else:
                self._health.failed(connection_id, error)
            self._count(connection_id, type(error).__name__)
            if isinstance(error, ProviderAuthFailed):
                await self._providers.set_state(connection_id, "auth_failed", error.hint)
            raise
        except LeaseLost:
            self._health.aborted(connection_id)
            raise
        except Exception as error:
            # A provider that breaks its contract: what became of the request is not known.
            _log.exception("provider.broke_contract", connection_id=connection_id)
            timeout = ProviderTimeout("internal_error", type(error).__name__)
            self._health.failed(connection_id, timeout)
            self._count(connection_id, type(error).__name__)
            raise timeout from error
        except BaseException:
            self._health.aborted(connection_id)
            raise
        finally:
            send_guard.reset(guard)
        self._health.succeeded(connection_id)
        self._count(connection_id, "ok")
        return result

    def _count(self, connection_id: str, result: str) -> None:
        self.metrics.provider_calls.labels(connection_id, result).inc()
