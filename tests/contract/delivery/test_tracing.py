"""One trace follows a message: to the contact centre and its confirmation, and from a webhook back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.delivery import CONNECTION, Site, site
from warmline import telemetry
from warmline.domain import events as e
from warmline.telemetry.export import Spans
from warmline.testing import ManualClock

SECRET = "my card is 4111 1111"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.record_with(Spans(SimpleSpanProcessor(exporter), "node-1"))
    yield exporter
    telemetry.record_with(None)


def of(spans: InMemorySpanExporter, message_id: str) -> list[ReadableSpan]:
    trace_id = telemetry.ids_of(message_id)[0]
    return [span for span in spans.get_finished_spans() if span.context and span.context.trace_id == trace_id]


def tree(found: list[ReadableSpan]) -> set[tuple[str, str]]:
    """(name of the span above, name)."""
    names = {span.context.span_id: span.name for span in found if span.context}
    return {(names[span.parent.span_id] if span.parent else "", span.name) for span in found}


async def live_session(s: Site) -> str:
    session_id = await s.node.hand_off()
    await s.live(session_id)
    return session_id


async def confirmed(s: Site, session_id: str, message_id: str) -> None:
    await s.news(session_id, "confirmed", message_id=message_id)

    async def known() -> bool:
        return any(event.message_id == message_id for event in await s.of_type(session_id, e.MessageReceived))

    await s.until(known)


async def test_a_customers_message_has_one_trace_until_it_is_confirmed(
    tmp_path: Path, clock: ManualClock, spans: InMemorySpanExporter
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        message_id = await s.node.post(session_id, SECRET)
        await s.settled()
        await confirmed(s, session_id, message_id)
    assert tree(of(spans, message_id)) == {
        ("", "message.accept"),
        ("message.accept", "store.commit"),
        ("message.accept", "effect.attempt"),
        ("effect.attempt", "contact_centre.call"),
        ("message.accept", "webhook.apply"),
        ("webhook.apply", "store.commit"),
    }


async def test_a_live_agents_message_begins_its_trace_when_its_webhook_came(
    tmp_path: Path, clock: ManualClock, spans: InMemorySpanExporter
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        came = clock.now()
        await s.news(session_id, "agent_message", message_id="from-the-agent", text=SECRET, agent_id="agent-1")

        async def shown() -> bool:
            return bool(await s.of_type(session_id, e.LiveAgentMessage))

        await s.until(shown)
    found = of(spans, "from-the-agent")
    assert tree(found) == {("", "webhook.apply"), ("webhook.apply", "store.commit")}
    (root,) = (span for span in found if span.parent is None)
    assert root.start_time == came * 1_000_000


async def test_a_message_that_another_node_takes_over_stays_in_its_trace(
    tmp_path: Path, clock: ManualClock, spans: InMemorySpanExporter
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        s.platform.delay_s = lambda operation: 1000.0
        message_id = await s.node.post(session_id, SECRET)
        await s.pass_time(1)
        s.platform.delay_s = lambda operation: 0.0
        await s.restart(name="another")
        await s.until(lambda: s.platform.of(session_id).texts == [SECRET], within_s=60)
        await s.settled()
    attempts = [span for span in of(spans, message_id) if span.name == "effect.attempt"]
    assert attempts
    assert {span.parent.span_id for span in attempts if span.parent} == {telemetry.ids_of(message_id)[1]}


async def test_attributes_hold_ids_kinds_and_counts_only(
    tmp_path: Path, clock: ManualClock, spans: InMemorySpanExporter
) -> None:
    async with site(tmp_path, clock=clock) as s:
        session_id = await live_session(s)
        await s.node.post(session_id, SECRET)
        await s.settled()
    allowed = {"message_id", "session_id", "connection", "project", "effect", "row", "waited_ms"}
    for span in spans.get_finished_spans():
        assert {key.removeprefix("warmline.") for key in span.attributes or {}} <= allowed
        assert SECRET not in span.to_json()
    assert any((span.attributes or {}).get("warmline.connection") == CONNECTION for span in spans.get_finished_spans())
