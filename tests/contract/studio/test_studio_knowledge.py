"""Knowledge in the Studio: topics are found, edited, made, renamed and deleted; files change by their own lines."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from support.installation import LUMEN
from support.studio import Visit, add_editors, copy_examples, studio_server
from warmline.app import Server
from warmline.domain.errors import WarmlineError
from warmline.ports import Connector, SessionInfo
from warmline.studio.files import ProjectFiles
from warmline.testing.messaging_client import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = '"><script>alert(1)</script>'
BILL = "/studio/knowledge/topic/topics/dispute_a_bill.yaml"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that may be changed, and another one beside it."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="lumen-energy", two="lumen-energy")
    return projects / "one"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> AsyncIterator[Server]:
    """A server for both projects, with an editor and one who may see the second project only."""
    async with studio_server(tmp_path_factory.mktemp("data"), folder.parent) as running:
        await add_editors(running, elsewhere="two")
        yield running


def form_of(text: str) -> dict[str, str]:
    """The topic's form on a page, as the page fills it."""
    found = {key: re.search(rf'name="{key}"[^>]*value="([^"]*)"', text) for key in ("name", "digest", "file")}
    form = {key: match[1] for key, match in found.items() if match}
    for key in ("content", "actions", "example_queries"):
        area = re.search(rf'<textarea[^>]*name="{key}"[^>]*>\n(.*?)</textarea>', text, re.S)
        assert area is not None
        form[key] = area[1].replace("&#39;", "'").replace("&amp;", "&")
    return form | ({"enabled": "true"} if re.search(r'name="enabled" value="true"( checked)?', text)[1] else {})  # type: ignore[index]


def lines_of(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines()


async def test_the_list_finds_topics_by_every_text(visit: Visit) -> None:
    status, text = await visit.get("/studio/knowledge?project=one")
    assert status == 200
    assert text.count("Switch off") == len(list((LUMEN / "topics").glob("*.yaml")))
    assert "not in 30 days" in text
    _, text = await visit.get("/studio/knowledge?project=one&words=charged+twice")
    assert "Dispute a bill" in text
    assert "Green energy" not in text
    assert "No topic holds these words" in (await visit.get("/studio/knowledge?words=zzzz"))[1]


async def test_messages_that_reach_a_topic_are_counted_but_not_those_of_the_sandbox(
    visit: Visit, server: Server
) -> None:
    for environment in ("live", "live", "sandbox"):
        info = SessionInfo(connector_id="c", project_id="one", subject="user", environment=environment)
        connector = Connector(id="c", token="t", project_id="one", host="")
        session_id = await server.conversations.start(info)
        await server.conversations.join(session_id, connector)
        await until_answered(server, session_id, 1)
        await server.conversations.post(session_id, "I want to dispute my bill")
        await until_answered(server, session_id, 2)
    _, text = await visit.get("/studio/knowledge?project=one")
    (used,) = [row for row in re.findall(r"<tr><td.*?</tr>", text, re.S) if "just now" in row]
    assert re.findall(r'<td class="number">(\d+)</td>', used)[-2:] == ["2", "2"]
    name = re.search(r"topic/[^>]*>([^<]*)</a>", used)
    assert name is not None
    _, text = await visit.get("/studio/knowledge?project=one&unused")
    assert f">{name[1]}</a>" not in text
    assert "Green energy" in text
    _, text = await visit.get("/studio/knowledge?project=two")
    assert "just now" not in text


async def until_answered(server: Server, session_id: str, turns: int) -> None:
    """Wait until the virtual agent has finished that many turns."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await server.store.turn_records(session_id)) < turns:
            await server.clock.sleep(0.02)


async def test_saving_changes_the_lines_that_were_edited(visit: Visit, server: Server, folder: Path) -> None:
    file = folder / "topics" / "dispute_a_bill.yaml"
    before = lines_of(file)
    form = form_of((await visit.get(BILL))[1])
    status, where = await visit.post(BILL, **form)
    assert (status, where) == (303, f"{BILL}?project=one&saved")
    assert lines_of(file) == before, "nothing was edited"
    form["example_queries"] = form["example_queries"].replace("\n", "\r\n") + "\r\nWho may I ask about my bill?\r\n"
    assert (await visit.post(BILL, **form))[0] == 303
    assert lines_of(file) == [*before, "  - Who may I ask about my bill?"]
    topic = next(t for t in server._engines["one"].project.topics if t.name == "Dispute a bill")
    assert topic.example_queries[-1] == "Who may I ask about my bill?", "the engine uses it"
    _, page = await visit.get("/studio/knowledge/try?project=one&text=Who+may+I+ask+about+my+bill")
    assert "It reaches Dispute a bill" in page
    assert "changed a topic" not in page
    entries = await server.store.audit(before=0, limit=5)
    assert ("topic_changed", "topics/dispute_a_bill.yaml", "one") in [(e.act, e.subject, e.project_id) for e in entries]


async def test_a_file_that_changed_on_disk_is_not_overwritten_unasked(visit: Visit, folder: Path) -> None:
    page = "/studio/knowledge/topic/topics/green_energy.yaml"
    file = folder / "topics" / "green_energy.yaml"
    form = form_of((await visit.get(page))[1]) | {"content": "Mine."}
    file.write_text(file.read_text("utf-8") + "# by somebody else\n", "utf-8")
    theirs = file.read_text("utf-8")
    status, text = await visit.post(page, **form)
    assert status == 409
    assert file.read_text("utf-8") == theirs
    assert "# by somebody else" in text
    assert "Mine." in text
    assert (await visit.post(page, **form_of(text)))[0] == 303
    assert yaml.safe_load(file.read_text("utf-8"))["content"] == "Mine."
    assert file.read_text("utf-8").endswith("# by somebody else\n")


async def test_a_topic_is_made_switched_renamed_and_deleted(visit: Visit, server: Server, folder: Path) -> None:
    new = "/studio/knowledge/new?project=one"
    assert (await visit.get(new))[0] == 200
    form = {"name": EVIL, "enabled": "true", "content": EVIL, "example_queries": EVIL}
    form["actions"] = "Call {{fn:nothing}}."
    assert (await visit.post(new, **form | {"name": "☎"}))[0] == 422
    assert (await visit.post(new, **form | {"name": "Dispute a bill"}))[0] == 422
    assert (await visit.post(new, **form | {"name": "Dispute a bill!"}))[0] == 422, "its file is taken"
    status, where = await visit.post(new, **form)
    assert (status, where) == (303, "/studio/knowledge/topic/topics/script_alert_1_script.yaml?project=one&saved")
    file = folder / "topics" / "script_alert_1_script.yaml"
    assert yaml.safe_load(file.read_text("utf-8"))["content"] == EVIL
    for page in (where, "/studio/knowledge", "/studio/knowledge/try?text=alert"):
        _, text = await visit.get(page)
        assert "<script>alert" not in text
    _, text = await visit.get(where)
    assert "There is no function `nothing`." in text

    plain = where.partition("?")[0]
    assert (await visit.post(plain.replace("/topic/", "/switch/"), enabled="false"))[0] == 303
    assert yaml.safe_load(file.read_text("utf-8"))["enabled"] is False
    form = form_of((await visit.get(where))[1])
    status, moved = await visit.post(plain, **form | {"name": "Meaning of life"})
    assert (status, moved.partition("?")[0]) == (303, "/studio/knowledge/topic/topics/meaning_of_life.yaml")
    assert not file.exists()
    assert "enabled: false" in lines_of(folder / "topics" / "meaning_of_life.yaml")

    gone = "/studio/knowledge/delete/topics/meaning_of_life.yaml"
    assert "only a copy" in (await visit.get(gone))[1].lower()
    assert (await visit.post(gone))[0] == 303
    assert not (folder / "topics" / "meaning_of_life.yaml").exists()
    assert (await visit.get(moved))[0] == 404
    acts = [entry.act for entry in await server.store.audit(before=0, limit=10)]
    assert acts[:4] == ["topic_deleted", "topic_changed", "topic_off", "topic_made"]
    assert not list(folder.rglob("*.part"))


async def test_the_checker_looks_at_what_is_written(visit: Visit) -> None:
    draft = {"name": "Dispute a bill", "file": "topics/dispute_a_bill.yaml", "content": "Hello"}
    _, text = await visit.post("/studio/knowledge/check", **draft, actions="Call {{fn:dispute_bil}}.")
    assert "There is no function `dispute_bil`." in text
    _, text = await visit.post("/studio/knowledge/check", **draft, actions="{{fn:dispute_bill}}", example_queries="Hm")
    assert "Nothing is wrong" in text


async def test_topics_of_other_projects_and_other_files_do_not_exist(server: Server, folder: Path) -> None:
    async with Visit(server) as visitor:
        await visitor.sign_in("other@example.org")
        before = (folder / "topics" / "dispute_a_bill.yaml").read_bytes()
        for path in ("knowledge", "knowledge/topic/topics/dispute_a_bill.yaml", "knowledge/new", "knowledge/try"):
            assert (await visitor.get(f"/studio/{path}?project=one"))[0] == 404
        for path in ("functions", "functions/edit/functions/transfer_to_agent.py"):
            assert (await visitor.get(f"/studio/{path}?project=one"))[0] == 404
            assert (await visitor.post(f"/studio/{path}?project=one", name="x", code="", digest=""))[0] == 404
        for verb in ("topic", "switch", "delete"):
            path = f"/studio/knowledge/{verb}/topics/dispute_a_bill.yaml?project=one"
            assert (await visitor.post(path, name="x", digest="x"))[0] == 404
        assert (folder / "topics" / "dispute_a_bill.yaml").read_bytes() == before
        for file in ("project.yaml", "..%2Fone%2Ftopics%2Fdispute_a_bill.yaml", "%2Fetc%2Fpasswd", "functions/x.py"):
            assert (await visitor.get(f"/studio/knowledge/topic/{file}"))[0] == 404
            assert (await visitor.post(f"/studio/knowledge/delete/{file}"))[0] == 404


async def test_a_viewer_reads_topics_and_gets_no_buttons(server: Server) -> None:
    async with Visit(server) as visitor:
        await visitor.sign_in("viewer@example.org")
        _, text = await visitor.get("/studio/knowledge")
        assert "Switch off" not in text
        _, text = await visitor.get(BILL)
        assert "I want to dispute my bill" in text
        assert ">Save<" not in text
        assert (await visitor.get("/studio/knowledge/try?text=my+bill+is+wrong"))[0] == 200


async def test_a_function_is_made_edited_and_deleted(visit: Visit, server: Server, folder: Path) -> None:
    _, text = await visit.get("/studio/functions?project=one")
    assert "transfer_to_agent" in text
    assert "topics/speak_to_a_person.yaml" in text
    for bad in ("Upper", "../x", "class", "a b", "transfer_to_agent"):
        assert (await visit.post("/studio/functions?project=one", name=bad))[0] == 422, bad
    status, page = await visit.post("/studio/functions?project=one", name="greet")
    assert (status, page) == (303, "/studio/functions/edit/functions/greet.py?project=one")
    file = folder / "functions" / "greet.py"
    _, text = await visit.get(page)
    assert "Nothing is wrong" in text
    digest = re.search(r'name="digest" value="(\w+)"', text)
    assert digest is not None
    made = file.read_text("utf-8")

    status, text = await visit.post(page, code="def greet(conv:\n  <script>alert(1)", digest=digest[1])
    assert status == 422
    assert "is not valid Python" in text
    assert "<script>alert" not in text
    assert file.read_text("utf-8") == made

    changed = made.replace("Say here what the customer reads.", "Hello ☎")
    assert (await visit.post(page, code=changed.replace("\n", "\r\n"), digest=digest[1]))[0] == 303
    assert file.read_text("utf-8") == changed
    status, text = await visit.post(page, code=made, digest=digest[1])
    assert status == 409
    assert file.read_text("utf-8") == changed
    project = server._engines["one"].project
    assert project.functions["greet"].file == "functions/greet.py"

    gone = page.replace("/edit/", "/delete/")
    assert "cannot call the function" in (await visit.get(gone))[1]
    assert (await visit.post(gone))[0] == 303
    assert not file.exists()
    assert (await visit.get(page))[0] == 404
    acts = [entry.act for entry in await server.store.audit(before=0, limit=3)]
    assert acts == ["function_deleted", "function_changed", "function_made"]


async def test_only_known_files_inside_the_project_are_touched(server: Server, folder: Path, tmp_path: Path) -> None:
    files = ProjectFiles(folder, server._engines["one"])
    outside = tmp_path / "outside.yaml"
    outside.write_text("name: x\n", "utf-8")
    link = folder / "topics" / "linked.yaml"
    link.symlink_to(outside)
    bad = ("../two/topics/dispute_a_bill.yaml", "topics/../project.yaml", "project.yaml", "/etc/passwd", "topics/x.py")
    odd = ("topics/.hidden.yaml", "topics\\x.yaml", "topics/a\0.yaml", "functions/a/b.py", "topics/linked.yaml")
    for file in (*bad, *odd):
        with pytest.raises(WarmlineError) as refused:
            await files.read(file)
        assert refused.value.code == "bad_path", file
        with pytest.raises(WarmlineError):
            await files.create(file, "name: y\n")
    assert outside.read_text("utf-8") == "name: x\n"
    link.unlink()
