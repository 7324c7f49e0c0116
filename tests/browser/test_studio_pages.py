"""axe on every page of the Studio: light, dark and on a small phone; full, empty and refused; by enumeration.

The routes say which pages there are, the templates which more come as answers to forms. One that is added fails here
until somebody leads axe to it.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page, expect

from support.filled_studio import Filled, blanks, fill, filled_in, routes
from support.pages import fits, follow, stillness
from support.studio import PASSWORD, add_user, copy_examples, studio_server
from warmline.agent.services.secrets import secret_key
from warmline.app import Server
from warmline.cli.new import new
from warmline.ports import ApiKey, Role

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

DOWNLOADS = (".csv", ".txt", ".json", ".js")
PARTS = frozenset(
    {
        "/studio/live",
        "/studio/integrations/{connection}/findings",
        "/studio/channels/sms/{connection}/findings",
    }
)
"""What pages load into themselves."""
NAMES = {
    "knowledge": {"file": "topics/complaint.yaml"},
    "functions": {"file": "functions/ask_for_workshop.py"},
    "flows": {"file": "flows/collection/steps/bikes.yaml", "folder": "collection"},
    "settings/secrets": {"name": secret_key("api_workshop")},
    "channels/keys": {"name": "crm"},
    "integrations/new": {"provider": "webex"},
}
"""What placeholders mean in the project, by the beginning of the path."""
ROWS = {"attributes": "shop_name", "routes": "default", "phrases": "numbers"}
"""Rows of tables that have all kinds of columns together."""
PHRASES = "phrase_filtering:\n  - name: numbers\n    regular_expressions: ['[0-9]{12}']\n    description: Digits\n"
LOOKS = (("light", 1280), ("dark", 320))
"""Colours, and width in pixels: contrast is the same at every width, the rest in every colour."""
AXE = """async () => {
    const { violations } = await axe.run({ resultTypes: ["violations"], iframes: false });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 200)).join(" ")}`);
}"""


@dataclass
class Judge:
    """Leads axe through pages; `seen` are the templates that it has judged, by name."""

    page: Page
    url: str
    seen: set[str] = field(default_factory=set)

    async def visit(self, path: str, status: int = 200) -> None:
        """Open a page below /studio/ and look at it."""
        answer = await self.page.goto(f"{self.url}/studio/{path}")
        assert answer is not None
        assert answer.status == status, path
        await self.look()

    async def look(self) -> None:
        """Judge the page that is open, in every look."""
        await stillness(self.page)
        self.seen.add(str(await self.page.evaluate("document.body.dataset.page")))
        await self.page.evaluate(AXE_SCRIPT)
        for colours, width in LOOKS:
            await self.page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
            await self.page.set_viewport_size({"width": width, "height": 900})
            found = await self.page.evaluate(AXE)
            assert found == [], f"{self.page.url}, {colours}, {width} pixels"
            await fits(self.page)

    async def sign_in(self, name: str) -> None:
        """Sign in, and judge the door on the way."""
        await self.visit("sign-in")
        await self.page.get_by_label("User name").fill(name)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await follow(self.page.get_by_role("button", name="Sign in"))
        await expect(self.page.locator("body")).to_have_attribute("data-page", "home")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with phrase filters."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, two="corner-cycles")
    phrases = projects / "two" / "voice" / "response_control" / "phrase_filtering.yaml"
    phrases.parent.mkdir(parents=True)
    phrases.write_text(PHRASES, "utf-8")
    return projects / "two"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(tmp_path_factory: pytest.TempPathFactory, project: Path) -> AsyncIterator[Filled]:
    """A server with one of everything."""
    async with studio_server(tmp_path_factory.mktemp("data"), project.parent) as server:
        await add_user(server, "admin@example.org", Role.ADMIN)
        await add_user(server, "viewer@example.org", Role.VIEWER)
        await server.store.save_project_secret("two", secret_key("api_workshop"), "a key", 1)
        filled = await fill(server, "two")
        await server.store.add_api_key(ApiKey(id="1" * 64, name="crm", project_id="two", created_at=1))
        yield filled


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server that nobody has touched, for a project without a topic or function."""
    folder = tmp_path_factory.mktemp("empty")
    new(folder / "project", "Nothing Yet")
    for file in (*folder.glob("project/topics/*.yaml"), *folder.glob("project/functions/*.py")):
        file.unlink()
    async with studio_server(folder / "data", folder / "project") as server:
        yield server


def pages(server: Server, role: Role = Role.ADMIN) -> list[str]:
    """The routes of all pages that somebody with the role may open, and that not everybody may."""
    paths = [path for method, path, needs in routes(server) if method == "GET" and needs and role.covers(needs)]
    return [path for path in paths if not path.endswith(DOWNLOADS) and path not in PARTS]


def addresses(path: str, filled: Filled) -> Iterator[str]:
    """A route's address below /studio/ with everything filled in: one, or one for each of some tables."""
    below = path.removeprefix("/studio/")
    names = next((names for start, names in NAMES.items() if below.startswith(start)), {})
    if "table" not in blanks(path):
        yield filled_in(path, replace(filled, ids={**filled.ids, **names})).removeprefix("/studio/")
        return
    for table, row in ROWS.items():
        ids = {**filled.ids, "table": table, "name": row}
        yield filled_in(path, replace(filled, ids=ids)).removeprefix("/studio/")


def whole_pages() -> set[str]:
    """The names of all templates of whole pages."""
    found = set()
    for file in (files("warmline.studio") / "templates").iterdir():
        if file.name not in ("base.html", "door.html") and "{% extends" in file.read_text("utf-8"):
            found.add(file.name.removesuffix(".html"))
    return found


async def test_every_page_that_there_is(page: Page, filled: Filled, empty: Server, project: Path) -> None:
    first, judge = Judge(page, empty.url), Judge(page, filled.server.url)
    await first_run(first, empty)
    await everything(judge, filled)
    await answers(judge, project)
    await erasing(judge, filled)
    assert whole_pages() - first.seen - judge.seen == set()


async def first_run(judge: Judge, empty: Server) -> None:
    """The first link, a link that was used, and what every page without placeholders says when there is nothing."""
    link = await empty.studio.first_run_link()
    assert link is not None
    await judge.visit(link.partition("/studio/")[2])
    await judge.page.get_by_label("User name").fill("ada@example.org")
    await judge.page.get_by_label("Password").fill("aaaaaaaaaaaaaaaa")
    await follow(judge.page.get_by_role("button", name="Create the account"))
    await judge.page.get_by_label("Password").fill(PASSWORD)
    await follow(judge.page.get_by_role("button", name="Create the account"))
    for path in pages(empty):
        if not blanks(path):
            await judge.visit(path.removeprefix("/studio/"))
    await judge.page.context.clear_cookies()
    await judge.visit(link.partition("/studio/")[2], 403)


async def everything(judge: Judge, filled: Filled) -> None:
    """Every page with something on it, and those who may not see it or look for what is not there."""
    await judge.sign_in("admin@example.org")
    for path in pages(filled.server):
        for address in addresses(path, filled):
            await judge.visit(address)
    await judge.visit("nowhere", 404)
    await judge.page.context.clear_cookies()
    await judge.sign_in("viewer@example.org")
    await judge.visit("settings/users", 403)
    for path in pages(filled.server, Role.VIEWER):
        for address in addresses(path, filled):
            # Its scripts find everything that they need; the fixture tells of those that do not.
            await judge.page.goto(f"{judge.url}/studio/{address}")


async def answers(judge: Judge, project: Path) -> None:
    """What forms lead to: a function that was run without scripts, a file that changed or went away meanwhile."""
    page = judge.page
    await page.context.clear_cookies()
    await judge.sign_in("admin@example.org")
    await page.goto(f"{judge.url}/studio/functions/edit/functions/priced.py")
    async with page.expect_event("load"):
        await page.locator("form[action*='functions/run']").evaluate("form => form.submit()")
    await judge.look()
    for address, name, file in (
        ("knowledge/topic/topics/complaint.yaml", "content", "topics/complaint.yaml"),
        ("functions/edit/functions/priced.py", "code", "functions/priced.py"),
        ("tables/entities/row/bike_count", "cell:description", "config/entities.yaml"),
    ):
        await page.goto(f"{judge.url}/studio/{address}")
        await page.locator(f"[name='{name}']").fill("mine")
        with (project / file).open("a", encoding="utf-8") as on_disk:
            on_disk.write("\n# theirs\n")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("The file has changed meanwhile")
        await judge.look()
    await page.goto(f"{judge.url}/studio/knowledge/topic/topics/prices.yaml")
    (project / "topics" / "prices.yaml").unlink()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("body")).to_have_attribute("data-page", "file_gone")
    await judge.look()


async def erasing(judge: Judge, filled: Filled) -> None:
    """What is said when somebody was erased."""
    await judge.page.goto(f"{judge.url}/studio/conversations/{filled.ids['session']}/erase")
    await judge.page.get_by_role("button", name="Erase everything").click()
    await expect(judge.page.get_by_role("heading", level=1)).to_have_text("The customer was erased")
    await judge.look()
