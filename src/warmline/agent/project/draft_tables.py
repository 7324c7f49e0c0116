"""A project as it would be with another text in one of its tables, so that the text can be checked unsaved."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from warmline.agent.project.checker import check_project
from warmline.agent.project.known_keys import FILES, check_keys
from warmline.agent.project.loader_config import entities, sms_templates, translations
from warmline.agent.project.model import Problem, Project
from warmline.agent.project.protection import phrase_filters
from warmline.agent.project.routes import FILE as ROUTES
from warmline.agent.project.routes import handoff_routes
from warmline.agent.project.variants import read_variants
from warmline.agent.project.yaml_files import Fields, Problems, parse_yaml

ENTITIES = "config/entities.yaml"
PHRASE_FILTERS = "voice/response_control/phrase_filtering.yaml"
SMS_TEMPLATES = "config/sms_templates.yaml"
TRANSLATIONS = "config/translations.yaml"
VARIANTS = "config/variant_attributes.yaml"


def check_table(project: Project, file: str, text: str) -> tuple[Problem, ...]:
    """Give what the checker says of a table's file with this text.

    Nothing is written and nothing of the project is executed.
    """
    problems = Problems()
    fields = parse_yaml(text.removeprefix("\ufeff"), file, problems)
    changed: Mapping[str, Any] = {}
    usual = f"{file.rpartition('.')[0]}.yaml"
    if fields is not None:
        check_keys(fields, FILES[usual], problems)
        changed = _READERS[usual](fields, problems)
    others = tuple(problem for problem in project.problems if problem.file != file)
    edited = replace(project, **changed, problems=(*others, *problems.found))
    return tuple(problem for problem in check_project(edited) if problem.file == file)


def _variants(fields: Fields, problems: Problems) -> Mapping[str, object]:
    read = read_variants(fields, problems)
    return {"variants": read.attributes, "default_variant": read.default, "attribute_kinds": read.kinds}


_READERS: Mapping[str, Callable[[Fields, Problems], Mapping[str, Any]]] = {
    ENTITIES: lambda fields, problems: {"entities": entities(fields, problems)},
    PHRASE_FILTERS: lambda fields, problems: {"phrase_filters": phrase_filters(fields, problems)},
    ROUTES: lambda fields, problems: {"handoff_routes": handoff_routes(fields, problems)},
    SMS_TEMPLATES: lambda fields, problems: {"sms_templates": sms_templates(fields, problems)},
    TRANSLATIONS: lambda fields, problems: {"translations": translations(fields, problems)},
    VARIANTS: _variants,
}
