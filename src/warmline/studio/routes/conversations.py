"""Conversations: the live list with search, and everything about one of them."""

import msgspec
from aiohttp import web

from warmline.domain.catalog import Entry, Stage
from warmline.domain.events import Recorded
from warmline.ports import Connection, OutboxRow, StoredSession, Wanted
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, VISITOR, Pages, moment
from warmline.studio.views.transcript import Line, Who, lines
from warmline.studio.words import say

_PAGE = 50
_RUNNING = tuple(stage.value for stage in Stage if stage is not Stage.ENDED)
_FILTERS = {
    "all": (),
    "running": _RUNNING,
    "waiting": (Stage.REQUESTED.value, Stage.QUEUED.value, Stage.TRANSFERRING.value),
    "live": (Stage.LIVE.value,),
    "ended": (Stage.ENDED.value,),
}
_CHANNELS = ("webchat.polyai", "sms.twilio", "chat.polyai")


class Conversations:
    """The list, the detail page and the export."""

    def __init__(self, deps: StudioDeps, pages: Pages) -> None:
        self._deps = deps
        self._pages = pages

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/conversations", self.overview)
        table.get("/conversations/{session}", self.detail)
        table.get("/conversations/{session}/transcript.txt", self.export_text)
        table.get("/conversations/{session}/transcript.json", self.export_json)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """Conversations, newest change first; a part of the page when the page asks for news."""
        query = request.query
        show = query.get("show", "all") if query.get("show") in _FILTERS else "all"
        wanted = Wanted(
            projects=(request[PROJECT],),
            stages=_FILTERS[show],
            channel=query.get("channel", ""),
            connection_id=query.get("connection", ""),
            words=query.get("words", "").strip()[:200],
            sandbox="sandbox" in query,
            before=_place(query.get("before", "")),
            limit=_PAGE + 1,
        )
        entries = await self._deps.store.conversations(wanted) if request[PROJECT] else []
        more = entries[_PAGE - 1] if len(entries) > _PAGE else None
        connections = [c for c in await self._deps.store.connections() if c.project_id == request[PROJECT]]
        return self._pages.show(
            request,
            "conversation_rows.html" if "HX-Request" in request.headers else "conversations.html",
            section="conversations",
            entries=entries[:_PAGE],
            names={c.id: c.name for c in connections},
            filters=tuple(_FILTERS),
            channels=_CHANNELS,
            chosen=show,
            wanted=wanted,
            older=f"{more.updated_at}:{more.session_id}" if more else "",
            query={key: value for key, value in query.items() if key != "before"},
        )

    async def detail(self, request: web.Request) -> web.StreamResponse:
        """One conversation; the parts that change when the page asks for news."""
        stored = await self._find(request)
        store, session_id = self._deps.store, stored.session.id
        log = await self._log(session_id)
        turns = [msgspec.json.decode(record) for _, record in await store.turn_records(session_id)]
        return self._pages.show(
            request,
            "conversation_news.html" if "HX-Request" in request.headers else "conversation.html",
            section="conversations",
            entry=await store.catalog_entry(session_id) or _entry(stored),
            stored=stored,
            lines=lines(log),
            log=[(r.sequence, r.at, type(r.event).__name__, _plain(r)) for r in log],
            turns=turns,
            handoffs=await store.handoffs_of(session_id),
            names={c.id: c.name for c in await self._connections()},
            deliveries=await self._deliveries(session_id),
            Who=Who,
        )

    async def export_text(self, request: web.Request) -> web.StreamResponse:
        """The transcript as text."""
        stored = await self._find(request)
        text = "\n".join(_text_line(line) for line in lines(await self._log(stored.session.id)))
        return _download(stored, "txt", "text/plain", f"{text}\n".encode())

    async def export_json(self, request: web.Request) -> web.StreamResponse:
        """The log as JSON."""
        stored = await self._find(request)
        data = {
            "session_id": stored.session.id,
            "project_id": stored.info.project_id,
            "channel": stored.session.channel,
            "events": [
                {"sequence": r.sequence, "at": r.at, "type": type(r.event).__name__, "event": _plain(r)}
                for r in await self._log(stored.session.id)
            ],
        }
        return _download(stored, "json", "application/json", msgspec.json.format(msgspec.json.encode(data)))

    async def _find(self, request: web.Request) -> StoredSession:
        stored = await self._deps.store.session(request.match_info["session"])
        if stored is None or not request[VISITOR].user.sees(stored.info.project_id):
            raise web.HTTPNotFound
        return stored

    async def _log(self, session_id: str) -> list[Recorded]:
        log: list[Recorded] = []
        while page := await self._deps.store.events(session_id, log[-1].sequence if log else 0):
            log += page
        return log

    async def _connections(self) -> list[Connection]:
        return await self._deps.store.connections()

    async def _deliveries(self, session_id: str) -> list[tuple[OutboxRow, bool]]:
        """What waits (False) and what was given up (True) of this conversation, oldest first."""
        return await self._deps.store.deliveries(session_id)


def _place(given: str) -> tuple[int, str] | None:
    at, _, session_id = given.partition(":")
    return (int(at), session_id) if at.isdigit() and len(at) < 16 and session_id else None


def _entry(stored: StoredSession) -> Entry:
    """What is known of a conversation that the catalog has not come to yet."""
    return Entry(
        session_id=stored.session.id,
        project_id=stored.info.project_id,
        channel=stored.session.channel,
        started_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _plain(recorded: Recorded) -> dict[str, object]:
    """The event's fields that hold something, as plain data."""
    fields: dict[str, object] = msgspec.to_builtins(recorded.event, enc_hook=dict)
    return {key: value for key, value in fields.items() if value not in (None, "", 0, False, [], {})}


def _text_line(line: Line) -> str:
    who = line.name or say(f"who.{line.who.value}")
    if line.who is Who.NEWS:
        what = say(f"news.{line.news}", name=line.name)
        return f"[{moment(line.at)}] * {what}{f' ({line.text})' if line.text else ''}"
    return f"[{moment(line.at)}] {who}: {line.text}"


def _download(stored: StoredSession, suffix: str, kind: str, body: bytes) -> web.Response:
    name = f"conversation-{stored.session.id}.{suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
