"""What writing to the store comes to, in numbers."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class StoreMetrics:
    """Measures of group commits."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the metrics in `registry`; nowhere when None."""
        registry = registry or CollectorRegistry()
        self._seconds = Histogram(
            "warmline_store_commit_seconds",
            "How long a group commit took, from its first statement until it was on disk. When it is high: a slow or "
            "full disk, or another program on the database; every message waits for it.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
            registry=registry,
        )
        self._changes = Histogram(
            "warmline_store_commit_changes",
            "Changes that shared a group commit. When it is high: writers wait for the disk; nothing to do while "
            "warmline_store_commit_seconds is low, else a quicker disk or more nodes with databases of their own.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
            registry=registry,
        )
        self._failures = Counter(
            "warmline_store_commit_failures",
            "Group commits that failed. When it rises: the log's store_write_failed lines; is the database there, is "
            "its disk full?",
            registry=registry,
        )

    def committed(self, changes: int, seconds: float) -> None:
        """Count a commit."""
        self._seconds.observe(seconds)
        self._changes.observe(changes)

    def failed(self) -> None:
        """Count a commit that failed."""
        self._failures.inc()
