"""Stores: SQLite for one process, PostgreSQL for several. `open_store` picks by URL."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from warmline.domain.errors import ConfigError
from warmline.ports import Ids, SecretBox, Store
from warmline.store.metrics import StoreMetrics


def open_store(
    url: str, ids: Ids, secrets: SecretBox, *, reading: bool = False, registry: CollectorRegistry | None = None
) -> Store:
    """The store a URL names, not started yet.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://…`.
        reading: change nothing, also beside a server that has the database open.
        registry: takes the metrics.

    Raises:
        ConfigError: another scheme, no path, or PostgreSQL without its driver installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        from warmline.store.sqlite import SqliteStore

        sqlite = SqliteStore(Path(rest[1:]), ids, secrets, reading=reading)
        sqlite.metrics = StoreMetrics(registry)
        return sqlite
    if scheme in ("postgresql", "postgres"):
        try:
            from warmline.store.postgres import PostgresStore
        except ModuleNotFoundError as error:
            raise ConfigError("WARMLINE_DATABASE_URL", "PostgreSQL needs: pip install 'warmline[postgres]'") from error
        postgres = PostgresStore(url, ids, secrets, reading=reading)
        postgres.metrics = StoreMetrics(registry)
        return postgres
    raise ConfigError("WARMLINE_DATABASE_URL", "must be sqlite:///path or postgresql://user@host/database")
