"""Carries hints: pokes, wakes and what is worth showing only now. `open_bus` picks by settings."""

import hmac

from prometheus_client import CollectorRegistry

from warmline.bus.metrics import BusMetrics
from warmline.bus.settings import NatsSettings
from warmline.domain.errors import ConfigError
from warmline.ports import Bus, Ids

__all__ = ["NatsSettings", "open_bus"]


def open_bus(
    database_url: str,
    nats: NatsSettings | None,
    ids: Ids,
    installation: bytes,
    *,
    registry: CollectorRegistry | None = None,
) -> Bus:
    """The bus of a node, not started yet: NATS if there is one, else PostgreSQL's notifications, else this process.

    Args:
        database_url: where the store is.
        nats: where NATS is, None without it.
        installation: a secret that all nodes on one database share; others may use the same servers.
        registry: takes the metrics.

    Raises:
        ConfigError: the client for it is not installed.
    """
    name = hmac.new(installation, b"warmline bus", "sha256").hexdigest()[:16]
    metrics = BusMetrics(registry)
    if nats is not None:
        try:
            from warmline.bus.nats import NatsTransport
        except ModuleNotFoundError as error:
            raise ConfigError("WARMLINE_NATS_URL", "NATS needs: pip install 'warmline[nats]'") from error
        from warmline.bus.cluster import ClusterBus

        return ClusterBus(NatsTransport(nats, f"warmline.{name}"), ids, metrics=metrics)
    if database_url.startswith(("postgresql://", "postgres://")):
        from warmline.bus.cluster import ClusterBus
        from warmline.bus.postgres import PostgresTransport

        return ClusterBus(PostgresTransport(database_url, f"warmline_{name}"), ids, metrics=metrics)
    from warmline.bus.memory import MemoryBus

    return MemoryBus()
