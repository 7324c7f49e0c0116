"""Tables: variants, attributes, text templates, entities, handoff routes; row by row, in the project's files."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from warmline.agent.project.draft_tables import check_table
from warmline.agent.project.model import Problem, Project
from warmline.domain.errors import WarmlineError
from warmline.ports import Role
from warmline.studio.audit import record
from warmline.studio.deps import StudioDeps
from warmline.studio.files import FileRefused, ProjectFiles
from warmline.studio.files.yaml_rows import remove
from warmline.studio.finding import engine_of, first
from warmline.studio.guard import Table as Routes
from warmline.studio.pages import PROJECT, Pages, keep_project
from warmline.studio.views import variants
from warmline.studio.views.difference import difference
from warmline.studio.views.tables import TABLES, Column, Row, Table, columns, rows, with_row
from warmline.studio.views.uses import files_naming, files_of_variant

_LONGEST_NAME, _LONGEST = 200, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table as its file holds it now. `digest` and `text` are "" while there is no file.

    `unreadable` tells why no rows can be shown, `loose` are the findings that belong to no row.
    """

    table: Table
    file: str
    columns: tuple[Column, ...]
    rows: Sequence[Row] = ()
    text: str = ""
    digest: str = ""
    unreadable: str = ""
    loose: tuple[Problem, ...] = ()

    @property
    def listed(self) -> list[Column]:
        """The columns that some row has something in."""
        return [column for column in self.columns if column.required or any(r.cells[column.name] for r in self.rows)]


class Tables:
    """The pages below /studio/tables."""

    def __init__(self, deps: StudioDeps, pages: Pages, files: Mapping[str, ProjectFiles]) -> None:
        self._deps = deps
        self._pages = pages
        self._files = files

    def routes(self, table: Routes) -> None:
        """Add the routes."""
        table.get("/tables", self.first)
        table.get("/tables/{table}", self.overview)
        table.get("/tables/{table}/new", self.blank, Role.EDITOR)
        table.post("/tables/{table}/new", self.create, Role.EDITOR)
        table.post("/tables/{table}/check", self.check, Role.EDITOR)
        table.get("/tables/{table}/row/{name:.+}", self.show)
        table.post("/tables/{table}/row/{name:.+}", self.save, Role.EDITOR)
        table.get("/tables/{table}/delete/{name:.+}", self.ask_to_delete, Role.EDITOR)
        table.post("/tables/{table}/delete/{name:.+}", self.delete, Role.EDITOR)

    async def first(self, request: web.Request) -> web.StreamResponse:
        """Go to the first table."""
        self._project(request)
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"tables/{TABLES[0].key}"))

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """The rows of a table."""
        sheet = await self._sheet(request)
        return self._show(request, "table.html", sheet, saved="saved" in request.query)

    async def blank(self, request: web.Request) -> web.StreamResponse:
        """The form of a new row."""
        return self._form(request, await self._sheet(request), None, {})

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Add a row."""
        return await self._write(request, await self._sheet(request), None)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The form of a row."""
        sheet = await self._sheet(request)
        row = _find(request, sheet)
        return self._form(request, sheet, row, row.cells)

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Write what was changed in a row. One that went away meanwhile can be added again."""
        sheet = await self._sheet(request)
        opened = (await request.post()).get("digest", "")
        row = next((row for row in sheet.rows if row.name == request.match_info["name"]), None)
        if row is None and opened in ("", sheet.digest):
            raise web.HTTPNotFound
        return await self._write(request, sheet, row)

    async def check(self, request: web.Request) -> web.StreamResponse:
        """What the checker says of the form as it is."""
        sheet = await self._sheet(request)
        form = await request.post()
        row = next((r for r in sheet.rows if r.name and r.name == form.get("row")), None)
        cells = _cells(sheet, {key: str(value) for key, value in form.items()}, row)
        problems = await asyncio.to_thread(self._problems_of, request, sheet, row, cells)
        return self._pages.show(request, "table_problems.html", problems=problems)

    async def ask_to_delete(self, request: web.Request) -> web.StreamResponse:
        """Say what deleting does and what refers to the row."""
        sheet = await self._sheet(request)
        row = _find(request, sheet)
        named = await self._named_in(request, sheet, row.name)
        return self._show(
            request, "table_delete.html", sheet, row=row, named=named, last_default=_is_needed_default(sheet, row)
        )

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Take a row out."""
        sheet = await self._sheet(request)
        row = _find(request, sheet)
        if _is_needed_default(sheet, row):
            raise FileRefused("default_variant", "Make another variant the default first.")
        if (await request.post()).get("digest") != sheet.digest:
            # What was asked is not what would be done: ask again.
            raise web.HTTPSeeOther(self._at(request, f"tables/{sheet.table.key}/delete/{quote(row.name)}"))
        text = remove(sheet.text, (sheet.table.rows, row.place))
        if sheet.table.key == "variants":
            text = variants.without_values(text, row.name)
        await self._files[request[PROJECT]].write(sheet.file, text, sheet.digest)
        await record(self._deps, request, "row_deleted", f"{sheet.file} {row.name}")
        raise web.HTTPSeeOther(self._at(request, f"tables/{sheet.table.key}"))

    async def _write(self, request: web.Request, sheet: Sheet, row: Row | None) -> web.StreamResponse:
        if sheet.unreadable:
            raise FileRefused("yaml_form", sheet.unreadable)
        form = {key: str(value) for key, value in (await request.post()).items()}
        cells = _cells(sheet, form, row)
        wrong = _wrong(sheet, row, cells)
        if wrong:
            return self._form(request, sheet, row, cells, wrong=wrong)
        try:
            text = _changed(sheet, row, cells)
        except WarmlineError as error:
            if error.code != "bad_mapping":
                raise
            return self._form(request, sheet, row, cells, wrong={str(error): "tables.bad_mapping"})
        if sheet.digest != form.get("digest", ""):
            return self._conflict(request, sheet, row, cells, text)
        files = self._files[request[PROJECT]]
        try:
            if not sheet.digest:
                await files.create(sheet.file, text)
            elif text != sheet.text:
                await files.write(sheet.file, text, sheet.digest)
        except FileRefused as refused:
            if refused.code not in ("changed", "exists"):
                raise
            now = await self._sheet(request)
            return self._conflict(request, now, row, cells, _changed(now, row, cells))
        await record(
            self._deps, request, "row_changed" if row else "row_added", f"{sheet.file} {cells[sheet.table.name]}"
        )
        raise web.HTTPSeeOther(keep_project(self._deps.folders, request, f"tables/{sheet.table.key}", "saved"))

    def _form(
        self,
        request: web.Request,
        sheet: Sheet,
        row: Row | None,
        cells: Mapping[str, str],
        *,
        wrong: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        if sheet.unreadable:
            raise FileRefused("yaml_form", sheet.unreadable)
        problems = row.problems if row else ()
        status = 422 if wrong else 200
        return self._show(
            request, "table_row.html", sheet, status=status, row=row, cells=cells, wrong=wrong or {}, problems=problems
        )

    def _conflict(
        self, request: web.Request, sheet: Sheet, row: Row | None, cells: Mapping[str, str], text: str
    ) -> web.StreamResponse:
        lines = difference(sheet.text, text)
        here = f"tables/{sheet.table.key}/{f'row/{row.name}' if row else 'new'}"
        kept = {f"cell:{column.name}": cells.get(column.name, "") for column in sheet.columns}
        theirs = here if row else f"tables/{sheet.table.key}"
        more = {"file": sheet.file, "here": here, "theirs": theirs, "digest": sheet.digest}
        return self._show(request, "form_conflict.html", sheet, status=409, kept=kept, difference=lines, **more)

    def _show(
        self, request: web.Request, template: str, sheet: Sheet, *, status: int = 200, **values: object
    ) -> web.StreamResponse:
        tables = [t for t in TABLES if not t.optional or (self._project(request).root / t.file).is_file()]
        return self._pages.show(
            request,
            template,
            status=status,
            section="tables",
            sheet=sheet,
            tables=tables,
            tab=sheet.table.key,
            **values,
        )

    async def _sheet(self, request: web.Request) -> Sheet:
        """Read the table that the address names."""
        project = self._project(request)
        table = first(t for t in TABLES if t.key == request.match_info["table"])
        connections = [c.name for c in await self._deps.store.connections() if c.project_id == request[PROJECT]]
        shown = columns(table, project, connections)
        file = table.file
        if not (project.root / file).is_file() and (project.root / file).with_suffix(".yml").is_file():
            file = file.removesuffix(".yaml") + ".yml"
        try:
            content = await self._files[request[PROJECT]].read(file)
        except FileRefused as refused:
            if refused.code != "gone":
                raise
            if table.optional:
                raise web.HTTPNotFound from None
            return Sheet(table=table, file=file, columns=shown)
        problems = await asyncio.to_thread(check_table, project, file, content.text)
        try:
            found = rows(table, shown, content.text, problems)
        except WarmlineError as error:
            return Sheet(table=table, file=file, columns=shown, unreadable=str(error), loose=problems)
        in_rows = {problem for row in found for problem in row.problems}
        return Sheet(
            table=table,
            file=file,
            columns=shown,
            rows=found,
            text=content.text,
            digest=content.digest,
            loose=tuple(problem for problem in problems if problem not in in_rows),
        )

    def _problems_of(
        self, request: web.Request, sheet: Sheet, row: Row | None, cells: Mapping[str, str]
    ) -> Sequence[Problem]:
        """Give what the checker would say of the row with these cells."""
        wrong = _wrong(sheet, row, cells)
        try:
            text = sheet.text if wrong else _changed(sheet, row, cells)
        except WarmlineError:
            return ()
        problems = check_table(self._project(request), sheet.file, text)
        found = rows(sheet.table, sheet.columns, text, problems)
        place = row.place if row else len(found) - 1
        return found[place].problems if found and not wrong else ()

    async def _named_in(self, request: web.Request, sheet: Sheet, name: str) -> tuple[str, ...]:
        project = self._project(request)
        if sheet.table.key != "variants":
            return await asyncio.to_thread(files_naming, project, name, sheet.table.referred, sheet.file)
        store = self._deps.store
        places = [c.host for c in await store.connectors() if (c.project_id, c.variant) == (request[PROJECT], name)]
        for connection in await store.text_connections():
            if (connection.project_id, connection.values.get("variant")) == (request[PROJECT], name):
                places.append(connection.name)
        return (*files_of_variant(project, name), *places)

    def _project(self, request: web.Request) -> Project:
        return engine_of(self._deps, request).project

    def _at(self, request: web.Request, path: str) -> str:
        return keep_project(self._deps.folders, request, path)


def _find(request: web.Request, sheet: Sheet) -> Row:
    wanted = request.match_info["name"]
    return first(row for row in sheet.rows if row.name == wanted)


def _cells(sheet: Sheet, form: Mapping[str, str], row: Row | None) -> dict[str, str]:
    """Give the cells of a form; what it does not send stays as it is."""
    found: dict[str, str] = dict(row.cells) if row else {}
    for column in sheet.columns:
        key = f"cell:{column.name}"
        if column.kind == "flag":
            found[column.name] = "true" if form.get(key) == "true" else ""
        elif key in form and not (row and column.fixed):
            lines = [line.rstrip() for line in form[key].replace("\0", "").replace("\r\n", "\n").split("\n")]
            if column.kind == "lines":
                lines = [line.strip() for line in lines if line.strip()]
            found[column.name] = "\n".join(lines).strip()
    return found


def _wrong(sheet: Sheet, row: Row | None, cells: Mapping[str, str]) -> dict[str, str]:
    """Give what cannot be saved, by column."""
    wrong: dict[str, str] = {}
    for column in sheet.columns:
        value = cells.get(column.name, "")
        if column.required and not value:
            wrong[column.name] = "tables.missing"
        elif len(value) > (_LONGEST_NAME if column.name == sheet.table.name else _LONGEST):
            wrong[column.name] = "tables.too_long"
        elif column.kind == "choice" and value not in column.options and not (row and row.cells[column.name] == value):
            wrong[column.name] = "tables.not_offered"
    name = cells.get(sheet.table.name, "")
    if any(other.name == name for other in sheet.rows if row is None or other.place != row.place):
        wrong[sheet.table.name] = "tables.taken"
    if sheet.table.key == "variants" and row and row.cells.get("is_default") and not cells.get("is_default"):
        wrong["is_default"] = "tables.one_default"
    return wrong


def _changed(sheet: Sheet, row: Row | None, cells: Mapping[str, str]) -> str:
    """Give the file's text with the row."""
    if sheet.table.key != "variants":
        return with_row(sheet.table, sheet.columns, sheet.text, row, cells, len(sheet.rows))
    name = cells["name"]
    shown = [column for column in sheet.columns if column.name != "is_default"]
    text = variants.with_values(with_row(sheet.table, shown, sheet.text, row, cells, len(sheet.rows)), name)
    return variants.only_default(text, name) if cells.get("is_default") or not sheet.rows else text


def _is_needed_default(sheet: Sheet, row: Row) -> bool:
    return sheet.table.key == "variants" and bool(row.cells.get("is_default")) and len(sheet.rows) > 1
