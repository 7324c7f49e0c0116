"""The states of connections on their tiles and pages, and what the dashboard tells of the relay."""

import csv
import io
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
import pytest_asyncio

from support.studio import Visit, add_user, studio_server
from warmline.app import Server
from warmline.domain.catalog import Entry, Followed, HandoffFacts, Outcome
from warmline.handoff.contract import ProviderUnavailable
from warmline.handoff.providers.webex.limiter import Limiter, Priority
from warmline.ports import HOUR_MS, Connection, Leg, RelayCount, Role
from warmline.testing import ManualClock

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = "/studio/integrations/c1"
HTMX = {"HX-Request": "true"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with studio_server(tmp_path_factory.mktemp("connections")) as running:
        await add_user(running, "viewer", Role.VIEWER)
        project_id = running.project_ids[0]
        await running.store.save_connection(
            Connection(id="c1", provider="webex", name="=Billing", project_id=project_id, values={})
        )
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server) -> AsyncIterator[Visit]:
    async with Visit(server) as visit:
        await visit.sign_in("viewer")
        yield visit


async def test_tiles_and_pages_tell_at_once_that_a_connection_is_down(server: Server, visit: Visit) -> None:
    _, text = await visit.get("/studio/integrations")
    assert ('id="state-c1"' in text, "Down" in text) == (True, False)
    health = server.delivery.health
    for _ in range(5):
        health.failed("c1", ProviderUnavailable("unavailable"))
    _, text = await visit.get("/studio/integrations", headers=HTMX)
    assert ('hx-swap-oob="true"' in text, "Down" in text, "<html" in text) == (True, True, False)
    _, text = await visit.get(PAGE)
    assert "It cannot be reached right now" in text
    _, text = await visit.get("/studio/settings/health")
    assert "It cannot be reached: unavailable" in text
    health.resume("c1")
    _, text = await visit.get(PAGE, headers=HTMX)
    assert ("It cannot be reached" in text, "Connected" in text) == (False, True)


async def test_a_connection_whose_deliveries_wait_needs_attention(server: Server, visit: Visit) -> None:
    pages = (PAGE, "/studio/integrations")
    row = (
        "INSERT INTO outbox (partition, stream_key, session_id, kind, body, created_at) VALUES (999, ?, '', 'X', '', ?)"
    )
    now = server.clock.now()
    file = server.settings.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(row, ("c1/s/h", now - 1000))
        for page in pages:
            assert "Needs attention" not in (await visit.get(page))[1]
        database.execute(row, ("c1/s/h", now - 20_000))
        for page in pages:
            _, text = await visit.get(page)
            assert ("Needs attention" in text, "wait longer than they should" in text) == (True, True)
        database.execute("DELETE FROM outbox")


async def test_dashboard_and_connection_tell_both_legs(server: Server, visit: Visit) -> None:
    now = server.clock.now()
    counts = [(Leg.UP, 20, 95), (Leg.UP, 40, 5), (Leg.DOWN, 12, 10), (Leg.FAILED, 60, 2)]
    await server.store.add_relay_counts(
        [RelayCount(connection_id="c1", hour=now // HOUR_MS, leg=leg, bucket=b, messages=n) for leg, b, n in counts]
    )
    facts = HandoffFacts(
        id="h1",
        session_id="s1",
        project_id=server.project_ids[0],
        connection_id="c1",
        reason="=moving",
        requested_at=now - 1000,
        ended_at=now,
        outcome=Outcome.TIMED_OUT,
    )
    entry = Entry(session_id="s1", project_id=server.project_ids[0], sequence=1, started_at=now - 2000, handoff=facts)
    await server.store.save_catalog([Followed(entry=entry, handoffs=(facts,))])
    _, text = await visit.get("/studio/dashboard?range=day")
    assert "Between customers and contact centres" in text
    assert 'class="number">100</td><td class="number">1.0 s</td>' in text
    assert "Queue time-outs" in text
    _, text = await visit.get("/studio/dashboard-connections.csv?range=day")
    (row,) = list(csv.DictReader(io.StringIO(text)))
    assert row["connection"] == "'=Billing", "no formula for a spreadsheet"
    assert (row["up messages"], row["up p50 ms"], row["up p95 ms"], row["timed_out"]) == ("100", "32", "1024", "1")
    _, text = await visit.get("/studio/dashboard?range=day")
    (address,) = re.findall(r'href="(/studio/dashboard-reasons.csv[^"]*)"', text)
    _, text = await visit.get(address)
    assert list(csv.reader(io.StringIO(text))) == [["reason", "handoffs"], ["'=moving", "1"]]
    _, text = await visit.get(PAGE)
    assert "100 to the contact centre, p95 1.0 s" in text
    assert "2 could not be delivered" in text


async def test_the_budget_of_calls_is_told() -> None:
    clock = ManualClock()
    limiter = Limiter(clock, 240)
    for _ in range(3):
        await limiter.acquire(Priority.APPEND)
    await clock.advance(30)
    await limiter.acquire(Priority.APPEND)
    assert (limiter.use().made, limiter.use().allowed, limiter.use().held_s) == (4, 240, 0)
    await clock.advance(31)
    limiter.pause(12)
    assert (limiter.use().made, limiter.use().held_s) == (1, 12)
