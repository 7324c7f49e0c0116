"""Functions in the Studio: checked as they are written, run with a sample conversation, and nothing comes of it."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.agent_projects import function_file, write_project
from support.flow_projects import flow_file, flow_function, step_file
from support.studio import Visit, add_editors, studio_server
from warmline.app import Server
from warmline.emulators.webex import SimSettings, demo_values
from warmline.ports import Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = '"><script>alert(1)</script>'
ORDER = """
print("printed", number, urgent, note, conv.entities.size.value)
conv.log.warning("logged", step=conv.current_step)
conv.state.total = conv.state.total + number
conv.send_sms("+14155550100", "+14155550101", "On its way " + note)
conv.call_handoff(destination="sales", reason="large order", utterance="I fetch somebody. " + note)
return {"content": note}
"""
FILES = {
    "functions/order.py": function_file("order", ORDER, "number: int, urgent: bool, note: str"),
    "functions/fails.py": function_file("fails", "return 1 / 0"),
    "functions/kills.py": function_file("kills", "import ctypes\nctypes.string_at(0)"),
    "functions/broken.py": "def broken(:\n",
    "functions/bad_import.py": "import not_installed_anywhere\n" + function_file("bad_import", "pass"),
    "config/entities.yaml": "entities:\n  - name: size\n    entity_type: free_text\n    description: d\n",
    "chat/handoff_routes.yaml": (
        "routes:\n  - destination: sales\n    integration: webex_integration\n    options: {origin_name: Shop}\n"
    ),
    "flows/trip/flow_config.yaml": flow_file("trip", "ask"),
    "flows/trip/steps/ask.yaml": step_file("ask", "Call {{ft:go}}."),
    "flows/trip/steps/second.yaml": step_file("second", "Call {{ft:go}}."),
    "flows/trip/functions/go.py": flow_function("go", "print(flow.current_step)\nconv.exit_flow()"),
}
RUN = "/studio/functions/run/functions/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server for a small project, an editor, a viewer, and an editor of nothing that is there."""
    projects = tmp_path_factory.mktemp("projects")
    write_project(projects / "sample", FILES)
    async with studio_server(tmp_path_factory.mktemp("data"), projects) as running:
        await add_editors(running, elsewhere="elsewhere")
        yield running


async def run(visit: Visit, name: str, **form: str) -> tuple[int, str]:
    """Run a function; what the page shows, as text."""
    given = {key.replace("argument_", "argument."): value for key, value in form.items()}
    status, text = await visit.post(f"{RUN}{name}.py", headers={"HX-Request": "true"}, **given)
    assert "<script>alert" not in text
    return status, re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


ORDERED = {
    "argument_number": "3",
    "argument_urgent": "true",
    "argument_note": EVIL,
    "state": '{"total": 4}',
    "entities": '{"size": 9}',
}


async def test_a_run_shows_everything_that_the_function_did(visit: Visit, server: Server) -> None:
    status, text = await run(visit, "order", **ORDERED, channel="sms.polyai", environment="live")
    assert status == 200
    assert "It returned after" in text
    assert 'The customer would read I fetch somebody. ">' in text
    assert "To +14155550100 from +14155550101 On its way" in text
    assert text.count("Nothing was sent.") == 2
    assert "changed: total = 7" in text
    assert f"print printed 3 True {EVIL} 9" in text
    assert 'warning logged {"step": null}' in text
    assert "No connection takes it" in text
    assert "connect it under Integrations" in text
    entries = await server.store.audit(before=0, limit=1)
    assert [(entry.act, entry.subject) for entry in entries] == [("function_run", "functions/order.py")]


async def test_a_run_names_the_connection_and_hints_and_nothing_goes_out(visit: Visit, server: Server) -> None:
    values = {"region": "custom", **demo_values(SimSettings(), "http://127.0.0.1:1")}
    secrets = {key: values.pop(key) for key in ("client_secret", "refresh_token")}
    stored = Connection(
        id="c1", provider="webex", name="Service <desk>", project_id="sample", values=values, secrets=secrets
    )
    await server.store.save_connection(stored)
    await server.registry.reload("c1")
    try:
        _, text = await run(visit, "order", **ORDERED)
    finally:
        await server.registry.remove("c1")
    assert "It would go to the connection Service <desk>." in text
    assert '"origin_name": "Shop"' in text
    assert "large order" in text
    assert "There is no conversation yet." in (await visit.get("/studio/conversations"))[1]


async def test_what_cannot_be_used_is_explained_before_anything_runs(visit: Visit) -> None:
    for form, said in (
        ({"argument_number": "many"}, "the argument `number` must be integer"),
        ({"state": "{"}, "State before (JSON): line 1 is not valid JSON"),
        ({"state": "[1]"}, "must be a JSON object"),
        ({"state": '{"a": "\\ud800"}'}, "is not valid JSON"),
        ({"entities": "[" * 90_000}, "Collected entities (JSON): line 1 is not valid JSON"),
        ({"state": " " * 100_001}, "at most 100000 characters"),
        ({"channel": "smoke"}, "Choose a channel"),
        ({"environment": "smoke"}, "Choose a channel"),
    ):
        status, text = await run(visit, "order", **{**ORDERED, **form})
        assert (status, said in text) == (422, True), (said, text)
    status, text = await run(visit, "order")
    assert (status, "needs the argument" in text) == (422, True)


async def test_failures_name_file_and_line(visit: Visit) -> None:
    _, text = await run(visit, "fails")
    assert "It failed after" in text
    assert "functions/fails.py:6 `fails` failed. ZeroDivisionError: division by zero" in text
    _, text = await run(visit, "kills")
    assert "Its process ended while it was running" in text
    _, text = await run(visit, "bad_import")
    assert "ModuleNotFoundError" in text
    assert "It returned" in (await run(visit, "order", **ORDERED))[1], "others go on"
    assert (await run(visit, "broken"))[0] == 404
    assert (await run(visit, "absent"))[0] == 404


async def test_without_scripts_the_result_is_a_page_of_its_own(visit: Visit) -> None:
    status, text = await visit.post(f"{RUN}fails.py")
    assert status == 200
    assert "<h1>Run it</h1>" in text
    assert '/studio/functions/edit/functions/fails.py#line-6"' in text


async def test_a_transition_function_runs_at_the_step_that_was_chosen(visit: Visit) -> None:
    _, page = await visit.get("/studio/functions/edit/flows/trip/functions/go.py")
    assert "<option>ask</option><option>second</option>" in page
    status, text = await visit.post("/studio/functions/run/flows/trip/functions/go.py", step="second")
    assert status == 200
    assert "second</span>" in text
    assert "would be left" in text


async def test_the_editor_asks_for_what_the_function_takes(visit: Visit, server: Server) -> None:
    _, page = await visit.get("/studio/functions/edit/functions/order.py")
    for name in ("argument.number", "argument.urgent", "argument.note"):
        assert f'name="{name}"' in page
    assert "The file names: <code>total</code>" in page
    _, page = await visit.get("/studio/functions/edit/functions/broken.py")
    assert "Run it" not in page
    assert 'data-line="1"' in page
    _, page = await visit.get("/studio/functions/edit/functions/bad_import.py")
    assert "cannot be imported" in page
    async with Visit(server) as viewer:
        await viewer.sign_in("viewer@example.org")
        _, page = await viewer.get("/studio/functions/edit/functions/order.py")
        assert "Run it" not in page
        assert "readonly" in page
        assert (await viewer.post(f"{RUN}order.py"))[0] == 403
    async with Visit(server) as other:
        await other.sign_in("other@example.org")
        assert (await other.post(f"{RUN}order.py?project=sample"))[0] == 404
        assert (await other.post("/studio/functions/check/functions/order.py?project=sample", code=""))[0] == 404


async def test_unsaved_text_is_checked_and_not_written(visit: Visit, server: Server) -> None:
    root: Path = server._engines["sample"].project.root
    check = "/studio/functions/check/functions/order.py"
    status, text = await visit.post(check, code=FILES["functions/order.py"].replace("\n", "\r\n"))
    assert (status, "Nothing is wrong with this file." in text) == (200, True)
    _, text = await visit.post(check, code="def order(conv, x: list):\n  conv.goto_flow('<script>alert(1)')\n")
    assert 'class="failed" data-line="1"' in text
    assert 'href="#line-2"' in text
    assert "<script>alert" not in text
    assert "There is no flow" in text
    assert (root / "functions/order.py").read_text("utf-8") == FILES["functions/order.py"]


async def test_a_refused_text_is_told_to_be_unsaved(visit: Visit) -> None:
    path = "/studio/functions/edit/functions/order.py"
    status, page = await visit.post(path, code="def order(:", digest="x")
    assert status == 422
    assert '<p class="alert unsaved">' in page
    assert 'data-line="1"' in page, "what is wrong with the text that was sent"
    assert '<p class="alert unsaved" hidden>' in (await visit.get(path))[1]
