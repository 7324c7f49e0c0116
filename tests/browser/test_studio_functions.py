"""The source editor in a browser: colours, findings at their lines, keys that trap nobody; and running a function."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from support.agent_projects import function_file, write_project
from support.flow_projects import default_step_file, flow_file, flow_function, step_file
from support.pages import fits, follow, no_barriers
from support.studio import add_user, studio_server
from support.studio_browser import sign_in, underlined
from warmline.app import Server
from warmline.ports import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")
GREET = function_file(
    "greet", 'conv.state.seen = True\nprint("hello", name)\nreturn {"utterance": "Hello " + name}', "name: str"
)
FILES = {
    "functions/greet.py": GREET,
    "config/entities.yaml": "entities:\n  - name: size\n    entity_type: free_text\n    description: d\n",
    "flows/order/flow_config.yaml": flow_file("order", "ask"),
    "flows/order/steps/ask.yaml": default_step_file("ask", "Ask.", "size", "known -> confirm: size", "again -> ask"),
    "flows/order/steps/confirm.yaml": step_file("confirm", "Call {{ft:back}}."),
    "flows/order/functions/back.py": flow_function("back", "flow.goto_step('ask')"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for a small project, and an editor."""
    projects = tmp_path_factory.mktemp("projects")
    write_project(projects / "sample", FILES)
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as server:
        await add_user(server, "ada@example.org", Role.EDITOR)
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def signed_in(page: Page, studio: Server) -> Page:
    """The editor's browser."""
    await sign_in(page, studio, path="functions")
    return page


async def test_code_is_coloured_checked_and_kept_apart_from_the_keyboard(signed_in: Page) -> None:
    page = signed_in
    await follow(page.get_by_role("link", name="greet(name)"))
    code, findings = page.get_by_label("Python"), page.locator("#findings")
    await expect(page.locator(".ink .t-word", has_text="def")).to_be_visible()
    await expect(page.locator(".ink .t-string", has_text='"Hello "')).to_be_visible()
    assert await page.locator(".ink .inked").all_inner_texts() == [line or " " for line in GREET.split("\n")]
    await no_barriers(page)

    await code.fill(GREET.replace("name: str", "name: list"))
    await expect(findings).to_contain_text("Parameter `name` of `greet` must be str")
    await expect(page.locator(".ink .flagged.failed .remark")).to_contain_text("must be str")
    await expect(page.locator(".gutter .failed")).to_have_text("6")
    await expect(page.get_by_text("You have unsaved changes.")).to_be_visible()
    await no_barriers(page)
    await page.get_by_role("link", name="Line 6:").click()
    await expect(code).to_be_focused()
    selected = await code.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")
    assert selected.startswith("def greet(")

    await code.fill("def greet(conv, name: str):")
    await code.press("End")
    await code.press("Enter")
    await code.press_sequentially("if name:")
    await code.press("Enter")
    await code.press_sequentially("x = 1")
    await code.press("Enter")
    await code.press("Shift+Tab")
    await code.press_sequentially("return name")
    assert await code.input_value() == "def greet(conv, name: str):\n    if name:\n        x = 1\n    return name"
    await code.press("Control+a")
    await code.press("Tab")
    assert (await code.input_value()).startswith("    def greet(conv, name: str):\n        if name:")
    await code.press("Control+z")
    assert (await code.input_value()).startswith("def greet(")
    await code.press("Escape")
    await code.press("Tab")
    await expect(page.get_by_role("button", name="Save")).to_be_focused()
    await expect(findings).to_contain_text("`greet` has no `@func_description`.")


async def test_a_function_is_run_with_the_keyboard(signed_in: Page, studio: Server) -> None:
    page = signed_in
    await page.goto(f"http://localhost:{studio.port}/studio/functions/edit/functions/greet.py")
    await page.get_by_label("name", exact=False).first.focus()
    await page.locator("#argument-name").fill("Ada")
    await page.get_by_label("State before").fill("{nothing")
    await page.get_by_role("button", name="Run", exact=True).press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("State before (JSON): line 1 is not valid JSON")
    await page.get_by_label("State before").fill('{"seen": false}')
    await page.get_by_role("button", name="Run", exact=True).press("Enter")
    ran = page.locator("#ran")
    await expect(ran).to_contain_text("It returned after")
    await expect(ran).to_contain_text("Hello Ada")
    await expect(ran).to_contain_text("seen = True")
    await expect(ran).to_contain_text("hello Ada")
    await no_barriers(page)
    await page.set_viewport_size({"width": 320, "height": 800})
    await fits(page)


async def test_a_flow_is_read_and_a_step_is_edited(signed_in: Page, studio: Server) -> None:
    page = signed_in
    await follow(page.get_by_role("link", name="Flows", exact=True))
    await no_barriers(page)
    await follow(page.get_by_role("link", name="order"))
    await no_barriers(page)
    await expect(page.locator(".graph svg rect.box")).to_have_count(2)
    async with page.expect_event("load"):
        await page.get_by_role("heading", name="ask").get_by_role("link").press("Enter")
    await no_barriers(page)
    file = page.get_by_label("File")
    await expect(page.locator(".ink .t-name", has_text="conditions")).to_be_visible()
    text = await file.input_value()
    await file.fill(text.replace("child_step: confirm", "child_step: nowhere"))
    await expect(page.locator(".ink .remark")).to_contain_text("The child step `nowhere` does not exist.")
    await underlined(page, "nowhere")
    await file.fill(text.replace("name: again", "name: once more"))
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text(re.compile(r"^\s*Saved\."))).to_be_visible()
    await expect(page.get_by_text("once more → ask")).to_be_visible()
    await page.set_viewport_size({"width": 320, "height": 800})
    for path in ("flows", "flows/show/order", "flows/edit/flows/order/steps/ask.yaml"):
        await page.goto(f"http://localhost:{studio.port}/studio/{path}")
        await fits(page)
