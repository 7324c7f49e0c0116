"""Knowledge: the topics of a project, their editor, and which topic a sentence reaches."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from warmline.agent.project.checker import check_project
from warmline.agent.project.model import Problem, Project, Text, Topic
from warmline.agent.project.names import clean_name
from warmline.agent.project.yaml_files import Problems, read_yaml
from warmline.ports import Role, TopicUses
from warmline.ports.uses import counted_name
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.files import Content, FileRefused, ProjectFiles, edit_yaml
from warmline.studio.files.yaml_edit import Value
from warmline.studio.finding import engine_of, first
from warmline.studio.gone import again, is_gone, show_gone
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, Pages, keep_project
from warmline.studio.views.difference import difference
from warmline.studio.views.marks import Marked, marked
from warmline.studio.views.picker import choices
from warmline.studio.words import say

_UNUSED = TopicUses(week=0, month=0, last_at=0)
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_SENTENCE = 200, 100_000, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A topic as the editor's form holds it."""

    name: str = ""
    enabled: bool = True
    content: str = ""
    actions: str = ""
    example_queries: tuple[str, ...] = ()

    def values(self) -> dict[str, Value]:
        """The same as the keys of the topic's file."""
        return {
            "name": self.name,
            "enabled": self.enabled,
            "actions": self.actions,
            "content": self.content,
            "example_queries": list(self.example_queries),
        }

    def fields(self) -> dict[str, str]:
        """The same as the fields of the form."""
        return {
            "name": self.name,
            "enabled": "true" if self.enabled else "",
            "actions": self.actions,
            "content": self.content,
            "example_queries": "\n".join(self.example_queries),
        }


class Knowledge:
    """The pages below /studio/knowledge."""

    def __init__(self, deps: StudioDeps, pages: Pages, files: Mapping[str, ProjectFiles]) -> None:
        self._deps = deps
        self._pages = pages
        self._files = files

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/knowledge", self.overview)
        table.get("/knowledge/try", self.attempt)
        table.get("/knowledge/new", self.blank)
        table.post("/knowledge/new", self.create, Role.EDITOR)
        table.post("/knowledge/check", self.check, Role.EDITOR)
        table.get("/knowledge/topic/{file:.+}", self.show)
        table.post("/knowledge/topic/{file:.+}", self.save, Role.EDITOR)
        table.post("/knowledge/switch/{file:.+}", self.switch, Role.EDITOR)
        table.get("/knowledge/delete/{file:.+}", self.ask_to_delete, Role.EDITOR)
        table.post("/knowledge/delete/{file:.+}", self.delete, Role.EDITOR)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The topics, those with `words` in them when some are given."""
        project = self._project(request)
        words = request.query.get("words", "").strip()
        topics = sorted(project.topics, key=lambda topic: (topic.variant, topic.name.casefold()))
        problems = await asyncio.to_thread(check_project, project)
        counted = await self._deps.store.topic_uses(request[PROJECT], self._deps.clock.now())
        uses = {topic.file: counted.get(counted_name(topic.name), _UNUSED) for topic in topics}
        unused = "unused" in request.query
        if unused:
            topics = [topic for topic in topics if not uses[topic.file].month]
        return self._pages.show(
            request,
            "knowledge.html",
            section="knowledge",
            topics=[topic for topic in topics if _holds(topic, words)],
            total=len(project.topics),
            words=words,
            uses=uses,
            unused=unused,
            problems={topic.file: [p for p in problems if p.file == topic.file] for topic in topics},
            broken=[p for p in project.problems if _unread_topic(project, p)],
        )

    async def attempt(self, request: web.Request) -> web.StreamResponse:
        """The topics that a sentence reaches, with their distances."""
        self._project(request)
        text = request.query.get("text", "").strip()[:_LONGEST_SENTENCE]
        retriever = self._deps.engines[request[PROJECT]].retriever
        found = await asyncio.to_thread(retriever.find, [text]) if retriever is not None and text else ()
        return self._pages.show(
            request,
            "knowledge_found.html" if "HX-Request" in request.headers else "knowledge_try.html",
            section="knowledge",
            text=text,
            found=found,
            threshold=retriever.settings.threshold if retriever is not None else None,
        )

    async def blank(self, request: web.Request) -> web.StreamResponse:
        """The editor without a topic."""
        return self._editor(request, None, Draft(), "")

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Make a topic and its file."""
        self._project(request)
        draft = await _draft(request)
        wrong = _wrong(draft) or self._taken(request, draft, None)
        if wrong:
            return self._editor(request, None, draft, "", problem=wrong)
        file = f"topics/{clean_name(draft.name)}.yaml"
        try:
            await self._files[request[PROJECT]].create(file, edit_yaml("", draft.values()))
        except FileRefused as refused:
            if refused.code != "exists":
                raise
            return self._editor(request, None, draft, "", problem="knowledge.file_taken")
        await record(self._deps, request, "topic_made", file)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"knowledge/topic/{file}", "saved"))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The editor of a topic."""
        topic = self._find(request)
        content = await self._files[request[PROJECT]].read(topic.file)
        draft = _as_draft(content, topic)
        return self._editor(request, topic, draft, content.digest, saved="saved" in request.query)

    async def check(self, request: web.Request) -> web.StreamResponse:
        """What the checker says of the form as it is."""
        project = self._project(request)
        draft = await _draft(request)
        file = str((await request.post()).get("file", ""))
        topic = next((t for t in project.topics if t.file == file), None)
        problems = await asyncio.to_thread(_problems, project, topic, draft)
        return self._pages.show(request, "knowledge_problems.html", problems=_marked(problems, draft))

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Write what was changed into the topic's file, unless the file has changed meanwhile."""
        draft = await _draft(request)
        digest = str((await request.post()).get("digest", ""))
        if await self._is_gone(request):
            return await self._save_gone(request, draft, digest)
        topic = self._find(request)
        wrong = _wrong(draft) or self._taken(request, draft, topic)
        if wrong:
            return self._editor(request, topic, draft, digest, problem=wrong)
        files = self._files[request[PROJECT]]
        there = await files.read(topic.file)
        if there.digest != digest:
            return self._conflict(request, topic, draft, there)
        text, to = _changed(there, topic, draft), _new_place(topic, draft)
        try:
            if to != topic.file:
                await files.move(topic.file, to, text, digest)
            elif text != there.text:
                await files.write(to, text, digest)
        except FileRefused as refused:
            if refused.code == "changed":
                return self._conflict(request, topic, draft, await files.read(topic.file))
            if refused.code != "exists":
                raise
            return self._editor(request, topic, draft, digest, problem="knowledge.file_taken")
        await record(self._deps, request, "topic_changed", to)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"knowledge/topic/{to}", "saved"))

    async def _is_gone(self, request: web.Request) -> bool:
        file = request.match_info["file"]
        return file.startswith(("topics/", "child_topics/")) and await is_gone(request, self._files)

    async def _save_gone(self, request: web.Request, draft: Draft, digest: str) -> web.StreamResponse:
        """Create a file again that went away while it was edited, if that is asked for; else ask."""
        file, files = request.match_info["file"], self._files[request[PROJECT]]
        text = edit_yaml("", draft.values())
        known = next((topic for topic in self._project(request).topics if topic.file == file), None)
        wrong = _wrong(draft) or self._taken(request, draft, known)
        if wrong or not await again(request):
            return await show_gone(
                self._pages,
                request,
                files,
                section="knowledge",
                pages_of="knowledge/topic",
                file=file,
                kept=draft.fields(),
                digest=digest,
                text=text,
                wrong=say(wrong) if wrong else "",
            )
        await files.create(file, text)
        await record(self._deps, request, "topic_made", file)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"knowledge/topic/{file}", "saved"))

    async def switch(self, request: web.Request) -> web.StreamResponse:
        """Let the agent use a topic, or not."""
        topic = self._find(request)
        enabled = (await request.post()).get("enabled") == "true"
        files = self._files[request[PROJECT]]
        there = await files.read(topic.file)
        text = edit_yaml(there.text, {"enabled": enabled})
        if text != there.text and enabled != topic.enabled:
            await files.write(topic.file, text, there.digest)
            await record(self._deps, request, "topic_on" if enabled else "topic_off", topic.file)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, "knowledge"))

    async def ask_to_delete(self, request: web.Request) -> web.StreamResponse:
        """Say what deleting does."""
        return self._pages.show(request, "knowledge_delete.html", section="knowledge", topic=self._find(request))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Remove a topic's file."""
        topic = self._find(request)
        await self._files[request[PROJECT]].delete(topic.file)
        await record(self._deps, request, "topic_deleted", topic.file)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, "knowledge"))

    def _project(self, request: web.Request) -> Project:
        return engine_of(self._deps, request).project

    def _find(self, request: web.Request) -> Topic:
        wanted = request.match_info["file"]
        return first(topic for topic in self._project(request).topics if topic.file == wanted)

    def _taken(self, request: web.Request, draft: Draft, topic: Topic | None) -> str:
        variant = topic.variant if topic else ""
        others = [t for t in self._project(request).topics if t.variant == variant and t != topic]
        return "knowledge.name_taken" if draft.name in [other.name for other in others] else ""

    def _editor(
        self,
        request: web.Request,
        topic: Topic | None,
        draft: Draft,
        digest: str,
        *,
        problem: str = "",
        saved: bool = False,
    ) -> web.StreamResponse:
        project = self._project(request)
        return self._pages.show(
            request,
            "knowledge_topic.html",
            status=422 if problem else 200,
            section="knowledge",
            topic=topic,
            draft=draft,
            digest=digest,
            problem=problem,
            saved=saved,
            problems=_marked(_problems(project, topic, draft), draft) if topic or problem else (),
            choices=choices(project),
        )

    def _conflict(self, request: web.Request, topic: Topic, draft: Draft, there: Content) -> web.StreamResponse:
        return self._pages.show(
            request,
            "knowledge_conflict.html",
            status=409,
            section="knowledge",
            topic=topic,
            draft=draft,
            digest=there.digest,
            difference=difference(there.text, _changed(there, topic, draft)),
        )


def _marked(problems: Sequence[Problem], draft: Draft) -> list[Marked]:
    return marked(problems, {"actions": draft.actions, "content": draft.content})


def _holds(topic: Topic, words: str) -> bool:
    texts = (topic.name, topic.content.value, topic.actions.value, *topic.example_queries)
    return all(any(word in text.casefold() for text in texts) for word in words.casefold().split())


def _unread_topic(project: Project, problem: Problem) -> bool:
    """Tell whether a problem kept a topic's file from being read."""
    known = {topic.file for topic in project.topics}
    return problem.file.startswith(("topics/", "child_topics/")) and problem.file not in known


async def _draft(request: web.Request) -> Draft:
    form = {key: str(value).replace("\r\n", "\n") for key, value in (await request.post()).items()}
    examples = [line.strip() for line in form.get("example_queries", "").split("\n")]
    return Draft(
        name=" ".join(form.get("name", "").split()),
        enabled=form.get("enabled") == "true",
        content=_tidy(form.get("content", "")),
        actions=_tidy(form.get("actions", "")),
        example_queries=tuple(example for example in examples if example),
    )


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip()


def _as_draft(there: Content, topic: Topic) -> Draft:
    """Give what the topic's file holds now, which may be newer than what the engine has read.

    Raises:
        FileRefused: `unreadable`, when it cannot be read any more.
    """
    problems = Problems()
    fields = read_yaml(there.path, topic.file, problems)
    if fields is None:
        raise FileRefused("unreadable", str(problems.found[0]))
    return Draft(
        name=fields.text("name").value or topic.name,
        enabled=fields.flag("enabled", True),
        content=_tidy(fields.text("content").value),
        actions=_tidy(fields.text("actions").value),
        example_queries=tuple(query for query in fields.texts("example_queries") if query),
    )


def _wrong(draft: Draft) -> str:
    if not clean_name(draft.name):
        return "knowledge.no_name"
    if len(draft.name) > _LONGEST_NAME:
        return "knowledge.long_name"
    long = max(len(draft.content), len(draft.actions), sum(map(len, draft.example_queries))) > _LONGEST_TEXT
    return "knowledge.long_text" if long else ""


def _changed(there: Content, topic: Topic, draft: Draft) -> str:
    """Give the file with what the draft changes."""
    before = _as_draft(there, topic).values()
    return edit_yaml(there.text, {key: value for key, value in draft.values().items() if value != before[key]})


def _new_place(topic: Topic, draft: Draft) -> str:
    """Give the file that the topic belongs into: another one when its name changes and the file is named by it."""
    folder, _, name = topic.file.rpartition("/")
    stem, _, suffix = name.rpartition(".")
    if stem != clean_name(topic.name):
        return topic.file
    return f"{folder}/{clean_name(draft.name)}.{suffix}"


def _problems(project: Project, topic: Topic | None, draft: Draft) -> tuple[Problem, ...]:
    """Give what the checker would say of a project with this draft as the topic."""
    file = topic.file if topic else f"topics/{clean_name(draft.name) or 'new'}.yaml"
    edited = Topic(
        name=draft.name,
        file=file,
        enabled=draft.enabled,
        content=Text(draft.content, file, 1),
        actions=Text(draft.actions, file, 1),
        example_queries=draft.example_queries,
        variant=topic.variant if topic else "",
    )
    moved = topic is not None and _new_place(topic, draft) != file
    others = tuple(t for t in project.topics if t != topic)
    found = check_project(replace(project, topics=(*others, edited)))
    return tuple(p for p in found if p.file == file and not (p.rule == "file-name" and (moved or topic is None)))
