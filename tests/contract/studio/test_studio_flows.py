"""Flows in the Studio: what leads where, and editing the files of steps."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.agent_projects import function_file, write_project
from support.flow_projects import default_step_file, flow_file, flow_function, step_file
from support.studio import Visit, add_editors, studio_server
from warmline.app import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = "<script>alert(1)</script>"
FILES = {
    "functions/enter.py": function_file("enter", "conv.goto_flow('order')"),
    "config/entities.yaml": "entities:\n  - name: size\n    entity_type: free_text\n    description: How large\n",
    "flows/order/flow_config.yaml": flow_file("order", "ask"),
    "flows/order/steps/ask.yaml": default_step_file(
        "ask", f"Ask {EVIL}.", "size", "known -> look: size", f"{EVIL} -> ask", "stop"
    ),
    "flows/order/steps/confirm.yaml": step_file("confirm", "Call {{ft:again}}."),
    "flows/order/steps/unread.yaml": "name: [\n",
    "flows/order/functions/again.py": flow_function("again", "flow.goto_step('ask')"),
    "flows/order/function_steps/look.py": flow_function("look", "flow.goto_step('confirm')", step=True),
}
ASK = "/studio/flows/edit/flows/order/steps/ask.yaml"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for a project with a flow."""
    projects = tmp_path_factory.mktemp("projects")
    write_project(projects / "sample", FILES)
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as running:
        await add_editors(running, elsewhere="elsewhere")
        yield running


@pytest.fixture(scope="module")
def root(server: Server) -> Path:
    return server._engines["sample"].project.root


def form_of(page: str) -> dict[str, str]:
    """The editor's form as the page fills it."""
    digest = re.search(r'name="digest" value="(\w*)"', page)
    code = re.search(r'<textarea[^>]*name="code"[^>]*>\n(.*?)</textarea>', page, re.S)
    assert digest is not None
    assert code is not None
    return {"digest": digest[1], "code": html.unescape(code[1])}


async def test_the_list_tells_where_flows_are_entered(visit: Visit) -> None:
    status, page = await visit.get("/studio/flows")
    assert status == 200
    assert 'href="/studio/flows/show/order"' in page
    assert "functions/enter.py" in page
    assert "finding" in page


async def test_a_flow_is_drawn_and_told_in_words(visit: Visit) -> None:
    status, page = await visit.get("/studio/flows/show/order")
    assert status == 200
    assert EVIL not in page
    assert page.count('<rect class="box') == 4, "three steps and the way out"
    assert page.count('marker-end="url(#arrow)"') == 1 + 5
    assert "style=" not in page
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("Steps and where they lead") :]))
    assert "known → look needs size" in words
    assert "stop → Leaves the flow" in words
    assert "its code → confirm" in words
    assert "again → ask" in words
    for link in ("flows/edit/flows/order/steps/ask.yaml", "functions/edit/flows/order/function_steps/look.py"):
        assert f'<h3><a href="/studio/{link}"' in page
    assert 'href="/studio/flows/edit/flows/order/steps/unread.yaml#line-' in page, "what keeps it from being read"
    assert (await visit.get("/studio/flows/show/absent"))[0] == 404


async def test_a_step_tells_all_that_belongs_to_it(visit: Visit) -> None:
    _, page = await visit.get(ASK)
    assert EVIL not in page
    assert "free_text: How large" in page
    assert "The flow begins here." in page
    _, page = await visit.get("/studio/flows/edit/flows/order/steps/confirm.yaml")
    assert '<a href="/studio/functions/edit/flows/order/functions/again.py"><code>{{ft:again}}</code></a>' in page
    assert '<a href="/studio/functions/edit/flows/order/function_steps/look.py">look</a>' in page
    status, page = await visit.get("/studio/flows/edit/flows/order/steps/unread.yaml")
    assert status == 200
    assert "Not valid YAML" in page


async def test_a_step_is_checked_saved_and_never_broken(visit: Visit, server: Server, root: Path) -> None:
    file = root / "flows/order/steps/ask.yaml"
    form = form_of((await visit.get(ASK))[1])
    assert form["code"] == file.read_text("utf-8")
    moved = form["code"].replace("child_step: look", "child_step: looked")
    status, text = await visit.post(ASK.replace("/edit/", "/check/"), code=moved)
    assert status == 200
    assert 'class="failed"' in text
    assert "The child step `looked` does not exist." in text
    status, page = await visit.post(ASK, code="name: ]", digest=form["digest"])
    assert status == 422
    assert "Nothing was saved. Line 1: Not valid YAML" in html.unescape(page)
    assert file.read_text("utf-8") == form["code"]
    changed = form["code"].replace("name: known", "name: size known  # changed")
    status, where = await visit.post(ASK, code=changed.replace("\n", "\r\n"), digest=form["digest"])
    assert (status, where) == (303, f"{ASK}?saved")
    assert file.read_text("utf-8") == changed
    assert server._engines["sample"].project.flows[0].steps[0].conditions[0].name == "size known"
    assert (await server.store.audit(before=0, limit=1))[0].act == "flow_changed"
    status, page = await visit.post(ASK, **form)
    assert status == 409, "the file has changed since that form was made"
    assert file.read_text("utf-8") == changed
    assert (await visit.post(ASK, **form_of(page)))[0] == 303
    assert file.read_text("utf-8") == form["code"]


async def test_line_ends_stay_as_the_file_has_them(visit: Visit, root: Path) -> None:
    head = "/studio/flows/edit/flows/order/flow_config.yaml"
    file = root / "flows/order/flow_config.yaml"
    file.write_bytes(FILES["flows/order/flow_config.yaml"].replace("\n", "\r\n").encode())
    form = form_of((await visit.get(head))[1])
    form["code"] = form["code"].replace("A flow.", "A better flow.")
    assert (await visit.post(head, **form))[0] == 303
    assert file.read_bytes() == b"name: order\r\ndescription: A better flow.\r\nstart_step: ask\r\n"


async def test_only_files_of_flows_are_shown_and_only_to_those_who_may(server: Server, visit: Visit) -> None:
    for file in ("project.yaml", "config/entities.yaml", "flows/order/functions/again.py", "flows/order/steps/x.yaml"):
        assert (await visit.get(f"/studio/flows/edit/{file}"))[0] == 404, file
        assert (await visit.post(f"/studio/flows/edit/{file}", code="", digest=""))[0] == 404
        assert (await visit.post(f"/studio/flows/check/{file}", code=""))[0] == 404
    async with Visit(server) as viewer:
        await viewer.sign_in("viewer@example.org")
        _, page = await viewer.get(ASK)
        assert ">Save<" not in page
        assert (await viewer.post(ASK, code="", digest=""))[0] == 403
    async with Visit(server) as other:
        await other.sign_in("other@example.org")
        for path in ("flows", "flows/show/order", ASK.removeprefix("/studio/")):
            assert (await other.get(f"/studio/{path}?project=sample"))[0] == 404
        assert (await other.post(f"{ASK}?project=sample", code="", digest=""))[0] == 404
