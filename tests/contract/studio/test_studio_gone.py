"""Files and rows that somebody deletes or renames while they are edited in the Studio: nothing written is lost."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.agent_projects import function_file, topic_file, write_project
from support.flow_projects import flow_file, step_file
from support.studio import Visit, add_editors, studio_server
from warmline.app import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = "</pre><script>alert(1)</script>"
FILES = {
    "topics/opening_hours.yaml": topic_file("opening hours", "when are you open", content="From nine."),
    "functions/order.py": function_file("order", "return 1"),
    "flows/trip/flow_config.yaml": flow_file("trip", "ask"),
    "flows/trip/steps/ask.yaml": step_file("ask", "Where to?"),
    "config/entities.yaml": "entities:\n  - name: size\n    entity_type: free_text\n    description: d\n",
}
TOPIC, FUNCTION, STEP = "topics/opening_hours.yaml", "functions/order.py", "flows/trip/steps/ask.yaml"
PAGES = {TOPIC: "/studio/knowledge/topic", FUNCTION: "/studio/functions/edit", STEP: "/studio/flows/edit"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for a small project."""
    projects = tmp_path_factory.mktemp("projects")
    write_project(projects / "sample", FILES)
    async with studio_server(tmp_path_factory.mktemp("data"), projects, watch=False) as running:
        await add_editors(running, elsewhere="elsewhere")
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def root(server: Server) -> AsyncIterator[Path]:
    """The project's folder, as it was in the beginning again after each test."""
    root = server._engines["sample"].project.root
    yield root
    for file in [*root.rglob("*.yaml"), *root.rglob("*.py")]:
        file.unlink()
    write_project(root, FILES)
    await server._engines["sample"].reload()


def form_of(page: str, action: str) -> dict[str, str]:
    """The fields of the form that goes to `action`, as the page fills them."""
    found = next(f for f in re.findall(r"<form.*?</form>", page, re.S) if f'action="{action}"' in f)
    fields = re.findall(r'<input[^>]*name="([^"]+)"[^>]*?value="([^"]*)"', found)
    fields += re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', found, re.S)
    return {name: html.unescape(value) for name, value in fields if name != "form_token"}


async def write_into(visit: Visit, file: str) -> dict[str, str]:
    """Open the editor of a file; gives its form with something written into it."""
    page = f"{PAGES[file]}/{file}"
    form = form_of((await visit.get(page))[1], page)
    if file == TOPIC:
        return form | {"content": EVIL}
    return form | {"code": form["code"].replace("return 1", f"return {EVIL!r}").replace("Where to?", EVIL)}


@pytest.mark.parametrize("noticed", [False, True])
@pytest.mark.parametrize("file", PAGES)
async def test_what_was_written_into_a_deleted_file_is_kept_and_can_be_saved(
    server: Server, visit: Visit, root: Path, file: str, noticed: bool
) -> None:
    page = f"{PAGES[file]}/{file}"
    form = await write_into(visit, file)
    (root / file).unlink()
    if noticed:
        await server._engines["sample"].reload()
    status, text = await visit.post(page, **form)
    assert status == 409
    assert not (root / file).exists(), "nothing was written yet"
    assert EVIL not in text
    assert html.escape(EVIL) in text, "it is shown"
    assert "probably renamed" not in text
    assert f'href="/studio/{PAGES[file].split("/")[2]}"' in text, "it can be dropped"
    status, where = await visit.post(page, **form_of(text, page))
    assert (status, where) == (303, f"{page}?saved")
    assert EVIL in (root / file).read_text("utf-8")
    assert (await visit.get(where))[0] == 200


@pytest.mark.parametrize("file", PAGES)
async def test_what_was_written_into_a_renamed_file_can_be_saved_there(visit: Visit, root: Path, file: str) -> None:
    form = await write_into(visit, file)
    moved = re.sub(r"\w+\.(\w+)$", r"renamed.\1", file)
    (root / file).rename(root / moved)
    status, text = await visit.post(f"{PAGES[file]}/{file}", **form)
    assert status == 409
    assert f"{moved} holds exactly what you opened" in text
    page = f"{PAGES[file]}/{moved}"
    status, where = await visit.post(page, **form_of(text, page))
    assert (status, where) == (303, f"{page}?saved")
    assert EVIL in (root / moved).read_text("utf-8")
    assert not (root / file).exists()


async def test_an_editor_tells_early_that_its_file_is_gone(visit: Visit, root: Path) -> None:
    for file in (FUNCTION, STEP):
        form = await write_into(visit, file)
        check = f"{PAGES[file].replace('/edit', '/check')}/{file}"
        assert "deleted or renamed" not in (await visit.post(check, **form))[1]
        (root / file).unlink()
        assert "deleted or renamed on the server" in (await visit.post(check, **form))[1]


async def test_broken_code_is_not_created_again(visit: Visit, root: Path) -> None:
    form = await write_into(visit, FUNCTION) | {"code": "def order(:\n"}
    (root / FUNCTION).unlink()
    page = f"{PAGES[FUNCTION]}/{FUNCTION}"
    for _ in range(2):
        status, text = await visit.post(page, **form)
        assert status == 409
        assert 'role="alert"' in text
        form = form_of(text, page)
        assert form["code"] == "def order(:\n"
    assert not (root / FUNCTION).exists()


async def test_a_row_that_went_away_can_be_added_again(visit: Visit, root: Path) -> None:
    page = "/studio/tables/entities/row/size"
    form = form_of((await visit.get(page))[1], page) | {
        "cell:description": "How large",
        "cell:entity_type": "free_text",
    }
    for there in ("entities:\n  - name: other\n    entity_type: free_text\n    description: d\n", None):
        path = root / "config/entities.yaml"
        path.unlink()
        if there:
            path.write_text(there, "utf-8")
        status, text = await visit.post(page, **form)
        assert status == 409
        assert "How large" in text
        new = "/studio/tables/entities/new"
        assert 'href="/studio/tables/entities"' in text
        assert (await visit.post(new, **form_of(text, new)))[0] == 303
        assert path.read_text("utf-8").startswith(there or "entities:\n  - name: size\n")
        assert "How large" in path.read_text("utf-8")
    assert (await visit.post("/studio/tables/entities/row/nobody", digest=""))[0] == 404
