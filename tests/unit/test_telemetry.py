"""Traces: ids, what asks for them, what is sampled, and that logs name them."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from warmline import telemetry
from warmline.domain.errors import ConfigError
from warmline.telemetry.export import Spans

OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def test_a_messages_trace_has_a_proper_id_of_its_own() -> None:
    ids = {telemetry.trace_id_of(f"message-{n}") for n in range(1000)}
    assert len(ids) == 1000
    assert all(len(trace_id) == 32 and int(trace_id, 16) for trace_id in ids)
    assert telemetry.trace_id_of("message-1") == telemetry.trace_id_of("message-1")


def test_logs_carry_the_trace_of_what_is_being_done_and_no_older_one() -> None:
    with telemetry.begin("message.accept", "m-1"):
        assert telemetry.add_trace_id(None, "", {})["trace_id"] == telemetry.trace_id_of("m-1")
        with telemetry.follow("effect.attempt", ""):
            assert telemetry.add_trace_id(None, "", {}) == {}
    assert telemetry.add_trace_id(None, "", {}) == {}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        (OTLP, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({**OTLP, "OTEL_SDK_DISABLED": "true"}, False),
        ({**OTLP, "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(environment: dict[str, str], expected: bool) -> None:
    assert telemetry.wanted(environment) is expected


@pytest.mark.parametrize(
    ("key", "value"), [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
)
def test_what_is_not_supported_is_named(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key), telemetry.collected({**OTLP, key: value}, "node-1"):
        pass


def test_a_share_of_messages_is_followed_wholly_and_the_others_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    exporter = InMemorySpanExporter()
    telemetry.record_with(Spans(SimpleSpanProcessor(exporter), "node-1"))
    try:
        for n in range(400):
            with telemetry.begin("message.accept", f"m-{n}"), telemetry.part("store.commit"):
                pass
            with telemetry.follow("effect.attempt", f"m-{n}"):
                pass
    finally:
        telemetry.record_with(None)
    by_trace: dict[int, int] = {}
    for span in exporter.get_finished_spans():
        assert span.context is not None
        by_trace[span.context.trace_id] = by_trace.get(span.context.trace_id, 0) + 1
    assert set(by_trace.values()) == {3}
    assert 60 < len(by_trace) < 140


def test_an_error_is_not_told_in_a_span() -> None:
    exporter = InMemorySpanExporter()
    telemetry.record_with(Spans(SimpleSpanProcessor(exporter), "node-1"))
    try:
        with pytest.raises(ValueError), telemetry.begin("message.accept", "m"):
            raise ValueError("what the customer said")
    finally:
        telemetry.record_with(None)
    (span,) = exporter.get_finished_spans()
    assert "customer" not in span.to_json()


@pytest.mark.parametrize(("asked", "expected"), [(None, "warmline"), ("chat-of-lumen", "chat-of-lumen")])
def test_the_service_is_called_warmline_or_as_the_operator_says(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, expected: str
) -> None:
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    if asked:
        monkeypatch.setenv("OTEL_SERVICE_NAME", asked)
    exporter = InMemorySpanExporter()
    telemetry.record_with(Spans(SimpleSpanProcessor(exporter), "node-1"))
    try:
        with telemetry.begin("message.accept", "m"):
            pass
    finally:
        telemetry.record_with(None)
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == expected
    assert span.resource.attributes["service.instance.id"] == "node-1"


class _Collector(HTTPServer):
    """Takes what is exported over OTLP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taken)
        self.taken: list[tuple[str, bytes]] = []


class _Taken(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, _Collector)
        self.server.taken.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[_Collector]:
    server = _Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_spans_reach_a_collector_over_otlp(collector: _Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    with telemetry.collected(os.environ, "node-7"), telemetry.begin("message.accept", "m-1"):
        pass
    ((path, body),) = collector.taken
    assert path == "/v1/traces"
    assert b"message.accept" in body
    assert b"node-7" in body
    assert bytes.fromhex(telemetry.trace_id_of("m-1")) in body


def test_what_is_begun_after_the_collection_goes_nowhere(collector: _Collector) -> None:
    with telemetry.collected({}, "node-7"), telemetry.begin("message.accept", "m-2"), telemetry.part("store.commit"):
        pass
    assert collector.taken == []
