"""Tables, SMS and secrets in the Studio with a browser: by the keyboard alone, without barriers, 320 pixels wide."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from playwright.async_api import Page, expect

from support.installation import ROOT
from support.pages import fits, follow, no_barriers
from support.phones import NUMBER, carrier, sms_fields
from support.studio import add_user, studio_server
from support.studio_browser import sign_in
from warmline.app import Server
from warmline.ports import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that may be changed."""
    projects = tmp_path_factory.mktemp("projects")
    shutil.copytree(ROOT / "examples" / "corner-cycles", projects / "one")
    return projects / "one"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> AsyncIterator[Server]:
    """A server for the project, and an administrator."""
    async with studio_server(tmp_path_factory.mktemp("data"), folder.parent) as server:
        await add_user(server, "ada@example.org", Role.ADMIN)
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def signed_in(page: Page, studio: Server) -> Page:
    """The administrator's browser."""
    await sign_in(page, studio)
    return page


async def test_an_entity_is_added_by_the_keyboard_alone(signed_in: Page, folder: Path) -> None:
    page = signed_in
    for link in ("Tables", "Entities", "Add an entity"):
        async with page.expect_event("load"):
            await page.get_by_role("link", name=link, exact=True).press("Enter")
    await page.get_by_label("Name required").focus()
    for typed, key in (("saddle", "Tab"), ("Which saddle", "Tab"), ("enum", "Tab"), ("options: [wide", "Tab")):
        await page.keyboard.type(typed)
        await page.keyboard.press(key)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    await expect(page.get_by_text("Write YAML with a key and a value")).to_be_visible()
    await no_barriers(page)
    settings = page.get_by_label("Settings")
    await settings.press("Control+End")
    await page.keyboard.type(", narrow]")
    await expect(page.locator("#problems")).to_contain_text("Nothing is wrong with this row.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text(re.compile(r"^\s*Saved\."))).to_be_visible()
    saved = yaml.safe_load((folder / "config/entities.yaml").read_text("utf-8"))["entities"][-1]
    assert saved == {
        "name": "saddle",
        "description": "Which saddle",
        "entity_type": "enum",
        "config": {"options": ["wide", "narrow"]},
    }


async def test_numbers_are_added_and_a_secret_is_set(signed_in: Page, studio: Server) -> None:
    page = signed_in
    async with carrier() as sim:
        fields = sms_fields(sim)
        for link in ("Channels", "SMS", "Add numbers"):
            await follow(page.get_by_role("link", name=link, exact=True))
        await page.get_by_label("Account SID").fill(fields["account_sid"])
        await page.get_by_label("Auth token").fill(fields["auth_token"])
        await page.get_by_label("Numbers").fill(NUMBER)
        await page.get_by_text("More settings").click()
        await page.get_by_label("API base URL").fill(fields["api_base_url"])
        await page.get_by_role("button", name="Test the account and save").click()
        await expect(page.locator("#found")).to_contain_text("announces its texts nowhere")
        assert "/sms/twilio/" in await page.get_by_label("Webhook", exact=True).input_value()
        await no_barriers(page)
        at = page.url.rpartition("/studio/")[2]
        for link in ("Settings", "Secrets", "Set api_workshop"):
            await follow(page.get_by_role("link", name=link, exact=True))
        await page.get_by_label("Secret", exact=True).fill("workshop-key")
        await page.get_by_role("button", name="Save the secret").click()
        await expect(page.get_by_role("status")).to_contain_text("Saved.")
        await no_barriers(page)
        await page.set_viewport_size({"width": 320, "height": 800})
        for path in (
            *(f"tables/{table}" for table in ("variants", "attributes", "sms_templates", "entities", "routes")),
            *("tables/routes/row/default", "tables/entities/delete/bike_count"),
            *("channels/sms", "channels/sms/rules/all", at, f"{at}/remove", "settings/secrets", "knowledge"),
        ):
            await page.goto(f"http://localhost:{studio.port}/studio/{path}")
            await fits(page)


async def test_unknown_names_are_marked_while_a_topic_is_written(signed_in: Page) -> None:
    page = signed_in
    await follow(page.get_by_role("link", name="Knowledge", exact=True))
    await follow(page.get_by_role("link", name="Add a topic"))
    await page.get_by_label("Topic", exact=True).fill("Saddles")
    actions = page.get_by_label("Actions")
    await actions.fill("Say hello. Call {{fn:no_such}} at once.")
    await expect(actions).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_role("textbox", name="Content")).not_to_have_attribute("aria-invalid", "true")
    await no_barriers(page)
    await page.get_by_role("button", name="Show it in Actions").press("Enter")
    await expect(actions).to_be_focused()
    assert await page.evaluate("getSelection().toString()") == "{{fn:no_such}}"
    await page.keyboard.type("nothing")
    await expect(actions).not_to_have_attribute("aria-invalid", "true")
