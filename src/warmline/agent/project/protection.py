"""Reads what an agent must not be told and must not say: safety filters, phrase filters, guardrails."""

import re

from warmline.agent.project.model import Guardrails, PhraseFilter, SafetyFilters
from warmline.agent.project.yaml_files import Fields, Problems

CATEGORIES = ("violence", "hate", "sexual", "self_harm")
LEVELS = ("lenient", "medium", "strict")
PLATFORM_GUARDRAILS = (
    *("jailbreak_defence", "hallucination_control", "ai_identity", "emergency_escalation", "tool_call_integrity"),
)


def safety_filters(fields: Fields, problems: Problems, otherwise: SafetyFilters | None = None) -> SafetyFilters:
    """Read `safety_filters.yaml` (agent-project.md §2.8).

    Args:
        fields: the file of a channel, or the project-wide one.
        problems: takes what is wrong.
        otherwise: the project-wide filters, which count where a channel has not enabled its own.
    """
    levels = _levels(fields, problems)
    if otherwise is not None and not fields.flag("enabled", False):
        return otherwise
    return SafetyFilters(levels)


def _levels(fields: Fields, problems: Problems) -> dict[str, str]:
    categories = fields.child("categories")
    for name in categories.values:
        if name not in CATEGORIES:
            remedy = f"Use {', '.join(CATEGORIES)}."
            text = f"`{name}` is no category of safety filters."
            problems.error("safety-category", text, fields.file, categories.line(name), remedy)
    found: dict[str, str] = {}
    for name in CATEGORIES:
        category = categories.child(name)
        level = category.text("level").value.lower() or "medium"
        if level not in LEVELS:
            text = f"`{level}` is no level of a safety filter; medium is used."
            problems.error("safety-level", text, fields.file, category.line("level"), f"Use {', '.join(LEVELS)}.")
            level = "medium"
        if category.flag("enabled", False):
            found[name] = level
    return found


def phrase_filters(fields: Fields, problems: Problems) -> tuple[PhraseFilter, ...]:
    """Read `phrase_filtering.yaml` (agent-project.md §2.22)."""
    found: list[PhraseFilter] = []
    for entry in fields.children("phrase_filtering"):
        expressions: list[str] = []
        for expression in entry.texts("regular_expressions"):
            try:
                re.compile(expression)
                expressions.append(expression)
            except re.error as wrong:
                text = f"`{expression}` is no regular expression ({wrong}); it is left out."
                line = entry.line("regular_expressions")
                problems.error("phrase-expression", text, fields.file, line, "Correct the expression.")
        function = entry.text("function")
        found.append(
            PhraseFilter(
                name=entry.text("name", required=True).value,
                line=entry.line("name"),
                expressions=tuple(expressions),
                say_phrase=entry.flag("say_phrase", False),
                language=entry.text("language_code").value,
                function=function.value,
            )
        )
    return tuple(found)


def guardrails(fields: Fields, problems: Problems) -> Guardrails:
    """Read `guardrails.yaml` (agent-project.md §2.6). A custom guardrail is a text, or a mapping that holds one."""
    off: set[str] = set()
    for entry in fields.children("platform_guardrails"):
        name = entry.text("name", required=True)
        if name.value not in PLATFORM_GUARDRAILS:
            text = f"`{name.value}` is no platform guardrail."
            problems.error("guardrail-name", text, fields.file, name.line, f"Use {', '.join(PLATFORM_GUARDRAILS)}.")
        elif not entry.flag("enabled", True):
            off.add(name.value)
    custom = []
    entries = fields.values.get("custom_guardrails")
    if isinstance(entries, list) and all(isinstance(entry, str) for entry in entries):
        custom = [entry.strip() for entry in entries]
    else:
        for entry in fields.children("custom_guardrails"):
            text = next((entry.text(key).value for key in ("content", "text", "description") if entry.text(key)), "")
            if text and entry.flag("enabled", True):
                custom.append(text)
    return Guardrails(off=frozenset(off), custom=tuple(custom))
