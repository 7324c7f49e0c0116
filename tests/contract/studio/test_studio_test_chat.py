"""The test chat: the files as they are now, the trace, what is held back, and who may see it."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.agent_projects import CHAT, write_project
from support.desk import Desk
from support.installation import DISPUTE, TRANSFER, emulator
from support.llm import llm_lab
from support.studio import Visit, add_editors, add_user, copy_examples, studio_server
from warmline.app import Server
from warmline.channels.sms import setup
from warmline.cli.demo import connect_emulator
from warmline.emulators.llm.script import Answer
from warmline.emulators.sms import SmsSettings, demo_values
from warmline.ports import Role, SessionInfo, Wanted
from warmline.testing.messaging_client import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")
FRAGMENT = {"HX-Request": "true"}
EVIL = "<script>alert(1)</script>"
OFFER = f"""
def offer(conv: Conversation):
    \"\"\"Offer something.\"\"\"
    conv.log.info("the offer was {EVIL}")
    conv.set_response_suggestions(["Yes {EVIL}", "No"])
    conv.add_attachments([Attachment(content_url="javascript:alert(1)", title="{EVIL}")])
    conv.send_sms("+12025550123", "", "by text {EVIL}")
    conv.state.offered = True
    return {{"utterance": "Would you like {EVIL}?"}}
"""
TOPIC = """
name: Offers
enabled: true
actions: Call {{fn:offer}}
content: ""
example_queries:
  - Make an offer
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects whose handoffs the customer's own app would make, with a function that offers something."""
    projects = tmp_path_factory.mktemp("projects")
    copy_examples(projects, one="lumen-energy", two="lumen-energy")
    for folder in projects.iterdir():
        (folder / "chat" / "handoff_routes.yaml").write_text(
            "routes:\n  - destination: default\n    connection: client\n", "utf-8"
        )
        (folder / "functions" / "offer.py").write_text(
            f"from _gen import *\nfrom polyai.attachments import Attachment\n{OFFER}", "utf-8"
        )
        (folder / "topics" / "offers.yaml").write_text(TOPIC, "utf-8")
    return projects


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server that does not look for changed files by itself."""
    async with studio_server(tmp_path_factory.mktemp("data"), folders, watch=False) as running:
        await add_editors(running, elsewhere="two")
        yield running


async def begin(visit: Visit, **settings: str) -> str:
    """Start a chat; its address."""
    status, where = await visit.post("/studio/test-chat", **settings)
    assert status == 303
    return where


async def say(visit: Visit, where: str, text: str) -> str:
    """Write to the agent; the page's news once it has answered."""
    status, news = await visit.post(where, headers=FRAGMENT, text=text)
    async with asyncio.timeout(PATIENCE_S):
        while "The agent is working" in news:
            status, news = await visit.get(where, headers=FRAGMENT)
    assert status == 200
    return news


async def test_it_talks_to_the_files_as_they_are_and_traces_every_turn(
    server: Server, visit: Visit, folders: Path
) -> None:
    where = await begin(visit)
    assert "Topics found, with their distances" in await say(visit, where, "When is my bill due?")
    file = folders / "one" / "functions" / "offer.py"
    file.write_text(file.read_text("utf-8").replace("Would you like", "Shall I send you"), "utf-8")
    assert "Would you like" in await say(visit, where, "Make an offer")

    where = await begin(visit, instead=session_of(where))
    news = await say(visit, where, "Make an offer")
    assert "Shall I send you" in news
    for told in (
        "Called</strong> offer",
        "Returned</strong> offer",
        "State changed",
        "offered",
        "the offer was",
        " ms",
    ):
        assert told in news, told
    assert '<button class="quiet small" name="text" value="No">No</button>' in news
    stored = await server.store.session(session_of(where))
    assert stored is not None
    assert (stored.info.environment, stored.session.channel) == ("sandbox", "webchat.polyai")


async def test_nothing_harmful_and_nothing_to_phones(server: Server, visit: Visit) -> None:
    values = {"agent_name": "Lumi", **demo_values(SmsSettings(), "http://localhost:1")}
    await setup.save(server.store, server.clock, server.ids, "one", values, "SMS", relaxed=True)
    server.sms.connections.forget()
    for channel in ("webchat", "sms"):
        where = await begin(visit, channel=channel, caller_number="+12025550123")
        news = await say(visit, where, "Make an offer")
        assert "Held back: a text message" in news
        assert "+12025550123" in news
        assert EVIL not in news
        assert 'href="javascript' not in news
        assert news.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
        assert await server.store.deliveries(session_of(where)) == []


async def test_texts_show_what_they_take(visit: Visit) -> None:
    where = await begin(visit, channel="sms")
    news = await say(visit, where, "é" * 161)
    assert "161 places in GSM-7, 2 parts" in news
    news = await say(visit, where, "日")
    assert "1 places in UCS-2, one part" in news


async def test_a_handoff_is_held_back_or_goes_out(server: Server, visit: Visit) -> None:
    where = await begin(visit)
    news = await say(visit, where, DISPUTE)
    assert TRANSFER.replace("'", "&#39;") in news
    assert "Held back: a handoff to" in news
    assert "Handoff requested" not in news
    assert "Virtual agent" in await say(visit, where, "When is my bill due?")

    where = await begin(visit, hand_off="yes")
    news = await say(visit, where, DISPUTE)
    assert "Handed over to" in news
    assert "Handoff requested" in news


async def test_lists_leave_it_out_unless_asked(server: Server, visit: Visit) -> None:
    session_id = session_of(await begin(visit))
    await server.catalog.write()
    assert session_id not in (await visit.get("/studio/conversations"))[1]
    assert session_id in (await visit.get("/studio/conversations?sandbox=yes"))[1]
    assert session_id in [e.session_id for e in (await server.store.conversations(Wanted(sandbox=True))).entries]


async def test_news_come_only_when_there_are_some(visit: Visit) -> None:
    where = await begin(visit)
    status, page = await visit.get(where)
    assert status == 200
    found = re.search(r'"seen": "([0-9.]+)"', page)
    assert found is not None
    mark = "&" if "?" in where else "?"
    assert (await visit.get(f"{where}{mark}seen={found[1]}", headers=FRAGMENT))[0] == 204
    assert (await visit.get(f"{where}{mark}seen=1.0", headers=FRAGMENT))[0] == 200


async def test_settings_are_checked_and_kept(server: Server, visit: Visit) -> None:
    status, page = await visit.post("/studio/test-chat", caller_number="0123")
    assert status == 422
    assert "with its country code" in page
    where = await begin(visit, channel="nonsense", variant="nonsense", language="xx")
    stored = await server.store.session(session_of(where))
    assert stored is not None
    assert (stored.session.channel, stored.info.variant, stored.info.language) == ("webchat.polyai", "", "")
    assert (await visit.post(f"{where.partition('?')[0]}/end"))[0] == 303
    assert "This conversation has ended" in (await visit.get(where))[1]
    assert (await visit.post(where, text="still there?"))[0] == 303
    assert (await visit.post(f"{where.partition('?')[0]}/end"))[0] == 303
    assert await begin(visit, instead=session_of(where)) != where


async def test_only_test_chats_of_the_project_are_found(server: Server, visit: Visit) -> None:
    talk = server.conversations
    real = await talk.start(SessionInfo(connector_id="c", project_id="one", subject="user"))
    assert (await visit.get(f"/studio/test-chat/{real}"))[0] == 404
    assert (await visit.post(f"/studio/test-chat/{real}", text="hello"))[0] == 404
    assert (await visit.post(f"/studio/test-chat/{real}/end"))[0] == 404
    assert (await visit.post("/studio/test-chat", instead=real))[0] == 404
    stored = await server.store.session(real)
    assert stored is not None
    assert (stored.session.last_sequence, stored.session.ended) == (1, None)

    where = (await begin(visit)).partition("?")[0]
    async with Visit(server) as other:
        await other.sign_in("other@example.org")
        for path in (where, f"{where}?project=one"):
            assert (await other.get(path))[0] == 404
            assert (await other.post(path, text="hello"))[0] == 404


def session_of(where: str) -> str:
    """The session of a chat's address."""
    return where.partition("?")[0].rpartition("/")[2]


async def test_what_the_language_model_was_asked_is_shown(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", {**CHAT, "agent_settings/rules.txt": "Be brief and kind.\n"})
    async with (
        llm_lab() as lab,
        studio_server(tmp_path, project, brain="llm", llm=lab.endpoint()) as server,
        Visit(server) as visit,
    ):
        await add_user(server, "editor@example.org", Role.EDITOR)
        await visit.sign_in("editor@example.org")
        where = await begin(visit)
        lab.play(Answer(say=f"It is due in **May** {EVIL}."))
        news = await say(visit, where, "When is my bill due?")
    assert "<strong>Language model</strong> default-model" in news
    assert "Be brief and kind." in news
    assert "completion_tokens" in news
    assert "It is due in <strong>May</strong> &lt;script&gt;" in news


async def test_a_live_agent_answers_in_it(tmp_path: Path) -> None:
    async with (
        emulator() as sim,
        studio_server(tmp_path) as server,
        Desk(sim.url) as desk,
        Visit(server) as visit,
    ):
        await connect_emulator(server, sim)
        await desk.ready()
        await add_user(server, "editor@example.org", Role.EDITOR)
        await visit.sign_in("editor@example.org")
        where = await begin(visit, hand_off="yes")
        await say(visit, where, DISPUTE)
        task = await desk.take()
        await desk.say(task, "Which bill is it?")
        await visit.post(where, headers=FRAGMENT, text="The one of March.")
        await desk.until_heard(task, ["The one of March."])
        await desk.end(task)
        async with asyncio.timeout(PATIENCE_S):
            news = (await visit.get(where, headers=FRAGMENT))[1]
            while "This conversation has ended" not in news:
                await asyncio.sleep(0.05)
                news = (await visit.get(where, headers=FRAGMENT))[1]
    assert "Handed over to</strong> Webex emulator" in news
    assert "Which bill is it?" in news
    assert "tickmark arrived" in news
