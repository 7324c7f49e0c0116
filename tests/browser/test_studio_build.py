"""Building an agent in the Studio with a browser: a topic is wired to a function with Add action, then tried."""

import re
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from support.installation import LUMEN
from support.pages import fits, follow, no_barriers, until_page
from support.studio import add_user, studio_server
from support.studio_browser import sign_in, underlined
from warmline.app import Server
from warmline.ports import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for a project that may be changed, and an editor."""
    projects = tmp_path_factory.mktemp("projects")
    shutil.copytree(LUMEN, projects / "one")
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as server:
        await add_user(server, "ada@example.org", Role.EDITOR)
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def signed_in(page: Page, studio: Server) -> Page:
    """The editor's browser."""
    await sign_in(page, studio)
    return page


async def test_a_function_is_written_wired_to_a_topic_and_tried(signed_in: Page, studio: Server) -> None:
    page = signed_in
    await follow(page.get_by_role("link", name="Functions", exact=True))
    await no_barriers(page)
    await page.get_by_label("Function", exact=True).fill("fetch_an_expert")
    await follow(page.get_by_role("button", name="Add", exact=True))
    code = page.get_by_label("Python")
    handoff = (await code.input_value()).replace(
        'return {"utterance": "Say here what the customer reads."}',
        'conv.call_handoff(destination="experts", reason="heat pump")',
    )
    await code.fill(handoff.replace("def ", "dev "))
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("is not valid Python")
    await code.fill(handoff)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text(re.compile(r"^\s*Saved\."))).to_be_visible()

    await follow(page.get_by_role("link", name="Knowledge", exact=True))
    await follow(page.get_by_role("link", name="Add a topic"))
    await page.get_by_label("Topic", exact=True).fill("Broken heat pump")
    await page.get_by_label("Example questions").fill("My heat pump is broken\nThe heat pump makes a noise")
    await page.get_by_label("Actions").fill("Call {{fn:transfer_to_agnt}}")
    problems = page.locator("#problems")
    await expect(problems).to_contain_text("There is no function `transfer_to_agnt`.")
    await underlined(page, "{{fn:transfer_to_agnt}}")
    await page.get_by_label("Actions").press("Control+Home")
    async with page.expect_response("**/knowledge/check*"):
        await page.keyboard.insert_text("First of all: ")
        await underlined(page, "{{fn:transfer_to_agnt}}")  # It moves with its words.
    await until_page(page, "document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')", None)
    await expect(page.get_by_label("Actions")).to_have_attribute("aria-invalid", "true")
    await page.get_by_role("button", name="Show it in Actions").press("Enter")
    selected = "area => area.value.slice(area.selectionStart, area.selectionEnd)"
    assert await page.get_by_label("Actions").evaluate(selected) == "{{fn:transfer_to_agnt}}"
    await no_barriers(page)
    await page.get_by_label("Actions").fill("Call")
    await page.get_by_text("Add action").click()
    await no_barriers(page)
    await page.get_by_role("button", name="fetch_an_expert").press("Enter")
    await expect(page.get_by_label("Actions")).to_have_value("Call {{fn:fetch_an_expert}}")
    await expect(problems).to_contain_text("Nothing is wrong with this topic.")
    await underlined(page)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text(re.compile(r"^\s*Saved\."))).to_be_visible()
    await page.get_by_role("textbox", name="Which topic does a sentence reach?").fill("my heat pump makes such a noise")
    await page.get_by_role("button", name="Try", exact=True).click()
    await expect(page.locator("#found")).to_contain_text("It reaches Broken heat pump.")
    await no_barriers(page)

    await page.set_viewport_size({"width": 320, "height": 800})
    topic = "topics/broken_heat_pump.yaml"
    for path in (
        "functions",
        "knowledge",
        f"knowledge/topic/{topic}",
        f"knowledge/delete/{topic}",
        "knowledge/try?text=a",
    ):
        await page.goto(f"http://localhost:{studio.port}/studio/{path}")
        await fits(page)


async def test_what_was_written_stays_when_it_cannot_be_sent(signed_in: Page, studio: Server) -> None:
    page, trouble = signed_in, signed_in.get_by_role("alert")
    await page.goto(f"http://localhost:{studio.port}/studio/knowledge/topic/topics/green_energy.yaml")
    content = page.get_by_label("Content")
    await content.fill("All of it comes from the wind.")
    save = page.get_by_role("button", name="Save")
    await page.route("**/*", lambda route: route.abort())
    await content.press_sequentially(" All")
    await expect(trouble).to_contain_text("What you see may be out of date")
    await save.click()
    await expect(trouble).to_contain_text("Nothing was sent, and what you wrote is still here")
    await no_barriers(page)
    await page.get_by_role("textbox", name="Which topic does a sentence reach?").fill("wind")
    await page.get_by_role("button", name="Try", exact=True).click()
    await expect(trouble).to_contain_text("Try again when it is back.")
    async with page.expect_event("requestfailed"):
        await content.press_sequentially("!")
    await expect(trouble).to_contain_text("Try again when it is back.")
    await page.unroute("**/*")
    await content.press_sequentially("!")
    await expect(trouble).to_have_count(0)
    cookies = await page.context.cookies()
    await page.context.clear_cookies()
    await save.click()
    await expect(trouble).to_contain_text("You are signed out. Nothing was sent")
    await content.press_sequentially("!")
    await expect(trouble).to_contain_text("You are signed out. What you did just now was not done")
    await expect(content).to_have_value("All of it comes from the wind. All!!!")
    await page.context.add_cookies(
        [{"name": c["name"], "value": c["value"], "domain": c["domain"], "path": c["path"]} for c in cookies]
    )
    await save.click()
    await expect(page.get_by_text(re.compile(r"^\s*Saved\."))).to_be_visible()
    await expect(content).to_have_value("All of it comes from the wind. All!!!")
