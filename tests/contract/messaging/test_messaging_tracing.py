"""The trace of a message from its socket through the virtual agent's turn and back to the socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.messaging import FREE, greeted, until
from support.server import messaging_server
from warmline import telemetry
from warmline.domain.events import UserMessage
from warmline.telemetry.export import Spans
from warmline.testing.messaging_client import MessagingClient


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.record_with(Spans(SimpleSpanProcessor(exporter), "node-1"))
    yield exporter
    telemetry.record_with(None)


async def test_the_trace_ends_where_its_customer_sees_the_answer(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async with messaging_server(tmp_path, limits=FREE) as server, MessagingClient(server.url) as client:
        await greeted(client)
        await client.say_and_wait("how much is it")
        log = await server.store.events(client.session_id, 0)
        (message,) = (r.event for r in log if isinstance(r.event, UserMessage))
        trace_id = telemetry.ids_of(message.message_id)[0]

        def names() -> set[str]:
            found = spans.get_finished_spans()
            return {span.name for span in found if span.context and span.context.trace_id == trace_id}

        await until(lambda: names() >= {"message.accept", "effect.attempt", "turn.run", "socket.send"})
