"""Sends spans to a collector over OTLP, as the standard OTEL_* variables say.

Sources: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from warmline import telemetry
from warmline.domain.errors import ConfigError
from warmline.telemetry import Attributes

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_root: ContextVar[tuple[int, int] | None] = ContextVar("warmline_root", default=None)


class _MessageIds(RandomIdGenerator):
    """Gives the first span of a message the ids that everybody else derives, too."""

    def generate_trace_id(self) -> int:
        root = _root.get()
        return root[0] if root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        root = _root.get()
        return root[1] if root else super().generate_span_id()


class Spans:
    """Implements `telemetry.Recorder` with the SDK of OpenTelemetry."""

    def __init__(self, processor: SpanProcessor, node: str) -> None:
        """Hand finished spans to `processor`; `node` names this process."""
        from warmline import __version__

        resource = Resource.create({"service.version": __version__, "service.instance.id": node})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "warmline"}))
        self._provider = TracerProvider(resource=resource, id_generator=_MessageIds(), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("warmline")

    def message(
        self, name: str, message_id: str, since_ms: int, *, first: bool, attributes: Attributes
    ) -> AbstractContextManager[object]:
        """A span in the trace of a message."""
        ids = telemetry.ids_of(message_id)
        attributes = {"warmline.message_id": message_id, **_named(attributes)}
        since = since_ms * 1_000_000 or None
        if not first:
            return self._used(self._tracer.start_span(name, self._under(name, ids), attributes=attributes))
        token = _root.set(ids)
        try:
            span = self._tracer.start_span(name, trace.set_span_in_context(trace.INVALID_SPAN), attributes=attributes,
                                           start_time=since)  # fmt: skip
        finally:
            _root.reset(token)
        return self._used(span)

    def part(self, name: str, attributes: Attributes) -> AbstractContextManager[object]:
        """A span under the current one."""
        return self._used(self._tracer.start_span(name, attributes=_named(attributes)))

    def close(self) -> None:
        """Send what waits, and stop."""
        self._provider.shutdown()

    def _under(self, name: str, ids: tuple[int, int]) -> Context:
        """The context below the first span of a message, which is sampled or not by its trace alone."""
        decision = self._provider.sampler.should_sample(None, ids[0], name).decision
        flags = trace.TraceFlags.SAMPLED if decision is Decision.RECORD_AND_SAMPLE else trace.TraceFlags.DEFAULT
        parent = trace.SpanContext(*ids, is_remote=True, trace_flags=trace.TraceFlags(flags))
        return trace.set_span_in_context(trace.NonRecordingSpan(parent))

    @staticmethod
    def _used(span: trace.Span) -> AbstractContextManager[object]:
        # What an exception says may be a customer's words.
        return trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False)


def configure(environment: Mapping[str, str], node: str) -> Spans:
    """Send spans as OTEL_* say.

    Raises:
        ConfigError: another exporter or protocol than ours is asked for.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp")
    if exporter != "otlp":
        raise ConfigError("OTEL_TRACES_EXPORTER", "must be otlp or none")
    for name in _PROTOCOLS:
        if environment.get(name, "http/protobuf") != "http/protobuf":
            raise ConfigError(name, "must be http/protobuf (port 4318 of most collectors)")
    return Spans(BatchSpanProcessor(OTLPSpanExporter()), node)


def _named(attributes: Attributes) -> Attributes:
    return {f"warmline.{name}": value for name, value in attributes.items()}
