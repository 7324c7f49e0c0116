"""Draws pages: the templates, what every template may use, and the frame around a page."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from warmline.ports import Clock, Role
from warmline.studio.access.sign_in import Visitor
from warmline.studio.views.marks import unknown_words
from warmline.studio.words import say

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
VISITOR = web.RequestKey("visitor", Visitor)
PROJECT = web.RequestKey("project", str)

_STATIC = files("warmline.studio") / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation. `path` is below `/studio/`; "" is the start page."""

    key: str
    path: str
    needs: Role = Role.VIEWER


SECTIONS = {
    "": (Section("home", ""),),
    "watch": (Section("conversations", "conversations"), Section("dashboard", "dashboard")),
    "build": (
        Section("knowledge", "knowledge"),
        Section("functions", "functions"),
        Section("flows", "flows"),
        Section("tables", "tables"),
        Section("test_chat", "test-chat", Role.EDITOR),
    ),
    "configure": (
        Section("channels", "channels"),
        Section("integrations", "integrations"),
        Section("settings", "settings"),
    ),
}
"""The navigation's entries under its headings, keys below `nav.` in the texts; "" stands for none."""


class Pages:
    """Makes responses from templates."""

    def __init__(self, clock: Clock, projects: Mapping[str, str]) -> None:
        """`projects` are the names of projects by id."""
        self._clock = clock
        self._projects = projects
        self._templates = Environment(
            loader=PackageLoader("warmline.studio"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(t=say, Role=Role)
        self._templates.filters.update(
            moment=moment,
            clock=clock_time,
            ago=self.ago,
            seconds=seconds,
            plain=plain,
            unknown_words=unknown_words,
        )

    def show(self, request: web.Request, template: str, *, status: int = 200, **values: object) -> web.Response:
        """Answer with a page. `section` in `values` marks the navigation's current entry."""
        visitor = request.get(VISITOR)
        frame: dict[str, object] = {
            "template": template.removesuffix(".html"),
            "visitor": visitor,
            "form_token": visitor.form_token if visitor else "",
            "sections": {
                heading: [s for s in group if visitor and visitor.user.role.covers(s.needs)]
                for heading, group in SECTIONS.items()
            },
            "section": "",
            "projects": {i: n for i, n in self._projects.items() if visitor and visitor.user.sees(i)},
            "project": request.get(PROJECT, ""),
            "partial": "HX-Request" in request.headers,
            "link": _Links(request.get(PROJECT, "") if len(self._projects) > 1 else ""),
        }
        text = self._templates.get_template(template).render(frame | values)
        return web.Response(
            text=text,
            status=status,
            content_type="text/html",
            headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "Vary": "HX-Request"},
        )

    def ago(self, at: int) -> str:
        """How long ago a time in epoch milliseconds is, in words; "" for 0."""
        return duration_words(max(0, self._clock.now() - at)) if at else ""


class _Links:
    """Makes addresses within the Studio that keep the chosen project."""

    def __init__(self, project: str) -> None:
        self._query = f"?project={project}" if project else ""

    def __call__(self, path: str = "") -> str:
        return f"/studio/{path}{self._query}"

    def live(self, about: str, session: str = "") -> str:
        """The stream that tells when a part of the page changed (`routes.live`)."""
        more = f"&session={session}" if session else ""
        return f"/studio/live{self._query}{'&' if self._query else '?'}about={about}{more}"


def keep_project(projects: Collection[str], request: web.Request, path: str, flag: str = "") -> str:
    """Give an address within the Studio that keeps the request's project where there are several."""
    project = f"project={request[PROJECT]}" if len(projects) > 1 else ""
    query = "&".join(part for part in (project, flag) if part)
    return f"/studio/{path}{'?' if query else ''}{query}"


def moment(at: int) -> str:
    """A time in epoch milliseconds, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def clock_time(at: int) -> str:
    """The time of day of a time in epoch milliseconds, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%S")


def hour(at: int) -> str:
    """The hour of a time in epoch milliseconds, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:00")


def day(at: int) -> str:
    """The day of a time in epoch milliseconds, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%d %b")


def seconds(milliseconds: int) -> str:
    """A short length of time: "16 ms", "0.4 s", "75 s", "12 min"."""
    if milliseconds < 100:
        return f"{milliseconds} ms"
    if milliseconds < 10_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds // 1000} s" if milliseconds < 600_000 else f"{milliseconds // 60_000} min"


def plain(value: object) -> str:
    """Plain data as JSON, readable in any script."""
    return json.dumps(value, ensure_ascii=False)


def duration_words(milliseconds: int) -> str:
    """A length of time in its two largest parts' larger one: "just now", "5 minutes ago", "3 days ago"."""
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if milliseconds >= size:
            count = milliseconds // size
            return say(f"time.{unit}" if count == 1 else f"time.{unit}s", count=count)
    return say("time.now")


async def static(request: web.Request) -> web.Response:
    """A style sheet, script or picture of the Studio; browsers that have it as it is keep theirs."""
    name = request.match_info["name"]
    file = _STATIC / name
    kind = _TYPES.get("." + name.rpartition(".")[2])
    if kind is None or not file.is_file():
        raise web.HTTPNotFound
    body = file.read_bytes()
    etag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "ETag": f'W/"{etag}"'}
    if any(known.value == etag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
    response.enable_compression()
    return response
