"""Flows and steps are made, renamed with everything that names them, and deleted in the Studio."""

import html
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from support.agent_projects import function_file, write_project
from support.flow_projects import default_step_file, flow_file, flow_function, step_file
from support.studio import Visit, add_editors, studio_server
from warmline.agent.project.checker import check_project
from warmline.app import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = "<script>alert(1)</script>"
FILES = {
    "functions/enter.py": "# Who wants 'order' and only 'order'.\n" + function_file("enter", "conv.goto_flow('order')"),
    "functions/jump.py": function_file("jump", 'conv.goto_flow("order"); conv.log.info("order")'),
    "config/entities.yaml": "entities:\n  - name: size\n    entity_type: free_text\n    description: How large\n",
    "flows/order/flow_config.yaml": "# The head.\n" + flow_file("order", '"ask"  # where it begins'),
    "flows/order/steps/ask.yaml": default_step_file(
        "ask", "Ask.", "size", "known -> look: size", "again -> ask", "stop"
    ),
    "flows/order/steps/confirm.yaml": step_file("confirm", "Call {{ft:again}}."),
    "flows/order/functions/again.py": flow_function("again", "flow.goto_step('ask')"),
    "flows/order/function_steps/look.py": flow_function("look", "flow.goto_step('confirm')", step=True),
    "flows/trip/flow_config.yaml": flow_file("trip", "ask"),
    "flows/trip/steps/ask.yaml": step_file("ask", "Where to?"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for a project with two flows."""
    projects = tmp_path_factory.mktemp("projects")
    write_project(projects / "sample", FILES)
    async with studio_server(tmp_path_factory.mktemp("data"), projects, watch=False) as running:
        await add_editors(running, elsewhere="elsewhere")
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def root(server: Server) -> AsyncIterator[Path]:
    """The project's folder; as it was again after each test."""
    root = server._engines["sample"].project.root
    yield root
    for folder in ("flows", "functions", "config"):
        shutil.rmtree(root / folder)
    write_project(root, FILES)
    await server._engines["sample"].reload()


def digest(page: str) -> str:
    found = re.search(r'name="digest" value="(\w+)"', page)
    assert found is not None
    return found[1]


def difference(root: Path, file: str, now: str = "") -> list[tuple[str, str]]:
    """The lines of a file that are other than they were, before and after."""
    before = FILES[file].splitlines()
    after = (root / (now or file)).read_text("utf-8").splitlines()
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


def errors(server: Server) -> list[str]:
    return [str(p) for p in check_project(server._engines["sample"].project) if p.severity == "error"]


async def act(visit: Visit, path: str, **form: str) -> tuple[int, str]:
    """Open a page that asks, and do what it asks for."""
    status, page = await visit.get(f"/studio/{path}")
    assert status == 200
    return await visit.post(f"/studio/{path}", digest=digest(page), **form)


async def test_a_flow_is_made_and_filled(visit: Visit, server: Server, root: Path) -> None:
    assert "Add a flow" in (await visit.get("/studio/flows"))[1]
    for name, description, told in (
        ("☎", "d", "Enter a name"),
        ("order", "d", "this name already"),
        ("Order!", "d", "folder or a file of this name"),
        ("Returns", " ", "what the flow is for"),
    ):
        status, page = await visit.post("/studio/flows/new", name=name, description=description)
        assert (status, told in page) == (422, True), name
    status, where = await visit.post("/studio/flows/new", name="Send back  (V2)", description=EVIL)
    assert (status, where) == (303, "/studio/flows/show/send_back_v2")
    _, page = await visit.get(where)
    assert EVIL not in page
    head = yaml.safe_load((root / "flows/send_back_v2/flow_config.yaml").read_text("utf-8"))
    assert head == {"name": "Send back (V2)", "description": EVIL, "start_step": "Start"}
    add = "/studio/flows/add/send_back_v2"
    made = {
        "advanced_step": ("Tell them", "flows/edit/flows/send_back_v2/steps/tell_them.yaml"),
        "default_step": ("Ask for it", "flows/edit/flows/send_back_v2/steps/ask_for_it.yaml"),
        "function_step": ("decide", "functions/edit/flows/send_back_v2/function_steps/decide.py"),
        "transition": ("leave", "functions/edit/flows/send_back_v2/functions/leave.py"),
    }
    for kind, (name, editor) in made.items():
        assert (await visit.post(add, kind=kind, name="☎"))[0] == 422
        assert await visit.post(add, kind=kind, name=name) == (303, f"/studio/{editor}")
        assert (await visit.get(f"/studio/{editor}"))[0] == 200
        assert (await visit.post(add, kind=kind, name=name))[0] == 422, "it is there"
    assert (await visit.post(add, kind="nonsense", name="x"))[0] == 404
    assert [e for e in errors(server) if "entities" not in e and "conditions" not in e] == []
    acts = [entry.act for entry in await server.store.audit()]
    assert acts[:5] == ["step_made"] * 4 + ["flow_made"]


async def test_a_step_is_renamed_where_it_is_named_and_nowhere_else(visit: Visit, server: Server, root: Path) -> None:
    path = "flows/rename-step/flows/order/steps/ask.yaml"
    _, page = await visit.get(f"/studio/{path}")
    for file in ("flow_config.yaml", "functions/again.py", "steps/ask.yaml"):
        assert f"flows/order/{file}</code>" in page
    assert "function_steps/look.py</code>" not in page
    for name in ("", "a/b%", "confirm", "look"):
        assert (await visit.post(f"/studio/{path}", digest=digest(page), name=name))[0] == 422, name
    assert await act(visit, path, name="Ask - once") == (303, "/studio/flows/show/order")
    assert not (root / "flows/order/steps/ask.yaml").exists()
    assert difference(root, "flows/order/flow_config.yaml") == [
        ('start_step: "ask"  # where it begins', 'start_step: "Ask - once"  # where it begins')
    ]
    changed = difference(root, "flows/order/steps/ask.yaml", "flows/order/steps/ask_once.yaml")
    assert changed == [("name: ask", "name: Ask - once"), ("    child_step: ask", "    child_step: Ask - once")]
    assert difference(root, "flows/order/functions/again.py") == [
        ("    flow.goto_step('ask')", "    flow.goto_step('Ask - once')")
    ]
    assert difference(root, "flows/trip/flow_config.yaml") == []
    assert errors(server) == []


async def test_a_flow_is_renamed_with_its_folder_and_with_who_enters_it(
    visit: Visit, server: Server, root: Path
) -> None:
    (root / "flows/order/functions/__pycache__").mkdir()
    assert (await act(visit, "flows/rename/order", name="trip"))[0] == 422
    status, where = await act(visit, "flows/rename/order", name="New order's")
    assert (status, where) == (303, "/studio/flows/show/new_order_s")
    assert not (root / "flows/order").exists()
    assert difference(root, "functions/enter.py") == [
        ("    conv.goto_flow('order')", '    conv.goto_flow("New order\'s")')
    ], "its comment stays"
    (line,) = difference(root, "functions/jump.py")
    assert line[1].startswith('    conv.goto_flow("New order\'s")')
    assert difference(root, "flows/order/flow_config.yaml", "flows/new_order_s/flow_config.yaml") == [
        ("name: order", "name: New order's")
    ]
    assert sorted(p.name for p in (root / "flows/new_order_s").rglob("*.*")) == [
        "again.py",
        "ask.yaml",
        "confirm.yaml",
        "flow_config.yaml",
        "look.py",
    ]
    assert errors(server) == []


async def test_deleting_tells_what_would_lead_nowhere(visit: Visit, server: Server, root: Path) -> None:
    _, page = await visit.get("/studio/flows/delete-step/flows/order/steps/confirm.yaml")
    assert "function_steps/look.py</code>" in page
    assert "would lead nowhere" in page
    assert await act(visit, "flows/delete-step/flows/order/steps/confirm.yaml") == (303, "/studio/flows/show/order")
    assert not (root / "flows/order/steps/confirm.yaml").exists()
    assert (root / "flows/order/function_steps/look.py").read_text("utf-8") == FILES[
        "flows/order/function_steps/look.py"
    ]
    _, page = await visit.get("/studio/flows/delete/order")
    assert "functions/enter.py</code>" in page
    assert await act(visit, "flows/delete/order") == (303, "/studio/flows")
    assert not (root / "flows/order").exists()
    assert any("There is no flow `order`" in e for e in errors(server))
    acts = [entry.act for entry in await server.store.audit()]
    assert acts[:2] == ["flow_deleted", "step_deleted"]


async def test_what_changed_meanwhile_is_not_touched(visit: Visit, root: Path) -> None:
    for path in ("flows/rename/order", "flows/delete/order", "flows/rename-step/flows/order/steps/ask.yaml"):
        before = digest((await visit.get(f"/studio/{path}"))[1])
        file = root / "flows/order/steps/ask.yaml"
        file.write_text(file.read_text("utf-8") + "# by somebody else\n", "utf-8")
        status, page = await visit.post(f"/studio/{path}", digest=before, name="other")
        assert (status, "Nothing was done" in page) == (422, True), path
        assert file.is_file()
    (root / "flows/order/notes.txt").write_text("x")
    for path in ("flows/rename/order", "flows/delete/order"):
        status, page = await visit.get(f"/studio/{path}")
        assert (status, "notes.txt" in page) == (400, True), "what the Studio does not know it does not delete"
    (root / "flows/order/notes.txt").unlink()


async def test_a_file_that_cannot_be_changed_by_itself_is_named_before_anything_changes(
    visit: Visit, server: Server, root: Path
) -> None:
    head = root / "flows/order/flow_config.yaml"
    head.write_text("{name: order, description: d, start_step: ask}\n", "utf-8")
    await server._engines["sample"].reload()
    status, page = await act(visit, "flows/rename/order", name="other")
    assert (status, "Use a text editor" in html.unescape(page)) == (400, True)
    assert (root / "functions/enter.py").read_text("utf-8") == FILES["functions/enter.py"]


async def test_viewers_and_others_change_nothing(server: Server, root: Path) -> None:
    paths = ("flows/new", "flows/add/order", "flows/rename/order", "flows/delete/order")
    paths += tuple(f"flows/{verb}-step/flows/order/steps/ask.yaml" for verb in ("rename", "delete"))
    async with Visit(server) as viewer, Visit(server) as other:
        await viewer.sign_in("viewer@example.org")
        await other.sign_in("other@example.org")
        assert "Delete…" not in (await viewer.get("/studio/flows/show/order"))[1]
        for path in paths:
            assert (await viewer.get(f"/studio/{path}"))[0] == 403
            assert (await viewer.post(f"/studio/{path}", name="x", digest="x"))[0] == 403
            assert (await other.post(f"/studio/{path}?project=sample", name="x", digest="x"))[0] == 404
    assert {p.relative_to(root).as_posix() for p in root.rglob("flows/**/*.yaml")} == {
        file for file in FILES if file.startswith("flows/") and file.endswith(".yaml")
    }
