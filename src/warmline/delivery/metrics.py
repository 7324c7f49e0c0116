"""What operators see of delivery (webex-byoc.md §21.2, A-85). Labels are ids, kinds and results, never content."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from warmline.ports import Leg


class DeliveryMetrics:
    """All counters and gauges of delivery, in a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outbox_outcomes = Counter(
            "warmline_outbox_outcomes",
            "Attempts of effects by their outcome (done, waiting, retry, dead).",
            ("effect", "outcome"),
            registry=registry,
        )
        self.provider_calls = Counter(
            "warmline_provider_calls",
            "Calls of contact centres by their result (ok, or the kind of the error).",
            ("connection", "result"),
            registry=registry,
        )
        self.destination = Gauge(
            "warmline_destination_state",
            "Health of a connection: 1 up, 0 down, -1 stopped because its credentials are refused.",
            ("connection",),
            registry=registry,
        )
        self.webhooks = Counter(
            "warmline_webhooks",
            "Webhook requests by what was answered (accepted, duplicate, ignored, refused, …).",
            ("connection", "result"),
            registry=registry,
        )
        self.webhook_heard = Gauge(
            "warmline_webhook_last_received_seconds",
            "When the last webhook that was for us came on each path, as seconds since the epoch.",
            ("connection", "endpoint"),
            registry=registry,
        )
        self.inbox_rows = Counter(
            "warmline_inbox_rows",
            "Stored webhooks by what became of them (applied, repeated, meaningless, refusal, parked, dead).",
            ("result",),
            registry=registry,
        )
        self.reordered = Counter(
            "warmline_inbox_reordered",
            "Webhooks that arrived after younger ones of their conversation.",
            ("connection",),
            registry=registry,
        )
        self.reconciled = Counter(
            "warmline_reconciled",
            "Conversations looked up because nothing was heard (as_known, news, unknown, failed, end_unconfirmed).",
            ("connection", "result"),
            registry=registry,
        )
        self._registry = registry
        self.relayed: Callable[[str, Leg, int], None] = lambda connection_id, leg, since: None
        """Told of every message that got through or failed, and since when it was on its way (epoch milliseconds)."""

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read when it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def gauges(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Add gauges, one for each value of `label`, that are read when they are asked for."""
        self._registry.register(_Gauges(name, text, label, read))


class _Gauges(Collector):
    def __init__(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._read = read

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for value, count in self._read().items():
            family.add_metric([value], count)
        yield family
