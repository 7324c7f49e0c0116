"""What operators see of delivery (webex-byoc.md §21.2, A-85). Labels are ids, kinds and results, never content."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from warmline.ports import Leg

OUTBOX_DEPTH = (
    "Effects of this node's partitions that are not settled. When it grows: see warmline_outbox_oldest_seconds; when "
    "that does not grow with it, there is simply more work: add a node."
)
OUTBOX_OLDEST = (
    "Age of the oldest effect that is not settled. When it is high: warmline_destination_state and "
    "warmline_provider_calls_total name the connection that takes nothing."
)
INBOX_DEPTH = (
    "Webhooks stored and not processed; parked ones, whose conversation nobody knows yet, included. When it grows: see "
    "warmline_inbox_oldest_seconds."
)
INBOX_OLDEST = (
    "Age of the oldest webhook that is neither processed nor parked. When it is high: the database "
    "(warmline_store_commit_seconds) or the log's inbox.* lines."
)
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


M = TypeVar("M", bound=MetricWrapperBase)


class Labelled(Generic[M]):
    """A metric that is counted with every message: what belongs to its labels is looked up once."""

    def __init__(self, metric: M) -> None:
        self.labels: Callable[..., M] = cache(metric.labels)


class DeliveryMetrics:
    """All counters and gauges of delivery, in a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outbox_outcomes = Labelled(
            Counter(
                "warmline_outbox_outcomes",
                "Attempts of effects by their outcome (done, waiting, retry, dead). When dead rises: Studio, "
                "Dead deliveries, retry or discard each. When retry rises: the connection's health says why.",
                ("effect", "outcome"),
                registry=registry,
            )
        )
        self.provider_calls = Labelled(
            Counter(
                "warmline_provider_calls",
                "Calls of contact centres by their result (ok, or the kind of the error). When errors rise: "
                "warmline connect test, and the vendor's status page.",
                ("connection", "result"),
                registry=registry,
            )
        )
        self.destination = Gauge(
            "warmline_destination_state",
            "Health of a connection: 1 up, 0 down, -1 stopped because its credentials are refused. When it is not 1: "
            "Studio, Integrations, test the connection; at -1 give it new credentials.",
            ("connection",),
            registry=registry,
        )
        self.webhooks = Labelled(
            Counter(
                "warmline_webhooks",
                "Webhook requests by what was answered (accepted, duplicate, ignored, or why it was refused). When "
                "bad_signature rises: the secret does not fit on one side, or somebody forges.",
                ("connection", "result"),
                registry=registry,
            )
        )
        self.webhook_heard = Labelled(
            Gauge(
                "warmline_webhook_last_received_seconds",
                "When the last webhook that was for us came on each path, seconds since the epoch. When one path is "
                "much older than the other: the contact centre does not call it; run warmline verify.",
                ("connection", "endpoint"),
                registry=registry,
            )
        )
        self.inbox_rows = Labelled(
            Counter(
                "warmline_inbox_rows",
                "Stored webhooks by what became of them (applied, repeated, meaningless, doubted, transcript, refusal, "
                "parked, dead). When dead rises: the log's inbox.* lines say why; it is a bug or a new kind of news.",
                ("result",),
                registry=registry,
            )
        )
        self.reordered = Counter(
            "warmline_inbox_reordered",
            "Webhooks that arrived after younger ones of their conversation. When it rises: nothing to do, they are "
            "put in order; agents' answers show a little later.",
            ("connection",),
            registry=registry,
        )
        self.reconciled = Counter(
            "warmline_reconciled",
            "Conversations looked up because nothing was heard (as_known, news, unknown, failed, end_unconfirmed). "
            "When news rises: webhooks get lost on their way; look at the proxy's log.",
            ("connection", "result"),
            registry=registry,
        )
        self.leg = Labelled(
            Histogram(
                "warmline_relay_leg_seconds",
                "How long it took up, from a customer's echo until the contact centre has the message, and down, from "
                "a webhook (a live agent's message, or other news) until it is stored for the customer. When it is "
                "high: compare the two, and with warmline_store_commit_seconds; up alone is the contact centre.",
                ("connection", "leg"),
                buckets=_SECONDS,
                registry=registry,
            )
        )
        self.relay_failed = Counter(
            "warmline_relay_failed",
            "Customers' messages that did not reach the contact centre; their customers were told. When it rises: "
            "Studio, Dead deliveries.",
            ("connection",),
            registry=registry,
        )
        self.handoffs_over = Counter(
            "warmline_handoffs_over",
            "Handoffs that are over by outcome (finished, failed, timed_out, customer_left). When failed rises: the "
            "connection; when timed_out or customer_left rise: too few live agents.",
            ("connection", "outcome"),
            registry=registry,
        )
        self.event_hooks = Counter(
            "warmline_event_hook_requests",
            "Events sent to receivers by result (accepted, refused, unreachable) and given up (given_up). When it is "
            "not accepted: Studio, Settings, Event webhooks names the receiver and its answer.",
            ("result",),
            registry=registry,
        )
        self._registry = registry
        self.relayed: Callable[[str, Leg, int], None] = lambda connection_id, leg, since: None
        """Told of every message that got through or failed, and since when it was on its way (epoch milliseconds)."""

    def took(self, connection_id: str, leg: Leg, milliseconds: int) -> None:
        """Count a message that got through or failed after so long."""
        if leg is Leg.FAILED:
            self.relay_failed.labels(connection_id).inc()
        else:
            self.leg.labels(connection_id, leg.value).observe(max(0, milliseconds) / 1000)

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
