"""Channels > SMS: the connections over which customers text, and the rules of their numbers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from warmline.domain.errors import ConfigError
from warmline.handoff.verdicts import Verdict
from warmline.ports import Connection, Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.files import FileRefused, ProjectFiles
from warmline.studio.guard import Table
from warmline.studio.pages import PROJECT, VISITOR, Pages, keep_project
from warmline.studio.views.difference import difference
from warmline.studio.views.texting_rules import ALL, FILE, SILENT, Rule, entered, rules_of, with_rules, wrong_rules

_LOOK_S = 20.0
"""Seconds that asking the carrier may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFile:
    """The project's rules as they are now; `digest` is "" while there is no file."""

    number: str
    rules: list[Rule]
    text: str = ""
    digest: str = ""


class Texting:
    """The pages below /studio/channels/sms."""

    def __init__(self, deps: StudioDeps, pages: Pages, files: Mapping[str, ProjectFiles]) -> None:
        self._deps = deps
        self._pages = pages
        self._files = files
        self._numbers = deps.text_numbers

    def routes(self, table: Table) -> None:
        """Add the routes."""
        table.get("/channels/sms", self.overview)
        table.get("/channels/sms/new", self.dialog, Role.ADMIN)
        table.post("/channels/sms/new", self.add, Role.ADMIN)
        table.get("/channels/sms/rules/{number}", self.rules)
        table.post("/channels/sms/rules/{number}", self.save_rules, Role.EDITOR)
        table.get("/channels/sms/{connection}", self.show)
        table.get("/channels/sms/{connection}/findings", self.findings)
        table.get("/channels/sms/{connection}/change", self.change_dialog, Role.ADMIN)
        table.post("/channels/sms/{connection}/change", self.change, Role.ADMIN)
        table.get("/channels/sms/{connection}/remove", self.ask_to_remove, Role.ADMIN)
        table.post("/channels/sms/{connection}/remove", self.remove, Role.ADMIN)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The connections of the project with their numbers."""
        known = [(c, self._numbers.numbers(c)) for c in await self._known(request)]
        return self._show(request, "sms.html", connections=known, manifest=self._numbers.manifest)

    async def dialog(self, request: web.Request) -> web.StreamResponse:
        """The empty form of a connection."""
        if not request[PROJECT]:
            raise web.HTTPNotFound
        manifest = self._numbers.manifest
        return self._dialog(request, None, {item.key: item.default for item in manifest.fields}, "SMS")

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Test what was entered; save it when the carrier knows the account."""
        if not request[PROJECT]:
            raise web.HTTPNotFound
        return await self._save(request, None)

    async def change_dialog(self, request: web.Request) -> web.StreamResponse:
        """The form of a connection; its secrets stay where they are."""
        connection = await self._find(request)
        values = {item.key: item.default for item in self._numbers.manifest.fields} | dict(connection.values)
        return self._dialog(request, connection, values, connection.name)

    async def change(self, request: web.Request) -> web.StreamResponse:
        """Test and save changed fields."""
        return await self._save(request, await self._find(request))

    async def _save(self, request: web.Request, existing: Connection | None) -> web.StreamResponse:
        form = await request.post()
        given = {item.key: str(form.get(item.key, "")).strip() for item in self._numbers.manifest.fields}
        name = str(form.get("name", "")).replace("\0", "").strip()[:100] or "SMS"
        project_id = existing.project_id if existing else request[PROJECT]
        connection = None
        try:
            async with asyncio.timeout(_LOOK_S):
                connection, verdicts = await self._numbers.save(project_id, given, name, existing)
        except ConfigError as error:
            text = str(error).removeprefix(f"{error.key}: ")
            verdicts = (Verdict(step="fields", ok=False, text=text, field=error.key),)
        except TimeoutError:
            verdicts = (Verdict(step="account", ok=False, text="the carrier did not answer in time"),)
        if connection is None:
            return self._dialog(request, existing, given, name, verdicts)
        await record(self._deps, request, "sms_changed" if existing else "sms_added", f"{connection.id} {name}")
        raise web.HTTPSeeOther(self._at(request, f"channels/sms/{connection.id}"))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """State, numbers and webhook of a connection."""
        connection = await self._find(request)
        return self._show(
            request,
            "sms_connection.html",
            connection=connection,
            numbers=self._numbers.numbers(connection),
            webhook=self._numbers.webhook_url(connection.id),
            fields=[item for item in self._numbers.manifest.fields if not item.secret],
        )

    async def findings(self, request: web.Request) -> web.StreamResponse:
        """What asking the carrier finds, as a part of the page: it takes a moment."""
        connection = await self._find(request)
        verdicts: tuple[Verdict, ...] = ()
        late = False
        try:
            async with asyncio.timeout(_LOOK_S):
                verdicts = await self._numbers.test(connection)
        except TimeoutError:
            late = True
        return self._pages.show(request, "connection_findings.html", verdicts=verdicts, late=late)

    async def ask_to_remove(self, request: web.Request) -> web.StreamResponse:
        """Say what removing does."""
        connection = await self._find(request)
        return self._show(request, "sms_remove.html", connection=connection, numbers=self._numbers.numbers(connection))

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """Forget a connection and its secrets."""
        connection = await self._find(request)
        await self._deps.store.delete_connection(connection.id)
        await record(self._deps, request, "sms_removed", f"{connection.id} {connection.name}")
        raise web.HTTPSeeOther(self._at(request, "channels/sms"))

    async def rules(self, request: web.Request) -> web.StreamResponse:
        """What the agent says and waits for over a number."""
        there = await self._rules_file(request)
        return self._rules(request, there, _form_of(there.rules), saved="saved" in request.query)

    async def save_rules(self, request: web.Request) -> web.StreamResponse:
        """Write what was changed, unless the file has changed meanwhile."""
        there = await self._rules_file(request)
        form = {key: str(value) for key, value in (await request.post()).items()}
        wrong = wrong_rules(there.rules, form)
        if wrong:
            return self._rules(request, there, form, wrong=wrong)
        text = with_rules(there.text, there.rules, form)
        if form.get("digest", "") != there.digest:
            return self._conflict(request, there, form, text)
        files = self._files[request[PROJECT]]
        try:
            if text != there.text:
                await (files.write(FILE, text, there.digest) if there.digest else files.create(FILE, text))
        except FileRefused as refused:
            if refused.code not in ("changed", "exists"):
                raise
            now = await self._rules_file(request)
            return self._conflict(request, now, form, with_rules(now.text, now.rules, form))
        await record(self._deps, request, "sms_rules_changed", f"{FILE} {there.number}")
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"channels/sms/rules/{there.number}", "saved"))

    def _rules(
        self,
        request: web.Request,
        there: RulesFile,
        form: Mapping[str, str],
        *,
        wrong: Mapping[str, str] | None = None,
        saved: bool = False,
    ) -> web.StreamResponse:
        return self._show(
            request,
            "sms_rules.html",
            status=422 if wrong else 200,
            there=there,
            file=FILE,
            form=form,
            silent=SILENT,
            wrong=wrong or {},
            saved=saved,
            mistake=self._numbers.mistake(self._deps.folders[request[PROJECT]], there.number),
        )

    def _conflict(
        self, request: web.Request, there: RulesFile, form: Mapping[str, str], text: str
    ) -> web.StreamResponse:
        kept: dict[str, str] = {}
        for rule in there.rules:
            value, silent = entered(rule, form)
            kept |= {rule.name: value} | ({SILENT + rule.name: "true"} if silent else {})
        return self._show(
            request,
            "form_conflict.html",
            status=409,
            file=FILE,
            here=f"channels/sms/rules/{there.number}",
            digest=there.digest,
            kept=kept,
            difference=difference(there.text, text),
        )

    async def _rules_file(self, request: web.Request) -> RulesFile:
        """Read the rules for the number in the address: one of the project's, or all."""
        number = request.match_info["number"]
        ours = {n for c in await self._known(request) for n in self._numbers.numbers(c)}
        if request[PROJECT] not in self._files or number not in {ALL, *ours}:
            raise web.HTTPNotFound
        try:
            content = await self._files[request[PROJECT]].read(FILE)
        except FileRefused as refused:
            if refused.code != "gone":
                raise
            return RulesFile(number=number, rules=rules_of("", number))
        return RulesFile(number=number, rules=rules_of(content.text, number), text=content.text, digest=content.digest)

    def _dialog(
        self,
        request: web.Request,
        connection: Connection | None,
        values: Mapping[str, str],
        name: str,
        verdicts: Sequence[Verdict] = (),
    ) -> web.StreamResponse:
        return self._show(
            request,
            "sms_dialog.html",
            status=422 if verdicts else 200,
            manifest=self._numbers.manifest,
            connection=connection,
            values=values,
            name=name,
            verdicts=verdicts,
            wrong={verdict.field: verdict for verdict in verdicts if verdict.field},
        )

    def _show(self, request: web.Request, template: str, *, status: int = 200, **values: object) -> web.StreamResponse:
        return self._pages.show(request, template, status=status, section="channels", tab="sms", **values)

    async def _known(self, request: web.Request) -> list[Connection]:
        return [c for c in await self._deps.store.text_connections() if c.project_id == request[PROJECT]]

    async def _find(self, request: web.Request) -> Connection:
        wanted = request.match_info["connection"]
        found = next((c for c in await self._deps.store.text_connections() if c.id == wanted), None)
        if found is None or not request[VISITOR].user.sees(found.project_id):
            raise web.HTTPNotFound
        return found

    def _at(self, request: web.Request, path: str) -> str:
        return keep_project(self._deps.folders, request, path)


def _form_of(rules: list[Rule]) -> dict[str, str]:
    """Give the fields as a form holds them."""
    form = {rule.name: rule.value for rule in rules}
    return form | {SILENT + rule.name: "true" for rule in rules if rule.silent}
