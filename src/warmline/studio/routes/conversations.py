"""Conversations: the live list with search, and everything about one of them."""

import msgspec
from aiohttp import web

from warmline.conversation.acts import Hindrance, hindrance
from warmline.domain.catalog import Entry, Stage
from warmline.domain.effects import ForwardMessage
from warmline.domain.events import Recorded
from warmline.ports import Connection, Listing, StoredSession, Wanted
from warmline.studio.deps import StudioDeps
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, VISITOR, Pages, moment
from warmline.studio.views.deliveries import deliveries
from warmline.studio.views.letters import Letter, letter
from warmline.studio.views.line_text import plain_text, widget_text
from warmline.studio.views.traces import traces
from warmline.studio.views.transcript import Line, Who, lines, queued
from warmline.studio.views.trial import CHANNELS
from warmline.studio.words import say

_PAGE = 50
_PATIENCE_S = 0.1
"""A search that has found something stops after that time, and tells how far back it looked. The page is shown after
that time in any case, and then asks for what a longer search finds."""
_RUNNING = tuple(stage.value for stage in Stage if stage is not Stage.ENDED)
_FILTERS = {
    "all": (),
    "running": _RUNNING,
    "waiting": (Stage.REQUESTED.value, Stage.QUEUED.value, Stage.TRANSFERRING.value),
    "live": (Stage.LIVE.value,),
    "ended": (Stage.ENDED.value,),
}
_DONE = frozenset({"ended", "returned", "over", "retried", "discarded", *(h.value for h in Hindrance if h)})
"""What a page may be asked to say was done."""
_SMS = "sms.polyai"


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
        part = "HX-Request" in request.headers
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
            patience_s=_PATIENCE_S,
            hasty=not part,
        )
        listing = await self._deps.store.conversations(wanted) if request[PROJECT] else Listing()
        entries = listing.entries
        more = entries[_PAGE - 1] if len(entries) > _PAGE else None
        connections = [c for c in await self._deps.store.connections() if c.project_id == request[PROJECT]]
        return self._pages.show(
            request,
            "conversation_rows.html" if part else "conversations.html",
            section="conversations",
            entries=entries[:_PAGE],
            names={c.id: c.name for c in connections},
            dead=await self._deps.store.dead_count(project_id=request[PROJECT]) if request[PROJECT] else 0,
            filters=tuple(_FILTERS),
            channels=CHANNELS,
            chosen=show,
            wanted=wanted,
            older=f"{more.updated_at}:{more.session_id}" if more else "",
            back_to=listing.back_to,
            searching=bool(listing.back_to) and not part,
            before=query.get("before", ""),
            query={key: value for key, value in query.items() if key != "before"},
        )

    async def detail(self, request: web.Request) -> web.StreamResponse:
        """One conversation; the parts that change when the page asks for news."""
        stored = await find_conversation(self._deps, request)
        store, session_id = self._deps.store, stored.session.id
        log = await self._log(session_id)
        turns = [msgspec.json.decode(record) for _, record in await store.turn_records(session_id)]
        return self._pages.show(
            request,
            "conversation_news.html" if "HX-Request" in request.headers else "conversation.html",
            section="conversations",
            entry=await store.catalog_entry(session_id) or _entry(stored),
            channels=CHANNELS,
            stored=stored,
            lines=lines(log),
            log=[
                (r.sequence, r.at, type(r.event).__name__, _plain(r), trace)
                for r, trace in zip(log, traces(log), strict=True)
            ],
            turns=turns,
            handoffs=(handoffs := await store.handoffs_of(session_id)),
            queued=queued(handoffs, log),
            names={c.id: c.name for c in await self._connections()},
            deliveries=(unsettled := await self._deliveries(stored)),
            settled=deliveries(
                log,
                await store.late_deliveries(session_id),
                await store.sent_texts(session_id),
                {one.row.effect.message_id for one, _ in unsettled if isinstance(one.row.effect, ForwardMessage)},
            ),
            lost={m.message_id for m in handoff.failed} if (handoff := stored.session.active_handoff) else set(),
            done=given if (given := request.query.get("done", "")) in _DONE else "",
            Who=Who,
            text_of=plain_text if stored.session.channel == _SMS else widget_text,
        )

    async def export_text(self, request: web.Request) -> web.StreamResponse:
        """The transcript as text."""
        stored = await find_conversation(self._deps, request)
        text = "\n".join(_text_line(line) for line in lines(await self._log(stored.session.id)))
        return _download(stored, "txt", "text/plain", f"{text}\n".encode())

    async def export_json(self, request: web.Request) -> web.StreamResponse:
        """The transcript, the handoffs and the log as JSON; files by name only, their addresses are keys to them."""
        stored = await find_conversation(self._deps, request)
        log = await self._log(stored.session.id)
        data = {
            "session_id": stored.session.id,
            "project_id": stored.info.project_id,
            "channel": stored.session.channel,
            "lines": [_json_line(line) for line in lines(log)],
            "handoffs": await self._deps.store.handoffs_of(stored.session.id),
            "events": [
                {"sequence": r.sequence, "at": r.at, "type": type(r.event).__name__, "event": _without_urls(_plain(r))}
                for r in log
            ],
        }
        return _download(stored, "json", "application/json", msgspec.json.format(msgspec.json.encode(data)))

    async def _log(self, session_id: str) -> list[Recorded]:
        log: list[Recorded] = []
        while page := await self._deps.store.events(session_id, log[-1].sequence if log else 0):
            log += page
        return log

    async def _connections(self) -> list[Connection]:
        return await self._deps.store.connections()

    async def _deliveries(self, stored: StoredSession) -> list[tuple[Letter, bool]]:
        """What waits (False) and what was given up (True) of this conversation, oldest first."""
        now = self._deps.clock.now()
        found = await self._deps.store.deliveries(stored.session.id)
        return [(letter(row, hindrance(row, stored, now)), dead) for row, dead in found]


async def find_conversation(deps: StudioDeps, request: web.Request) -> StoredSession:
    """The conversation that an address names. Raises HTTPNotFound when the visitor may not see it."""
    stored = await deps.store.session(request.match_info["session"])
    if stored is None or not request[VISITOR].user.sees(stored.info.project_id):
        raise web.HTTPNotFound
    return stored


def _place(given: str) -> tuple[int, str] | None:
    at, _, session_id = given.partition(":")
    return (int(at), session_id) if at.isdigit() and len(at) < 16 else None


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
    files = "".join(f" [{say('conversation.file')}: {name}]" for name in _files(line))
    tick = f" ({say(f'tick.{line.tick.value}')})" if line.tick else ""
    return f"[{moment(line.at)}] {who}: {plain_text(line)}{files}{tick}"


def _json_line(line: Line) -> dict[str, object]:
    known: dict[str, object] = {
        "at": line.at,
        "who": line.who.value,
        "name": line.name,
        "news": line.news,
        "text": plain_text(line),
        "tick": line.tick.value,
        "masked": line.masked,
        "files": _files(line),
    }
    return {key: value for key, value in known.items() if value or key == "at"}


def _files(line: Line) -> list[str]:
    return [file.title or file.kind.value for file in line.attachments]


def _without_urls(data: dict[str, object]) -> dict[str, object]:
    """The event's fields, its files without their addresses."""
    files = data.get("attachments")
    if not isinstance(files, list | tuple):
        return data
    return data | {"attachments": [{k: v for k, v in file.items() if not k.endswith("url")} for file in files]}


def _download(stored: StoredSession, suffix: str, kind: str, body: bytes) -> web.Response:
    name = f"conversation-{stored.session.id}.{suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
