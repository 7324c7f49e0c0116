"""Tables in the Studio: rows are added, changed and deleted; files change by these rows, never behind one's back."""

import difflib
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import pytest_asyncio
import yaml

from support.installation import ROOT
from support.studio import Visit, add_editors, copy_examples, studio_server
from warmline.app import Server
from warmline.ports import Connection, Connector
from warmline.studio.files.yaml_rows import put

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = '"><script>alert(1)</script>'
PAGE = "/studio/tables"
FLAGS = ("is_default", "say_phrase")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects that may be changed: the first with templates and entities, the second with variants."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="corner-cycles", two="pine-and-salt")
    return projects


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> AsyncIterator[Server]:
    """A server for both projects, with an editor, a viewer and one who may see the second project only."""
    async with studio_server(tmp_path_factory.mktemp("data"), folder) as running:
        await add_editors(running, elsewhere="two")
        yield running


def form_of(page: str) -> dict[str, str]:
    """The form of a row, as the page fills it."""
    form = {"digest": re.search(r'name="digest" value="(\w*)"', page)[1]}  # type: ignore[index]
    for name, value in re.findall(r'<input id="c\d+" name="(cell:[^"]*)" value="([^"]*)"', page):
        form[name] = html.unescape(value)
    for name, value in re.findall(r'<textarea[^>]*name="(cell:[^"]*)"[^>]*>\n(.*?)</textarea>', page, re.S):
        form[name] = html.unescape(value)
    for name, options in re.findall(r'<select[^>]*name="(cell:[^"]*)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        form[name] = html.unescape(chosen[1]) if chosen else ""
    for name in re.findall(r'name="(cell:[^"]*)" value="true"[^>]* checked', page):
        form[name] = "true"
    return form


class Watched:
    """A file and what was changed in it since it was last looked at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = path.read_text("utf-8")

    def changed(self) -> list[str]:
        now = self._path.read_text("utf-8")
        diff = [line for line in difflib.ndiff(self._before.splitlines(), now.splitlines()) if line[0] in "+-"]
        self._before = now
        return diff


async def test_saving_unchanged_changes_nothing(visit: Visit, folder: Path) -> None:
    for project, table in (
        *(("one", t) for t in ("variants", "attributes", "sms_templates", "entities", "routes")),
        *(("two", t) for t in ("variants", "attributes", "routes", "translations")),
    ):
        _, page = await visit.get(f"{PAGE}/{table}?project={project}")
        names = [html.unescape(n) for n in re.findall(r'<tr>\s*<td><a href="[^"]*">([^<]*)</a>', page)]
        assert names, (project, table)
        before = {path: path.read_bytes() for path in (folder / project).rglob("*.yaml")}
        for name in names:
            status, page = await visit.get(f"{PAGE}/{table}/row/{name}?project={project}")
            assert status == 200, page
            status, where = await visit.post(f"{PAGE}/{table}/row/{name}?project={project}", **form_of(page))
            assert (status, where) == (303, f"{PAGE}/{table}?project={project}&saved"), where
        assert {path: path.read_bytes() for path in before} == before


async def test_a_row_is_changed_added_and_deleted_by_its_own_lines(visit: Visit, server: Server, folder: Path) -> None:
    file = Watched(folder / "one/config/sms_templates.yaml")
    at = f"{PAGE}/sms_templates/row/collection?project=one"
    form = form_of((await visit.get(at))[1])
    assert form["cell:number_live"] == "+442079460321"
    status, _ = await visit.post(at, **(form | {"cell:number_live": "+442079460999", "cell:number_sandbox": ""}))
    assert status == 303
    assert file.changed() == [
        '-     env_phone_numbers: {sandbox: "+442079460399", pre_release: "+442079460399", live: "+442079460321"}',
        '+     env_phone_numbers: {pre_release: "+442079460399", live: "+442079460999"}',
    ]
    assert server._engines["one"].project.sms_templates["collection"].numbers["live"] == "+442079460999"

    form = form_of((await visit.get(f"{PAGE}/sms_templates/new?project=one"))[1])
    form |= {"cell:name": EVIL, "cell:text": "Two\0\nlines", "cell:number_live": "+4420"}
    status, _ = await visit.post(f"{PAGE}/sms_templates/new?project=one", **form)
    assert status == 303
    _, page = await visit.get(f"{PAGE}/sms_templates?project=one")
    assert "<script>alert" not in page
    assert [line for line in file.changed() if line[0] == "-"] == []
    found = yaml.safe_load((folder / "one/config/sms_templates.yaml").read_text("utf-8"))["sms_templates"][-1]
    assert found == {"name": EVIL, "text": "Two\nlines", "env_phone_numbers": {"live": "+4420"}}

    at = f"{PAGE}/sms_templates/delete/%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E?project=one"
    status, page = await visit.get(at)
    assert status == 200
    assert "<script>alert" not in page
    assert "No file names it" in page
    status, where = await visit.post(at, digest="older")
    assert (status, unquote(where)) == (303, unquote(at))
    status, _ = await visit.post(at, **form_of(page))
    assert status == 303
    assert all(line[0] == "-" for line in file.changed())
    assert "directions" in server._engines["one"].project.sms_templates
    acts = [entry.act for entry in await server.store.audit(limit=3)]
    assert acts == ["row_deleted", "row_added", "row_changed"]


async def test_what_refers_to_a_row_is_told_before_it_goes(visit: Visit) -> None:
    _, page = await visit.get(f"{PAGE}/sms_templates/delete/directions?project=one")
    named = re.findall(r"<li><code>([^<]*)</code></li>", page)
    assert named
    assert all((ROOT / "examples/corner-cycles" / file).is_file() for file in named)
    _, page = await visit.get(f"{PAGE}/entities/delete/bike_count?project=one")
    assert any("flows/" in file for file in re.findall(r"<li><code>([^<]*)</code></li>", page))
    _, page = await visit.get(f"{PAGE}/routes/delete/Groups?project=two")
    assert "config/handoffs.yaml" in page


async def test_a_file_that_changed_on_disk_is_not_overwritten_unasked(visit: Visit, folder: Path) -> None:
    path = folder / "one/config/entities.yaml"
    at = f"{PAGE}/entities/row/remark?project=one"
    form = form_of((await visit.get(at))[1]) | {"cell:description": "Mine"}
    theirs = put(path.read_text("utf-8"), ("entities", 0, "description"), "Theirs")
    path.write_text(theirs, "utf-8")
    status, page = await visit.post(at, **form)
    assert status == 409
    assert "Theirs" in page
    assert path.read_text("utf-8") == theirs
    areas = re.findall(r'<textarea name="(cell:[^"]*)" hidden>\n(.*?)</textarea>', page, re.S)
    hidden = {name: html.unescape(value) for name, value in areas}
    digest = re.search(r'name="digest" value="(\w+)"', page)
    assert digest is not None
    status, _ = await visit.post(at, digest=digest[1], **hidden)
    assert status == 303
    found = {e["name"]: e["description"] for e in yaml.safe_load(path.read_text("utf-8"))["entities"]}
    assert (found["bike_count"], found["remark"]) == ("Theirs", "Mine")


@pytest.mark.parametrize(
    ("table", "cells", "told"),
    [
        ("entities", {"cell:name": "", "cell:entity_type": "date"}, "This is needed."),
        ("entities", {"cell:name": "remark", "cell:entity_type": "date"}, "a row of this name"),
        ("entities", {"cell:name": "n", "cell:entity_type": "colour"}, "Choose one of the list"),
        ("entities", {"cell:name": "n", "cell:entity_type": "date", "cell:config": "a: [b"}, "Write YAML"),
        ("entities", {"cell:name": "n", "cell:entity_type": "date", "cell:config": "a: &x b\nc: *x"}, "Write YAML"),
        ("entities", {"cell:name": "n" * 201, "cell:entity_type": "date"}, "too long"),
        ("routes", {"cell:destination": "n", "cell:connection": "Nowhere"}, "Choose one of the list"),
    ],
)
async def test_what_cannot_be_a_row_is_refused(
    visit: Visit, folder: Path, table: str, cells: dict[str, str], told: str
) -> None:
    before = {path: path.read_bytes() for path in (folder / "one").rglob("*.yaml")}
    status, page = await visit.post(f"{PAGE}/{table}/new?project=one", digest="", **cells)
    assert status == 422
    assert told in page
    assert {path: path.read_bytes() for path in before} == before


async def test_the_checker_looks_at_a_row_while_it_is_written(visit: Visit) -> None:
    form = form_of((await visit.get(f"{PAGE}/routes/row/default?project=one"))[1])
    form |= {"row": "default", "cell:options": "bref: soon"}
    _, text = await visit.post(f"{PAGE}/routes/check?project=one", **form)
    assert "`bref` means nothing" in html.unescape(text)
    _, text = await visit.post(f"{PAGE}/routes/check?project=one", **(form | {"cell:options": "brief: soon"}))
    assert "Nothing is wrong" in text
    _, text = await visit.post(
        f"{PAGE}/sms_templates/check?project=one", **{"cell:name": "n", "cell:text": "{{attr:x}}"}
    )
    assert "`x`" in html.unescape(text)


async def test_a_route_goes_to_a_connection_that_there_is(visit: Visit, server: Server, folder: Path) -> None:
    await server.store.save_connection(
        Connection(id="c1", provider="webex", name="North desk", project_id="one", values={})
    )
    await server.store.save_connection(
        Connection(id="c2", provider="webex", name="Other desk", project_id="two", values={})
    )
    _, page = await visit.get(f"{PAGE}/routes/row/default?project=one")
    assert '<option value="North desk">' in page
    assert '<option value="client">' in page
    assert "Other desk" not in page
    form = form_of(page) | {"cell:connection": "North desk"}
    file = Watched(folder / "one/chat/handoff_routes.yaml")
    assert (await visit.post(f"{PAGE}/routes/row/default?project=one", **form))[0] == 303
    assert file.changed() == ["+     connection: North desk"]
    await server.store.delete_connection("c1")
    _, page = await visit.get(f"{PAGE}/routes/row/default?project=one")
    assert "North desk (there is no such one)" in page


async def test_variants_and_attributes_stay_together(visit: Visit, server: Server, folder: Path) -> None:
    file = Watched(folder / "two/config/variant_attributes.yaml")
    new = f"{PAGE}/variants/new?project=two"
    form = form_of((await visit.get(new))[1]) | {"cell:name": "mill"}
    assert (await visit.post(new, **form))[0] == 303
    project = server._engines["two"].project
    assert project.variants["mill"] == project.variants["lighthouse"]
    assert [line for line in file.changed() if line.startswith("+   - ")] == ["+   - name: mill"]

    at = f"{PAGE}/variants/row/mill?project=two"
    form = form_of((await visit.get(at))[1])
    assert (await visit.post(at, **(form | {"cell:is_default": "true"})))[0] == 303
    assert server._engines["two"].project.default_variant == "mill"
    form = form_of((await visit.get(at))[1])
    status, page = await visit.post(at, digest=form["digest"], **{"cell:name": "mill"})
    assert (status, "Exactly one variant" in page) == (422, True)
    _, page = await visit.get(f"{PAGE}/variants/delete/mill?project=two")
    assert "Make another one the default first" in page
    assert (await visit.post(f"{PAGE}/variants/delete/mill?project=two", digest=form["digest"]))[0] == 400

    at = f"{PAGE}/variants/row/lighthouse?project=two"
    form = form_of((await visit.get(at))[1]) | {"cell:is_default": "true"}
    assert (await visit.post(at, **form))[0] == 303
    await server.store.save_connector(
        Connector(id="w", token="t", project_id="two", host="mill.example", variant="mill")
    )
    _, page = await visit.get(f"{PAGE}/variants/delete/mill?project=two")
    assert "mill.example" in page
    assert (await visit.post(f"{PAGE}/variants/delete/mill?project=two", **form_of(page)))[0] == 303
    project = server._engines["two"].project
    assert "mill" not in project.variants
    assert not [p for p in project.problems if p.file == "config/variant_attributes.yaml"]

    at = f"{PAGE}/attributes/row/pets?project=two"
    form = form_of((await visit.get(at))[1])
    assert form["cell:values/dunes"] == "Dogs are welcome and sleep for free."
    assert (await visit.post(at, **(form | {"cell:values/dunes": "No dogs."})))[0] == 303
    assert server._engines["two"].project.variants["dunes"]["pets"] == "No dogs."


async def test_a_table_without_a_file_is_begun(visit: Visit, server: Server, folder: Path) -> None:
    path = folder / "two/config/entities.yaml"
    assert not path.exists()
    _, page = await visit.get(f"{PAGE}/entities?project=two")
    assert "The project has no entity" in page
    form = {"digest": "", "cell:name": "guests", "cell:entity_type": "numeric", "cell:config": "min: 1\nmax: 012"}
    assert (await visit.post(f"{PAGE}/entities/new?project=two", **form))[0] == 303
    assert path.read_text("utf-8") == (
        "entities:\n  - name: guests\n    entity_type: numeric\n    config:\n      min: 1\n      max: 012\n"
    )
    assert server._engines["two"].project.entities["guests"].type == "numeric"
    assert (await visit.get(f"{PAGE}/phrases?project=two"))[0] == 404


async def test_a_file_that_is_no_table_is_told_and_left_alone(visit: Visit, folder: Path) -> None:
    path = folder / "one/config/variant_attributes.yaml"
    before = path.read_text("utf-8")
    for broken in ("variants: [\n", "variants: many\n"):
        path.write_text(broken, "utf-8")
        status, page = await visit.get(f"{PAGE}/variants?project=one")
        assert status == 200
        assert "Use a text editor" in page
        assert (await visit.post(f"{PAGE}/variants/new?project=one", digest="", **{"cell:name": "x"}))[0] == 400
        assert path.read_text("utf-8") == broken
    path.write_text(before, "utf-8")


async def test_other_projects_and_viewers(server: Server) -> None:
    async with Visit(server) as other:
        await other.sign_in("other@example.org")
        assert (await other.get(f"{PAGE}/entities?project=one"))[0] == 404
        assert (await other.post(f"{PAGE}/entities/delete/remark?project=one", digest=""))[0] == 404
        assert (await other.get(f"{PAGE}/nothing"))[0] == 404
        assert (await other.get(f"{PAGE}/variants/row/nobody"))[0] == 404
    async with Visit(server) as viewer:
        await viewer.sign_in("viewer@example.org")
        status, page = await viewer.get(f"{PAGE}/entities?project=one")
        assert status == 200
        assert "Add an entity" not in page
        _, page = await viewer.get(f"{PAGE}/entities/row/remark?project=one")
        assert "<button>Save" not in page
        assert 'fieldset class="card" disabled' in page
