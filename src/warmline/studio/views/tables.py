"""The tables of a project as the Studio shows and changes them: which there are, their columns, their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from warmline.agent.project.draft_tables import ENTITIES, PHRASE_FILTERS, SMS_TEMPLATES, TRANSLATIONS, VARIANTS
from warmline.agent.project.loader_config import ENTITY_TYPES
from warmline.agent.project.model import Problem, Project
from warmline.agent.project.routes import DEFAULT
from warmline.agent.project.routes import FILE as ROUTES
from warmline.agent.turn.returns import INTEGRATIONS
from warmline.domain.errors import WarmlineError
from warmline.domain.turn import CLIENT
from warmline.studio.files.yaml_rows import Path, append, put, remove, yaml_of

_TRUE = ("true", "yes", "on")
_KINDS = ("string", "number", "boolean", "enum", "object")
_ENVIRONMENTS = ("sandbox", "pre_release", "live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: its rows are the list under `rows` in `file`; `name` is the key that tells rows apart.

    `referred` are the kinds of references that name its rows. One that is `optional` is shown where its file exists.
    """

    key: str
    file: str
    rows: str
    name: str = "name"
    referred: tuple[str, ...] = ()
    optional: bool = False


TABLES = (
    Table(key="variants", file=VARIANTS, rows="variants"),
    Table(key="attributes", file=VARIANTS, rows="attributes", referred=("attr",)),
    Table(key="sms_templates", file=SMS_TEMPLATES, rows="sms_templates", referred=("twilio_sms",)),
    Table(key="entities", file=ENTITIES, rows="entities", referred=("entity",)),
    Table(key="routes", file=ROUTES, rows="routes", name="destination", referred=("ho",)),
    Table(key="translations", file=TRANSLATIONS, rows="translations", referred=("tn",), optional=True),
    Table(key="phrases", file=PHRASE_FILTERS, rows="phrase_filtering", optional=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column. `label` is a name of the project's own; without one the texts have it, under the column's name.

    `suggested` are offered, `options` are all that can be chosen. One that is `kept` is written also when empty.
    """

    name: str
    path: Path
    kind: Literal["line", "long", "lines", "choice", "flag", "mapping"] = "line"
    label: str = ""
    options: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    required: bool = False
    kept: bool = False
    fixed: bool = False
    """Cannot be changed once the row is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row as a form holds it: lists have a line for each item, mappings are YAML, flags are "true" or ""."""

    name: str
    place: int
    cells: Mapping[str, str]
    problems: tuple[Problem, ...] = field(default=())


def columns(table: Table, project: Project, connections: Sequence[str]) -> tuple[Column, ...]:
    """Give a table's columns; `connections` are the names of the project's."""
    name = Column(name=table.name, path=(table.name,), required=True, fixed=table.key == "variants")
    about = Column(name="description", path=("description",))
    config = Column(name="config", path=("config",), kind="mapping")
    match table.key:
        case "variants":
            return (name, Column(name="is_default", path=("is_default",), kind="flag"))
        case "attributes":
            kind = Column(name="kind", path=("kind",), kind="choice", options=("", *_KINDS))
            values = [
                Column(name=f"values/{v}", path=("values", v), kind="long", label=v, kept=True)
                for v in project.variants
            ]
            return (name, *values, about, kind, config)
        case "sms_templates":
            text = Column(name="text", path=("text",), kind="long", required=True)
            numbers = [Column(name=f"number_{e}", path=("env_phone_numbers", e)) for e in _ENVIRONMENTS]
            return (name, text, *numbers)
        case "entities":
            kind = Column(name="entity_type", path=("entity_type",), kind="choice", options=ENTITY_TYPES, required=True)
            return (name, about, kind, config)
        case "routes":
            integrations = ("", *sorted(INTEGRATIONS))
            return (
                Column(
                    name=table.name,
                    path=(table.name,),
                    required=True,
                    suggested=(DEFAULT, *project.handoffs),
                ),
                Column(name="integration", path=("integration",), kind="choice", options=integrations),
                Column(name="connection", path=("connection",), kind="choice", options=("", *connections, CLIENT)),
                Column(name="options", path=("options",), kind="mapping"),
            )
        case "translations":
            spoken = {language for texts in project.translations.values() for language in texts}
            languages = dict.fromkeys((project.default_language, *project.languages, *sorted(spoken)))
            return (
                name,
                *(
                    Column(name=f"text/{tag}", path=("translations", tag), kind="long", label=tag)
                    for tag in languages
                    if tag
                ),
            )
        case _:
            return (
                name,
                about,
                Column(name="regular_expressions", path=("regular_expressions",), kind="lines", required=True),
                Column(name="say_phrase", path=("say_phrase",), kind="flag"),
                Column(name="language_code", path=("language_code",)),
                Column(name="function", path=("function",), kind="choice", options=("", *sorted(project.functions))),
            )


def rows(table: Table, shown: Sequence[Column], text: str, problems: Sequence[Problem]) -> list[Row]:
    """Give the rows of a file's text with what is wrong in their lines.

    Raises:
        WarmlineError: `yaml_form`, when it holds no such table.
    """
    try:
        root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        raise WarmlineError("yaml_form", f"{table.file} is no valid YAML. Use a text editor.") from None
    entries = _below(root, table.rows)
    if entries is None or (isinstance(entries, yaml.ScalarNode) and entries.value in ("", "~", "null")):
        return []
    if not isinstance(entries, yaml.SequenceNode):
        raise WarmlineError("yaml_form", f"`{table.rows}` in {table.file} is no list. Use a text editor.")
    found = []
    for place, entry in enumerate(entries.value):
        cells = {
            column.name: _cell(column, _down(entry, column.path), text, (table.rows, place, *column.path))
            for column in shown
        }
        first, following = entry.start_mark.line + 1, entry.end_mark.line + 1
        if place + 1 < len(entries.value):
            following = entries.value[place + 1].start_mark.line + 1
        own = tuple(problem for problem in problems if first <= problem.line < max(following, first + 1))
        found.append(Row(name=cells[table.name], place=place, cells=cells, problems=own))
    return found


def with_row(
    table: Table, shown: Sequence[Column], text: str, row: Row | None, cells: Mapping[str, str], count: int
) -> str:
    """Give the file's text with a row as a form holds it: changed, or new at the end when `row` is None.

    Args:
        table: which.
        shown: the columns in the form.
        text: the file as it is.
        row: as it is in the file.
        cells: as they shall be, by column.
        count: how many rows there are.

    Raises:
        WarmlineError: `yaml_form`, when the row cannot be changed by itself; `bad_mapping` names the column.
    """
    if row is None:
        first = {table.name: cells[table.name]}
        text, place, before = append(text, (table.rows,), first), count, {table.name: cells[table.name]}
    else:
        place, before = row.place, dict(row.cells)
    for column in shown:
        old, new = before.get(column.name, ""), cells.get(column.name, "")
        if new != old or (row is None and column.kept and not new):
            text = _with_cell(column, text, (table.rows, place, *column.path), new)
    return text


def _with_cell(column: Column, text: str, path: Path, value: str) -> str:
    if column.kind == "flag":
        return put(text, path, value == "true")
    if not value and not column.kept:
        return remove(text, path)
    if column.kind == "lines":
        return put(text, path, value.split("\n"))
    if column.kind == "mapping":
        return put(text, path, _mapping(column, value))
    return put(text, path, value)


def _mapping(column: Column, value: str) -> Any:
    try:
        aliased = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(value, Loader=yaml.SafeLoader))
        node = None if aliased else yaml.compose(value, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        node = None
    if not isinstance(node, yaml.MappingNode):
        raise WarmlineError("bad_mapping", column.name)
    return node


def _cell(column: Column, node: Any, text: str, path: Path) -> str:
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"):
        return ""
    if column.kind == "mapping" or isinstance(node, yaml.MappingNode):
        return yaml_of(text, path)
    if isinstance(node, yaml.SequenceNode):
        return "\n".join(str(item.value).strip() for item in node.value)
    value = str(node.value).strip()
    if column.kind == "flag":
        return "true" if value.lower() in _TRUE else ""
    return value


def _down(node: Any, path: Path) -> Any:
    for step in path:
        node = _below(node, step)
    return node


def _below(node: Any, step: object) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in reversed(node.value) if key.value == step), None)
