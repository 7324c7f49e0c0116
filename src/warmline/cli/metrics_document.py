"""Writes docs/metrics.md from what a server tells at /metrics."""

import secrets
import tempfile
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from warmline.agent.models.metrics import ModelMetrics
from warmline.app import Server
from warmline.config import Settings

_HEAD = """# Metrics

What a node tells at `/metrics`, for Prometheus. Generated from the code by `make docs`. Counters end in `_total`, times
end in `_seconds`, everything else counts what it is named after. Labels are ids of connections and projects, kinds and
results: never what customers wrote, their names or numbers.

`deploy/prometheus/alerts.yaml` has rules for the most important ones, each with the reason for its threshold, and
`deploy/grafana/warmline.json` a dashboard. "Node" counts this process: add it up over all nodes (`sum`). "All" is read
from the database and the same on every node: take one (`max`).

"""
_ALL = frozenset({"warmline_backlog_rows", "warmline_backlog_oldest_seconds", "warmline_dead_letters"})


async def registry_of_a_server(project: Path) -> CollectorRegistry:
    """All metrics that there are: those of a server that was started on an empty database.

    Args:
        project: any agent project.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            database_url=f"sqlite:///{folder}/warmline.db",
            public_url="https://chat.example.com",
            secret_key=secrets.token_hex(),
            projects=project,
            port=0,
        )
        server = await Server.start(settings)
        try:
            ModelMetrics(server.metrics)
            list(server.metrics.collect())
            return server.metrics
        finally:
            await server.stop()


def families(registry: CollectorRegistry) -> list[Metric]:
    """The metrics by name, without the samples that say when a counter began."""
    return sorted(registry.collect(), key=lambda family: family.name)


def metrics_document(registry: CollectorRegistry) -> str:
    """docs/metrics.md."""
    lines = ["| Metric | Kind | Labels | Of | What, and what to do |", "|---|---|---|---|---|"]
    declared: dict[str, tuple[str, ...]] = {
        name: getattr(collector, "_labelnames", ())
        for collector, names in registry._collector_to_names.items()
        for name in names
    }
    for family in families(registry):
        labels = declared.get(family.name) or tuple(
            label for s in family.samples[:1] for label in s.labels if label != "le"
        )
        name = f"{family.name}_total" if family.type == "counter" else family.name
        of = "all" if family.name in _ALL else "node"
        told = " ".join(family.documentation.split())
        lines.append(f"| `{name}` | {family.type} | {', '.join(f'`{label}`' for label in labels)} | {of} | {told} |")
    return _HEAD + "\n".join(lines) + "\n"
