"""The parts of the loader that read the files of `config/` (agent-project.md §2.10 to §2.16)."""

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


def handoffs(fields: Fields, problems: Problems) -> dict[str, Handoff]:
    """Read `handoffs.yaml`."""
    found: dict[str, Handoff] = {}
    for entry in fields.children("handoffs"):
        name = entry.text("name", required=True).value
        settings = entry.child("sip_config")
        if name:
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
    for entry in fields.children("entities"):
        name = entry.text("name", required=True).value
        kind = entry.text("entity_type", required=True)
        if kind and kind.value not in ENTITY_TYPES:
            problems.error(
                "entity-type",
                f"`{kind.value}` is not a type of entity.",
                fields.file,
                kind.line,
                f"Use one of {', '.join(ENTITY_TYPES)}.",
            )
        if name:
            found[name] = Entity(
                name=name,
                line=entry.line("name"),
                type=kind.value,
                description=entry.text("description").value,
                config=entry.child("config").values,
            )
    return found


def sms_templates(fields: Fields) -> dict[str, SmsTemplate]:
    """Read `sms_templates.yaml`."""
    found: dict[str, SmsTemplate] = {}
    for entry in fields.children("sms_templates"):
        name = entry.text("name", required=True).value
        numbers = entry.child("env_phone_numbers")
        if name:
            found[name] = SmsTemplate(
                name=name,
                text=entry.text("text", required=True),
                numbers={key: numbers.text(key).value for key in numbers.values},
            )
    return found


def translations(fields: Fields) -> dict[str, dict[str, str]]:
    """Read `translations.yaml`: the text by language, by name."""
    found: dict[str, dict[str, str]] = {}
    for entry in fields.children("translations"):
        name = entry.text("name", required=True).value
        texts = entry.child("translations")
        if name:
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
