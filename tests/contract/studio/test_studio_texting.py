"""SMS in the Studio against the emulated carrier: connections are added, tested, changed, removed; rules are edited."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from support.phones import NUMBER, OTHER_NUMBER, Phones, carrier, sms_fields
from support.studio import Visit, add_user, copy_examples, studio_server
from warmline.app import Server
from warmline.channels.sms.configuration import read_rules
from warmline.domain.texting import SENTENCES
from warmline.ports import Connection, Role

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = "/studio/channels/sms"
EVIL = '"><script>alert(1)</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects that may be changed."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="lumen-energy", two="lumen-energy")
    return projects


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> AsyncIterator[Server]:
    """A server with an administrator, an editor and one who may see the second project only."""
    async with studio_server(tmp_path_factory.mktemp("data"), folder) as running:
        await add_user(running, "admin@example.org", Role.ADMIN)
        await add_user(running, "editor@example.org", Role.EDITOR)
        await add_user(running, "other@example.org", Role.EDITOR, ("two",))
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def visit(server: Server) -> AsyncIterator[Visit]:
    """The administrator, signed in."""
    async with Visit(server) as visitor:
        await visitor.sign_in("admin@example.org")
        yield visitor


@pytest_asyncio.fixture(loop_scope="module")
async def phones() -> AsyncIterator[Phones]:
    """The emulated carrier."""
    async with carrier() as sim, Phones(sim) as phones:
        yield phones


async def only(server: Server) -> Connection:
    (connection,) = await server.store.text_connections()
    return connection


async def test_a_connection_is_added_tested_changed_and_removed(visit: Visit, server: Server, phones: Phones) -> None:
    assert "No number yet" in (await visit.get(f"{PAGE}?project=one"))[1]
    _, page = await visit.get(f"{PAGE}/new?project=one")
    fields = sms_fields(phones.sim) | {"name": EVIL + "\0"}
    for changed, told in (
        ({"account_sid": "AC1"}, "must be AC and 32"),
        ({"numbers": "123"}, "must be international numbers"),
        ({"auth_token": "wrong-token"}, "refuses the account"),
        ({"auth_token": ""}, "is required"),
    ):
        status, page = await visit.post(f"{PAGE}/new?project=one", **(fields | changed))
        assert status == 422, changed
        assert told in page
        assert "<script>alert" not in page
        assert await server.store.text_connections() == []

    status, where = await visit.post(f"{PAGE}/new?project=one", **fields)
    assert status == 303
    connection = await only(server)
    assert where == f"{PAGE}/{connection.id}?project=one"
    assert (connection.project_id, connection.state, connection.name) == ("one", "connected", EVIL)
    assert connection.secrets == {"auth_token": fields["auth_token"]}

    _, page = await visit.get(where)
    address = f"{visit.url}/sms/twilio/{connection.id}"
    assert f'value="{address}"' in page
    assert fields["auth_token"] not in page
    assert "<script>alert" not in page
    _, part = await visit.get(f"{PAGE}/{connection.id}/findings")
    assert "announces its texts nowhere" in part
    phones.announce_to(address)
    _, part = await visit.get(f"{PAGE}/{connection.id}/findings")
    assert "failed" not in part
    assert "announces its texts to this server" in part

    _, page = await visit.get(f"{PAGE}?project=one")
    assert NUMBER in page
    assert "Connected" in page
    assert "No number yet" in (await visit.get(f"{PAGE}?project=two"))[1]

    at = f"{PAGE}/{connection.id}/change"
    _, page = await visit.get(at)
    assert fields["auth_token"] not in page
    status, page = await visit.post(at, **(fields | {"auth_token": "wrong-token"}))
    assert (status, (await only(server)).secrets) == (422, connection.secrets)
    status, _ = await visit.post(at, **(fields | {"auth_token": "", "name": "North", "agent_name": "Lumi"}))
    assert status == 303
    changed_one = await only(server)
    assert (changed_one.name, changed_one.values["agent_name"]) == ("North", "Lumi")
    assert changed_one.secrets == connection.secrets
    status, page = await visit.post(f"{PAGE}/new?project=two", **fields)
    assert status == 422
    assert "belongs to the connection North" in page

    _, page = await visit.get(f"{PAGE}/{connection.id}/remove")
    assert NUMBER in page
    assert "unsubscribed stay" in page
    status, _ = await visit.post(f"{PAGE}/{connection.id}/remove")
    assert status == 303
    assert await server.store.text_connections() == []
    assert (await visit.get(f"{PAGE}/{connection.id}"))[0] == 404
    acts = [entry.act for entry in await server.store.audit(limit=3)]
    assert acts == ["sms_removed", "sms_changed", "sms_added"]


def fields_of(page: str) -> dict[str, str]:
    """The form of the rules, as the page fills it."""
    form = {"digest": re.search(r'name="digest" value="(\w*)"', page)[1]}  # type: ignore[index]
    for name, value in re.findall(r'<textarea id="\w+" name="(\w+)"[^>]*>\n(.*?)</textarea>', page, re.S):
        form[name] = html.unescape(value)
    for name, value in re.findall(r'<input id="\w+" name="(\w+)" value="([^"]*)" inputmode', page):
        form[name] = html.unescape(value)
    for name in re.findall(r'name="(silent:\w+)" value="true" checked', page):
        form[name] = "true"
    return form


async def test_rules_are_written_for_all_numbers_and_for_one(server: Server, folder: Path) -> None:
    values = {"account_sid": "AC" + "0" * 32, "numbers": f"{NUMBER}, {OTHER_NUMBER}", "environment": "live"}
    await server.store.save_connection(
        Connection(id="rules", provider="sms_twilio", name="Rules", project_id="one", values=values)
    )
    path = folder / "one/sms/configuration.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("greeting:\n  welcome_message: Hi   # short\n", "utf-8")
    async with Visit(server) as editor:
        await editor.sign_in("editor@example.org")
        _, page = await editor.get(f"{PAGE}/rules/all?project=one")
        assert html.escape(SENTENCES["queued"]).replace("&#x27;", "&#39;") in page
        form = fields_of(page)
        assert form["welcome_message"] == "Hi"
        form |= {"queued": "", "silent:queued": "true", "ended": "Bye\0: {name}", "after_hours": "0.5"}
        assert (await editor.post(f"{PAGE}/rules/all?project=one", **form))[0] == 303
        assert path.read_text("utf-8") == (
            "greeting:\n  welcome_message: Hi   # short\n"
            "sentences:\n  queued: \"\"\n  ended: 'Bye: {name}'\ninactivity:\n  after_hours: 0.5\n"
        )

        one = f"{PAGE}/rules/%2B{NUMBER[1:]}?project=one"
        status, page = await editor.get(one)
        assert status == 200
        assert "Bye: {name}" in page
        form = fields_of(page)
        assert "silent:queued" not in form
        assert (await editor.post(one, **(form | {"ended": "So long", "grace_minutes": "5"})))[0] == 303
        found = yaml.safe_load(path.read_text("utf-8"))
        assert found["numbers"] == {NUMBER: {"sentences": {"ended": "So long"}, "inactivity": {"grace_minutes": 5}}}
        rules = read_rules(folder / "one", NUMBER)
        assert rules.sentences == {"queued": "", "ended": "So long"}
        assert (rules.silence_ms, rules.grace_ms) == (1_800_000, 300_000)

        status, page = await editor.post(one, **(form | {"grace_minutes": "none"}))
        assert (status, "Enter a number above 0" in page) == (422, True)
        status, page = await editor.post(one, **(form | {"ended": "Mine"}))
        assert (status, "changed meanwhile" in page) == (409, True)
        assert "Mine" in page
        form = fields_of((await editor.get(one))[1])
        assert (await editor.post(one, **(form | {"ended": "", "grace_minutes": ""})))[0] == 303
        assert read_rules(folder / "one", NUMBER).sentences["ended"] == "Bye: {name}"

        path.write_text("sentences: {nonsense: x}\n", "utf-8")
        _, page = await editor.get(f"{PAGE}/rules/all?project=one")
        assert "The file has a mistake" in page
        assert (await editor.get(f"{PAGE}/rules/%2B4915?project=one"))[0] == 404
        assert (await editor.get(f"{PAGE}/new?project=one"))[0] == 403
    async with Visit(server) as other:
        await other.sign_in("other@example.org")
        assert (await other.get(f"{PAGE}/rules"))[0] == 404
        assert (await other.get(f"{PAGE}/rules/findings"))[0] == 404
        assert (await other.get(one.replace("project=one", "project=two")))[0] == 404
        assert NUMBER not in (await other.get(PAGE))[1]
    await server.store.delete_connection("rules")
