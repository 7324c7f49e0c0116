"""What /metrics tells: names, units, help, and the document, the alerts and the dashboard that name them."""

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from warmline.cli import docs
from warmline.cli.metrics_document import families, metrics_document, registry_of_a_server

ROOT = Path(__file__).parents[3]
LABELS = {"connection", "connection_id", "effect", "endpoint", "kind", "leg", "outcome", "part", "project", "purpose"}
LABELS |= {"queue", "result", "state", "status"}


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    return asyncio.run(registry_of_a_server(Path(docs.__file__).with_name("project_template")))


def test_every_metric_has_a_unit_and_says_what_to_do(registry: CollectorRegistry) -> None:
    for family in families(registry):
        assert re.fullmatch(r"warmline_[a-z]+(_[a-z]+)*", family.name), family.name
        assert re.search(r"[Ww]hen .+: .+", family.documentation), family.name
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_changes")), family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_minutes")), family.name


def test_labels_are_few_and_bounded(registry: CollectorRegistry) -> None:
    document = metrics_document(registry)
    named = {label for row in document.splitlines()[12:] for label in re.findall(r"`(\w+)`", row.split("|")[3])}
    assert named <= LABELS


def test_the_document_is_what_the_server_tells(registry: CollectorRegistry) -> None:
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == metrics_document(registry), "run: make docs"
