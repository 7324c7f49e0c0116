"""The parts of the loader that read the files of `config/` (agent-project.md §2.10 to §2.16)."""

from collections.abc import Iterator

from warmline.agent.project.model import Entity, Handoff, SmsTemplate, Text
from warmline.agent.project.yaml_files import Fields, Problems

PHRASES = (
    *("dont_know", "which_topic", "ask_for", "declined", "done", "hello", "thanks", "goodbye"),
    *("not_right", "which_of", "offer_person"),
    *("refused", "refused_answer", "in_need"),
)
"""The sentences that `chat/phrases.yaml`, a Warmline extension, may replace: of `topics` and of safety filters."""

ENTITY_TYPES = (
    *("numeric", "alphanumeric", "enum", "date", "phone_number", "time"),
    *("address", "free_text", "name_config"),
)


def named(fields: Fields, key: str, problems: Problems) -> Iterator[tuple[str, Fields]]:
    """Give the entries of the list under `key` with their names; of two with one name the last one counts."""
    seen: set[str] = set()
    for entry in fields.children(key):
        name = entry.text("name", required=True).value
        if name in seen:
            text = f"`{name}` is given twice; the last one counts."
            problems.error("duplicate-name", text, fields.file, entry.line("name"), "Give each one a name of its own.")
        if name:
            seen.add(name)
            yield name, entry


def handoffs(fields: Fields, problems: Problems) -> dict[str, Handoff]:
    """Read `handoffs.yaml`."""
    found: dict[str, Handoff] = {}
    for name, entry in named(fields, "handoffs", problems):
        settings = entry.child("sip_config")
        found[name] = Handoff(
            name=name,
            line=entry.line("name"),
            description=entry.text("description").value,
            is_default=entry.flag("is_default", False),
            method=settings.text("method").value,
            settings={key: value for key, value in settings.values.items() if key != "method"},
            headers={h.text("key").value: h.text("value").value for h in entry.children("sip_headers")},
        )
    defaults = [handoff for handoff in found.values() if handoff.is_default]
    if found and len(defaults) != 1:
        line = defaults[1].line if len(defaults) > 1 else fields.line("handoffs")
        problems.error(
            "default-handoff",
            f"{len(defaults)} handoffs are marked `is_default`; there must be exactly one.",
            fields.file,
            line,
            "Mark one handoff with `is_default: true`.",
        )
    return found


def entities(fields: Fields, problems: Problems) -> dict[str, Entity]:
    """Read `entities.yaml`."""
    found: dict[str, Entity] = {}
    for name, entry in named(fields, "entities", problems):
        kind = entry.text("entity_type", required=True)
        if kind and kind.value not in ENTITY_TYPES:
            problems.error(
                "entity-type",
                f"`{kind.value}` is not a type of entity.",
                fields.file,
                kind.line,
                f"Use one of {', '.join(ENTITY_TYPES)}.",
            )
        found[name] = Entity(
            name=name,
            line=entry.line("name"),
            type=kind.value,
            description=entry.text("description").value,
            config=entry.child("config").values,
        )
    return found


def sms_templates(fields: Fields, problems: Problems) -> dict[str, SmsTemplate]:
    """Read `sms_templates.yaml`."""
    found: dict[str, SmsTemplate] = {}
    for name, entry in named(fields, "sms_templates", problems):
        numbers = entry.child("env_phone_numbers")
        found[name] = SmsTemplate(
            name=name,
            text=entry.text("text", required=True),
            numbers={key: numbers.text(key).value for key in numbers.values},
        )
    return found


def translations(fields: Fields, problems: Problems) -> dict[str, dict[str, str]]:
    """Read `translations.yaml`: the text by language, by name."""
    found: dict[str, dict[str, str]] = {}
    for name, entry in named(fields, "translations", problems):
        texts = entry.child("translations")
        found[name] = {language: texts.text(language).value for language in texts.values}
    return found


def phrases(fields: Fields, problems: Problems) -> dict[str, Text]:
    """Read `chat/phrases.yaml`: the `topics` brain's own sentences, as far as the project replaces them."""
    for key in fields.values:
        if key not in PHRASES:
            problems.warning(
                "unknown-phrase",
                f"`{key}` is not a sentence of the `topics` brain.",
                fields.file,
                fields.line(key),
                f"Known are {', '.join(PHRASES)}.",
            )
    return {key: fields.text(key) for key in PHRASES if fields.text(key)}
