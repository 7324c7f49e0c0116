"""What the bus between nodes comes to, in numbers."""

from prometheus_client import CollectorRegistry, Counter


class BusMetrics:
    """Counters of hints that did not get through."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the metrics in `registry`; nowhere when None."""
        registry = registry or CollectorRegistry()
        self.gaps = Counter(
            "warmline_bus_gaps",
            "Times that hints of another node were lost on their way to this one. When it rises: nothing is lost but "
            "time; look at the network, and at the load of the bus.",
            registry=registry,
        )
        self.lost = Counter(
            "warmline_bus_connections_lost",
            "Times that this node lost the bus. When it rises: look at PostgreSQL or NATS, and the network between.",
            registry=registry,
        )
        self.dropped = Counter(
            "warmline_bus_signals_dropped",
            "Hints that were not sent to other nodes, as the bus was away or its queue full. When it rises while the "
            "bus is connected: this node makes more hints than the bus takes; use NATS or add nodes.",
            registry=registry,
        )
