"""deploy/: what it names exists; what it promises of a container stands in it. Images cannot be built in tests."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from warmline import config

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
YAMLS = sorted(str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*.yaml"))
METRIC = re.compile(r"\bwarmline_[a-z_]+")


def metrics_told() -> dict[str, tuple[set[str], str]]:
    """The samples that docs/metrics.md has, which another test compares with a server: their labels and their help."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \|(.*?)\|.*?\|(.*)\|$", (ROOT / "docs/metrics.md").read_text(encoding="utf-8"), re.M
    )
    told = {name: (set(re.findall(r"`(\w+)`", labels)), text) for name, _, labels, text in rows}
    for name, kind, *_ in rows:
        if kind == "histogram":
            told |= {f"{name}_{end}": told[name] for end in ("count", "sum")}
            told[f"{name}_bucket"] = (told[name][0] | {"le"}, told[name][1])
    return told


def unknown_labels(expression: str) -> set[str]:
    """Labels and their values that no metric of an expression has; Prometheus takes them for empty and says nothing."""
    told = metrics_told()
    usual = {"instance", "job", "namespace"}
    unknown: set[str] = set()
    for name, chosen in re.findall(r"\b(warmline_[a-z_]+)\{(.*?)\}", expression):
        labels, text = told[name]
        for label, value in re.findall(r'(\w+)[=!~]+"(.*?)"', chosen):
            if label not in labels | usual or (label in labels and not re.search(rf"\b{value}\b", text)):
                unknown.add(f"{name} {label} {value}")
    named = [told[name][0] for name in METRIC.findall(expression)]
    grouped = {label for group in re.findall(r"\bby \((.*?)\)", expression) for label in group.split(", ")}
    return unknown | {label for label in grouped - usual if not all(label in labels for labels in named)}


def rules() -> list[dict[str, Any]]:
    text = (DEPLOY / "prometheus/alerts.yaml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana/warmline.json").read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def deployment() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes/deployment.yaml").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", YAMLS)
def test_it_is_yaml(name: str) -> None:
    assert list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def test_alerts_watch_metrics_that_exist_and_say_why_and_what_to_do() -> None:
    assert len(rules()) >= 10
    for rule in rules():
        assert set(METRIC.findall(rule["expr"])) <= set(metrics_told()), rule["alert"]
        assert unknown_labels(rule["expr"]) == set(), rule["alert"]
        told = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        assert all(re.search(rf"\bby \([^)]*\b{label}\b", rule["expr"]) for label in told - {"instance"}), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "reason", "action"}, rule["alert"]
        assert set(METRIC.findall(rule["annotations"]["action"])) <= set(metrics_told()), rule["alert"]


def test_somebody_is_told_when_nobody_is_there() -> None:
    """Every other rule is silent without samples."""
    (gone,) = [rule for rule in rules() if rule["expr"] == "absent(warmline_ready)"]
    assert gone["labels"]["severity"] == "page"


def test_the_dashboard_shows_metrics_that_exist() -> None:
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    named = {name for expression in expressions for name in METRIC.findall(expression)}
    assert named <= set(metrics_told())
    for expression in expressions:
        assert unknown_labels(expression) == set(), expression
    assert len(named) >= 15


def test_every_setting_is_one_that_the_server_reads() -> None:
    source = Path(config.__file__).read_text(encoding="utf-8")
    for path in DEPLOY.rglob("*"):
        if not path.is_file() or path.suffix == ".json":
            continue
        for name in re.findall(
            r"^\s*(?:- name: |Environment=|ENV )?(WARMLINE_[A-Z_]+)(?::|=|$)", path.read_text(encoding="utf-8"), re.M
        ):
            if name in ("WARMLINE_DOMAIN", "WARMLINE_PROJECTS_FOLDER"):  # of compose.yaml itself
                continue
            key = name.removeprefix("WARMLINE_").removesuffix("_FILE").removeprefix("FUNCTION_")
            assert f'"{key}"' in source, (path.name, name)


def test_a_container_runs_as_nobody_and_writes_nowhere_else() -> None:
    image = (DEPLOY / "container/Containerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER 10001", image, re.M)
    assert image.count("--require-hashes") == 2
    pod = deployment()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"/tmp", "/data"} <= {mount["mountPath"] for mount in container["volumeMounts"]}
    services = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in ("warmline-1", "warmline-2", "demo"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


def test_a_database_that_is_away_for_long_does_not_end_the_service() -> None:
    """systemd gives a service up that failed to start five times in ten seconds, unless it is told not to."""
    unit = (DEPLOY / "systemd/warmline.service").read_text(encoding="utf-8")
    assert re.search(r"^Restart=always$", unit, re.M)
    assert re.search(r"^StartLimitIntervalSec=0$", unit, re.M)


def test_function_workers_are_counted_for_the_container_and_not_for_its_machine() -> None:
    for path in ("compose/compose.yaml", "kubernetes/config.yaml"):
        assert 'WARMLINE_FUNCTION_WORKERS: "4"' in (DEPLOY / path).read_text(encoding="utf-8"), path


def test_restarts_are_polite_and_only_dead_processes_are_killed() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= waits + 10 + 2 + 10
    assert deployment()["spec"]["replicas"] >= 2
    assert deployment()["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_what_has_no_login_is_not_shown_to_the_world() -> None:
    ingresses = list(yaml.safe_load_all((DEPLOY / "kubernetes/ingress.yaml").read_text(encoding="utf-8")))
    rules = [rule for ingress in ingresses for rule in ingress["spec"]["rules"]]
    paths = {path["path"] for rule in rules for path in rule["http"]["paths"]}
    assert not paths & {"/", "/metrics", "/readyz", "/healthz"}
    assert {"/api", "/v1", "/ws", "/widget", "/hooks", "/sms", "/files", "/studio"} <= paths
    assert all(
        ("http_503" in ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-next-upstream"])
        is (path["path"] in ("/hooks", "/sms"))
        for ingress in ingresses
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ), "only webhooks may be given to another node once a node has answered"
    assert "path /metrics /readyz /healthz" in (DEPLOY / "compose/Caddyfile").read_text(encoding="utf-8")
