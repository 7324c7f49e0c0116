"""Test chat: talk to the project as its files are now, and see what happens inside every turn."""

import re

import msgspec
from aiohttp import web

from warmline.domain.events import Recorded
from warmline.domain.session import Owner
from warmline.ports import TEST_CHAT, TEST_CHAT_ALONE, Connector, Role, SessionInfo, StoredSession
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import POLICY, PROJECT, VISITOR, Pages, keep_project
from warmline.studio.views.line_text import plain_text, widget_text
from warmline.studio.views.test_chat import said, steps, texted, web_address
from warmline.studio.views.transcript import Who

CHANNELS = {"webchat": "webchat.polyai", "sms": "sms.polyai"}
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_MOST_CHARS = 4000
_LOOKS = 20
"""How often a message's page looks for the answer before it is shown without one."""
_LOOK_S = 0.05


class TestChat:
    """The pages below /studio/test-chat."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/test-chat", self.begin, Role.EDITOR)
        table.post("/test-chat", self.start, Role.EDITOR)
        table.get("/test-chat/{session}", self.show, Role.EDITOR)
        table.post("/test-chat/{session}", self.say, Role.EDITOR)
        table.post("/test-chat/{session}/end", self.end, Role.EDITOR)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """The settings of a new chat."""
        return self._begin(request, {"hand_off": "yes"}, "")

    def _begin(self, request: web.Request, entered: dict[str, str], problem: str) -> web.StreamResponse:
        return self._pages.show(
            request,
            "test_chat_begin.html",
            status=422 if problem else 200,
            section="test_chat",
            problem=problem,
            **self._choices(request, entered),
        )

    def _choices(self, request: web.Request, entered: dict[str, str]) -> dict[str, object]:
        engine = self._deps.engines.get(request[PROJECT])
        project = engine.project if engine else None
        return {
            "entered": entered,
            "channels": tuple(CHANNELS),
            "variants": tuple(project.variants) if project else (),
            "languages": project.languages if project else (),
        }

    async def start(self, request: web.Request) -> web.StreamResponse:
        """Load the project's files, begin a session, and end the one before it."""
        form = {key: str(value).strip() for key, value in (await request.post()).items()}
        if request[PROJECT] not in self._deps.engines:
            raise web.HTTPNotFound
        number = form.get("caller_number", "")
        if number and not _NUMBER.fullmatch(number):
            return self._begin(request, form, "test_chat.bad_number")
        if form.get("instead"):
            await self._end(await self._find(request, form["instead"]))
        engine = self._deps.engines[request[PROJECT]]
        await engine.reload()
        project = engine.project
        info = SessionInfo(
            connector_id=TEST_CHAT if form.get("hand_off") else TEST_CHAT_ALONE,
            project_id=request[PROJECT],
            subject=f"{TEST_CHAT}:{request[VISITOR].user.id}",
            environment="sandbox",
            variant=form["variant"] if form.get("variant") in project.variants else "",
            language=form["language"] if form.get("language") in project.languages else "",
            caller_number=number,
        )
        talk = self._deps.conversations
        session_id = await talk.start(info, channel=CHANNELS.get(form.get("channel", ""), CHANNELS["webchat"]))
        await talk.join(session_id, Connector(id=TEST_CHAT, token="", project_id=info.project_id, host=""))
        await record(self._deps, request, "test_chat_started", session_id)
        await self._answered(session_id)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"test-chat/{session_id}"))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The chat and its trace; nothing when the page has seen the newest."""
        stored = await self._find(request, request.match_info["session"])
        self._deps.conversations.seen(stored.session.id)
        return await self._show(request, stored, seen=request.query.get("seen", ""))

    async def _show(self, request: web.Request, stored: StoredSession, seen: str = "") -> web.StreamResponse:
        session = stored.session
        turns = [msgspec.json.decode(one) for _, one in await self._deps.store.turn_records(session.id)]
        version = f"{session.last_sequence}.{len(turns)}"
        if "HX-Request" in request.headers and version == seen:
            return web.Response(status=204)
        log = await self._log(session.id)
        names = {c.id: c.name for c in await self._deps.store.connections()}
        sms = session.channel == CHANNELS["sms"]
        entered = {
            "channel": "sms" if sms else "webchat",
            "variant": stored.info.variant,
            "language": stored.info.language,
            "caller_number": stored.info.caller_number,
            "hand_off": "" if stored.info.connector_id == TEST_CHAT_ALONE else "yes",
        }
        page = self._pages.show(
            request,
            "test_chat_news.html" if "HX-Request" in request.headers else "test_chat.html",
            status=200,
            section="test_chat",
            stored=stored,
            ended=session.ended is not None,
            working=_owes_an_answer(stored, len(turns)),
            human=session.owner in (Owner.QUEUE, Owner.LIVE_AGENT),
            version=version,
            lines=texted(log) if sms else said(log),
            turns=[(turn, steps(turn, names)) for turn in turns],
            log=[(r.sequence, r.at, type(r.event).__name__) for r in log],
            web_address=web_address,
            text_of=plain_text if sms else widget_text,
            Who=Who,
            most=_MOST_CHARS,
            problem="",
            **self._choices(request, entered),
        )
        # Pictures that the project shows lie anywhere.
        page.headers["Content-Security-Policy"] = POLICY.replace(
            "img-src 'self'", f"img-src 'self' https: {self._deps.public_url}"
        )
        return page

    async def say(self, request: web.Request) -> web.StreamResponse:
        """Write to the agent, and wait a moment for what it says."""
        stored = await self._find(request, request.match_info["session"])
        text = str((await request.post()).get("text", "")).strip()[:_MOST_CHARS]
        session_id = stored.session.id
        if text and not stored.session.ended:
            self._deps.conversations.seen(session_id)
            await self._deps.conversations.post(session_id, text)
            stored = await self._answered(session_id)
        if "HX-Request" in request.headers:
            return await self._show(request, stored)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"test-chat/{session_id}"))

    async def end(self, request: web.Request) -> web.StreamResponse:
        """End the session as its customer."""
        stored = await self._find(request, request.match_info["session"])
        await self._end(stored)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"test-chat/{stored.session.id}"))

    async def _end(self, stored: StoredSession) -> None:
        """End a session that goes on."""
        if not stored.session.ended:
            await self._deps.conversations.end_by_user(stored.session.id)

    async def _answered(self, session_id: str) -> StoredSession:
        """The session, as soon as its turn is over or after a second."""
        for look in range(_LOOKS):
            stored = await self._deps.store.session(session_id)
            if stored is None:
                break
            turns = len(await self._deps.store.turn_records(session_id))
            if look + 1 == _LOOKS or not _owes_an_answer(stored, turns):
                return stored
            await self._deps.clock.sleep(_LOOK_S)
        raise web.HTTPNotFound

    async def _find(self, request: web.Request, session_id: str) -> StoredSession:
        stored = await self._deps.store.session(session_id)
        if stored is None or not stored.info.is_test_chat or stored.info.project_id != request[PROJECT]:
            raise web.HTTPNotFound
        return stored

    async def _log(self, session_id: str) -> list[Recorded]:
        log: list[Recorded] = []
        while page := await self._deps.store.events(session_id, log[-1].sequence if log else 0):
            log += page
        return log


def _owes_an_answer(stored: StoredSession, turns: int) -> bool:
    """Whether the virtual agent has yet to speak; `turns` of its are over."""
    session = stored.session
    if session.ended or session.owner is not Owner.VIRTUAL_AGENT:
        return False
    return bool(session.unanswered) or not turns
