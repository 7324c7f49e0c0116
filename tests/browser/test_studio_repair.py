"""Repairing from the Studio alone: Webex refuses messages; they are found, understood and delivered after all."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from support.desk import Desk
from support.installation import DISPUTE, LUMEN, TOKEN, connect_order, emulator, set_asset_webhook
from support.pages import follow, no_barriers
from support.studio import add_user
from support.studio_browser import sign_in
from warmline.app import Server
from warmline.emulators.webex import RunningSim
from warmline.ports import Role
from warmline.testing.messaging_client import MessagingClient
from warmline.testing.server import Order, start

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Works:
    """A server that is connected to an emulated Webex, and an agent who is logged in there."""

    server: Server
    sim: RunningSim
    desk: Desk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def works(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Works]:
    """Everything in this process."""
    folder: Path = tmp_path_factory.mktemp("data")
    async with emulator() as sim:
        order = {
            "database_url": f"sqlite:///{folder}/warmline.db",
            "project": str(LUMEN),
            "connector_token": TOKEN,
            "connect": connect_order(sim),
        }
        server, answer = await start(msgspec.convert(order, Order))
        try:
            await set_asset_webhook(sim, answer["asset_webhook_url"], answer["asset_webhook_secret"])
            await add_user(server, "ada@example.org", Role.ADMIN)
            async with Desk(sim.url) as desk:
                await desk.ready()
                yield Works(server, sim, desk)
        finally:
            await server.stop()


async def with_an_agent(works: Works, customer: MessagingClient) -> str:
    """The customer reaches a live agent; returns the task."""
    await customer.start()
    await customer.expect("POLY_AGENT_MESSAGE")
    await customer.say_and_wait(DISPUTE)
    task = await works.desk.take()
    await customer.expect("LIVE_AGENT_JOINED")
    return task


async def refuse(works: Works, endpoint: str = "append", **effect: Any) -> None:
    """Webex refuses the next message, or the next call of another endpoint."""
    fault = {"match": {"endpoint": endpoint}, "effect": {"times": 1, **effect}}
    await works.desk.call("POST", "/faults", fault)


async def heard(works: Works, task: str, text: str) -> None:
    await works.desk.until(lambda t: t["id"] == task and any(m["text"] == text for m in t["transcript"]), text)


def received(customer: MessagingClient) -> int:
    return len(customer.all("LIVE_AGENT_RECEIVED_MESSAGE"))


async def test_a_message_that_webex_refused_is_found_understood_and_delivered(page: Page, works: Works) -> None:
    async with MessagingClient(works.server.url, token=TOKEN) as customer:
        task = await with_an_agent(works, customer)
        await refuse(works, status=400)
        await customer.say_and_wait("My meter number is 7731")
        await customer.wait(lambda: any("Failed" in e.payload["message"] for e in customer.all("SYSTEM_MESSAGE")), "no")
        await customer.say_and_wait("Are you there?")
        await heard(works, task, "Are you there?")
        before = received(customer)

        await sign_in(page, works.server)
        await expect(page.get_by_text("1 delivery was given up.")).to_be_visible()
        await no_barriers(page)
        await follow(page.get_by_role("link", name="Look at them"))
        row = page.get_by_role("article")
        await expect(row).to_contain_text("The contact centre refused it for good.")
        await expect(row).to_contain_text("this message did not reach the live agent")
        await no_barriers(page)
        await page.get_by_role("button", name="Retry").press("Enter")
        await expect(page.get_by_role("status")).to_have_text("It is on its way again.")
        await expect(page.get_by_text("Nothing was given up.")).to_be_visible()
        await heard(works, task, "My meter number is 7731")
        await customer.wait(lambda: received(customer) > before, "its tick")

        await page.goto(f"http://localhost:{works.server.port}/studio/conversations/{customer.session_id}")
        await expect(page.locator(".line.customer").filter(has_text="7731")).to_contain_text("arrived")
        await refuse(works, "end", status=400)
        await follow(page.get_by_role("link", name="End the handoff"))
        await no_barriers(page)
        await page.get_by_role("button", name="End the handoff").click()
        await expect(page.get_by_role("status")).to_have_text("The handoff and the conversation were ended.")
        await customer.expect("SESSION_END")

        await page.reload()
        deliveries = page.get_by_role("region", name="Deliveries", exact=True)
        await expect(deliveries).to_contain_text("Closing at the contact centre given up")
        await deliveries.get_by_role("button", name="Retry").click()
        await works.desk.until(lambda t: t["id"] == task and t["status"] == "ended", "the end at Webex")
        await works.desk.act("wrapup", taskId=task)


async def test_a_message_refused_behind_an_acceptance_is_sent_again_from_its_line(page: Page, works: Works) -> None:
    async with MessagingClient(works.server.url, token=TOKEN) as customer:
        task = await with_an_agent(works, customer)
        await refuse(works, reason="INVALID_CONTENT")
        await customer.say_and_wait("The door code is *55#")
        await customer.wait(
            lambda: any("not allowed" in e.payload["message"] for e in customer.all("SYSTEM_MESSAGE")), "no"
        )
        await sign_in(page, works.server)
        await page.goto(f"http://localhost:{works.server.port}/studio/conversations/{customer.session_id}")
        line = page.locator(".line.customer").filter(has_text="door code")
        await expect(line).to_contain_text("not delivered")
        await no_barriers(page)
        await line.get_by_role("button", name="Send again").click()
        await expect(page.get_by_role("status")).to_have_text("It is on its way again.")
        await heard(works, task, "The door code is *55#")
        await expect(line).to_contain_text("arrived")

        await follow(page.get_by_role("link", name="Return to the virtual agent"))
        await no_barriers(page)
        await page.get_by_role("button", name="Return to the virtual agent").click()
        await expect(page.get_by_role("status")).to_have_text("The virtual agent has the conversation again.")
        await customer.expect("POLY_AGENT_JOINED", count=2)
        await works.desk.until(lambda t: t["id"] == task and t["status"] == "ended", "the end at Webex")
        await works.desk.act("wrapup", taskId=task)
