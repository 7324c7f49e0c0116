"""Files of live agents on their way to the customer: beside the texts, each once, whatever happens (A-28, A-29)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from support.delivery import Site, site
from warmline.delivery.agent_files import NOT_DELIVERED, NOT_SHOWN
from warmline.domain import events as e
from warmline.domain.messages import AttachmentKind

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@dataclass
class Files:
    """A file server of the platform; nothing is answered while `gate` is closed."""

    url: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    failing: int = 0

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        await self.gate.wait()
        if self.failing:
            self.failing -= 1
            raise web.HTTPInternalServerError
        return web.Response(body=PNG, content_type="image/png")

    def file(self, name: str, **more: object) -> dict[str, object]:
        return {"url": f"{self.url}/{name}", "name": name, "mime_type": "image/png", **more}


@pytest.fixture
async def files() -> AsyncIterator[Files]:
    served = Files()
    app = web.Application()
    app.router.add_get("/{name}", served.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    served.gate.set()
    yield served
    await runner.cleanup()


@contextlib.asynccontextmanager
async def live(where: Path) -> AsyncIterator[tuple[Site, str]]:
    async with site(where) as s:
        session_id = await s.node.hand_off()
        await s.live(session_id)
        yield s, session_id


async def say(s: Site, session_id: str, text: str, message_id: str, **more: object) -> None:
    await s.news(session_id, "agent_message", message_id=message_id, text=text, agent_id="agent-1", **more)


async def shown(s: Site, session_id: str) -> list[str]:
    """Texts, and the names of files, in the order in which the customer sees them."""
    messages = await s.of_type(session_id, e.LiveAgentMessage)
    return [m.text or f"<{m.attachments[0].title}>" for m in messages]


async def reach(s: Site, session_id: str, *wanted: str) -> None:
    async def there() -> bool:
        return await shown(s, session_id) == list(wanted)

    await s.until(there)


async def test_a_slow_file_holds_up_neither_its_own_words_nor_later_ones(tmp_path: Path, files: Files) -> None:
    async with live(tmp_path) as (s, session_id):
        files.gate.clear()
        await say(s, session_id, "Here is a photo", "m-1", files=[files.file("a.png"), files.file("b.png")])
        await say(s, session_id, "Can you see it?", "m-2")
        await reach(s, session_id, "Here is a photo", "Can you see it?")
        assert len(await s.store.inbox_pending()) == 1, "its webhook is not done before its files are"
        files.gate.set()
        await reach(s, session_id, "Here is a photo", "Can you see it?", "<a.png>", "<b.png>")
        await s.until(lambda: _done(s))
        first, *_, last = await s.of_type(session_id, e.LiveAgentMessage)
        (attachment,) = last.attachments
        assert (attachment.kind, attachment.mime_type) == (AttachmentKind.IMAGE, "image/png")
        assert attachment.content_url.startswith("https://w.example/files/")
        assert last.agent == first.agent
        assert len({m.message_id for m in await s.of_type(session_id, e.LiveAgentMessage)}) == 4


async def _done(s: Site) -> bool:
    return not await s.store.inbox_pending()


async def test_a_crash_while_a_file_is_on_its_way_loses_and_doubles_nothing(tmp_path: Path, files: Files) -> None:
    async with live(tmp_path) as (s, session_id):
        files.gate.clear()
        await say(s, session_id, "Look", "m-1", files=[files.file("a.png"), files.file("b.png")])
        await reach(s, session_id, "Look")
        await s.until(lambda: bool(files.asked))
        await s.restart()
        files.gate.set()
        await reach(s, session_id, "Look", "<a.png>", "<b.png>")
        await s.until(lambda: _done(s))
        assert await shown(s, session_id) == ["Look", "<a.png>", "<b.png>"]


async def test_the_same_message_twice_shows_its_files_once(tmp_path: Path, files: Files) -> None:
    async with live(tmp_path) as (s, session_id):
        for at in (1, 2):
            fact = {"fact": "message-1", "at": 1_700_000_000_000 + at}
            await say(s, session_id, "Look", "m-1", files=[files.file("a.png")], **fact)
        await s.until(lambda: _done(s))
        assert await shown(s, session_id) == ["Look", "<a.png>"]


async def test_a_file_that_fails_for_a_moment_is_tried_again(tmp_path: Path, files: Files) -> None:
    async with live(tmp_path) as (s, session_id):
        files.failing = 1
        await say(s, session_id, "", "m-1", files=[files.file("a.png")])
        await reach(s, session_id, "<a.png>")
        assert len(files.asked) == 2


async def test_A28_a_file_that_cannot_be_had_is_owned_up_to_in_nobodys_name(tmp_path: Path, files: Files) -> None:
    async with live(tmp_path) as (s, session_id):
        broken = {"url": "ftp://127.0.0.1/x", "name": "a.png"}
        await say(s, session_id, "", "m-1", files=[broken, files.file("b.png")])
        await reach(s, session_id, NOT_DELIVERED, "<b.png>")
        notice, picture = await s.of_type(session_id, e.LiveAgentMessage)
        assert notice.agent is None
        assert picture.agent is not None


async def test_A29_an_encrypted_file_without_a_way_to_open_it_is_named(tmp_path: Path, files: Files) -> None:
    async with live(tmp_path) as (s, session_id):
        await say(s, session_id, "See this", "m-1", files=[files.file("a.png", encrypted=True, jwe="a.b.c")])
        await reach(s, session_id, "See this", NOT_SHOWN.format(name="a.png"))
        assert files.asked == []


async def test_what_ends_the_conversation_waits_for_its_last_file(tmp_path: Path, files: Files) -> None:
    async with live(tmp_path) as (s, session_id):
        files.gate.clear()
        await say(s, session_id, "Last one", "m-1", files=[files.file("a.png")])
        await reach(s, session_id, "Last one")
        await s.news(session_id, "ended", reason="agent")
        await asyncio.sleep(1.0)
        assert not (await s.session(session_id)).ended
        files.gate.set()
        await s.until(lambda: _done(s))
        kinds = [type(event) for event in await s.log(session_id)][-3:]
        assert kinds == [e.LiveAgentMessage, e.LiveAgentLeft, e.SessionEnded]
