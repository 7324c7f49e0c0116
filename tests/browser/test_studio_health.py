"""Health, event webhooks and numbers in a browser: by keyboard, on a phone, in the dark, without barriers."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from support.pages import follow, no_barriers
from support.studio import add_user, studio_server
from support.studio_browser import sign_in
from warmline.app import Server
from warmline.domain.catalog import Entry, Followed, HandoffFacts, Outcome
from warmline.domain.events import Recorded, UserMessage
from warmline.handoff.contract import ProviderUnavailable
from warmline.ports import HOUR_MS, Connection, Leg, RelayCount, Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One with a connection that is down, measured messages, and a handoff that timed out."""
    async with studio_server(tmp_path_factory.mktemp("health")) as running:
        await add_user(running, "ada@example.org", Role.ADMIN)
        store, now, project_id = running.store, running.clock.now(), running.project_ids[0]
        await store.save_connection(
            Connection(id="c1", provider="webex", name="Billing desk", project_id=project_id, values={})
        )
        for _ in range(5):
            running.delivery.health.failed("c1", ProviderUnavailable("unavailable"))
        legs = [(Leg.UP, 29, 240), (Leg.UP, 38, 9), (Leg.DOWN, 16, 180), (Leg.FAILED, 60, 1)]
        await store.add_relay_counts(
            [RelayCount(connection_id="c1", hour=now // HOUR_MS, leg=leg, bucket=b, messages=n) for leg, b, n in legs]
        )
        facts = HandoffFacts(
            id="h1",
            session_id="s1",
            project_id=project_id,
            connection_id="c1",
            requested_at=now - 90_000,
            accepted_at=now - 89_000,
            ended_at=now,
            reason="dispute",
            outcome=Outcome.TIMED_OUT,
        )
        entry = Entry(session_id="s1", project_id=project_id, sequence=1, started_at=now - 99_000, handoff=facts)
        await store.save_catalog([Followed(entry=entry, handoffs=(facts,))])
        yield running


async def test_a_receiver_is_added_tested_and_removed_by_keyboard(page: Page, server: Server) -> None:
    await sign_in(page, server)
    await page.goto(f"http://localhost:{server.port}/studio/settings/hooks")
    await expect(page.get_by_text("No program is told anything yet.")).to_be_visible()
    await page.get_by_label("Name").focus()
    await page.keyboard.type("CRM")
    await page.keyboard.press("Tab")
    await page.keyboard.type("http://127.0.0.1:9/in")
    await page.get_by_label("live_agent.message").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="CRM")).to_be_visible()
    assert (await page.get_by_label("The secret that signs").input_value()).startswith("whsec_")
    await no_barriers(page)
    (receiver,) = await server.store.receivers()
    message = Recorded(sequence=2, id="e2", at=server.clock.now(), event=UserMessage(message_id="m", text="x"))
    receiver = replace(receiver, kinds=("customer.message",))
    entry = Entry(session_id="s2", project_id=server.project_ids[0], sequence=2)
    await server.store.save_catalog([Followed(entry=entry, log=(message,))], [receiver])
    await server.store.give_up_events(receiver.id, before=server.clock.now() + 1, error="unreachable")
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.get_by_role("status")).to_contain_text("could not be reached")
    await expect(page.get_by_role("heading", name="Given up")).to_be_visible()
    await no_barriers(page)
    await follow(page.get_by_role("link", name="Remove…"))
    await no_barriers(page)
    await page.get_by_role("button", name="Remove it").click()
    await expect(page.get_by_text("No program is told anything yet.")).to_be_visible()


async def test_a_connection_s_state_changes_while_the_page_is_open(page: Page, server: Server) -> None:
    await sign_in(page, server)
    await page.goto(f"http://localhost:{server.port}/studio/integrations")
    state = page.locator("#state-c1")
    await expect(state).to_contain_text("Down")
    server.delivery.health.resume("c1")
    await expect(state).to_contain_text("Connected")
