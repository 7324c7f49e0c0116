"""Reads `config/variant_attributes.yaml`, whose attributes may have kinds (agent-project.md §2.16)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from warmline.agent.project.model import Project
from warmline.agent.project.yaml_files import Fields, Problems

_TRUE, _FALSE = ("true", "yes"), ("false", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """The attributes of each variant as text, the default variant, and the kinds of attributes that are no strings."""

    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    default: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)


def read_variants(fields: Fields, problems: Problems) -> Variants:
    """Read `variant_attributes.yaml`; a blank attribute of a kind other than string is left out."""
    kinds = {a.text("name").value: a.text("kind").value for a in fields.children("attributes") if a.text("kind")}
    found: dict[str, dict[str, str]] = {}
    defaults: list[str] = []
    for variant in fields.children("variants"):
        name = variant.text("name", required=True).value
        if name:
            found[name] = {}
            if variant.flag("is_default", False):
                defaults.append(name)
    for attribute in fields.children("attributes"):
        _attribute(attribute, found, problems)
    if found and len(defaults) != 1:
        problems.error(
            "default-variant",
            f"{len(defaults)} variants are marked `is_default`; there must be exactly one.",
            fields.file,
            fields.line("variants"),
            "Mark one variant with `is_default: true`.",
        )
    default = defaults[0] if defaults else next(iter(found), None)
    return Variants(attributes=found, default=default, kinds={n: k for n, k in kinds.items() if k != "string"})


def _attribute(attribute: Fields, found: dict[str, dict[str, str]], problems: Problems) -> None:
    """Read one attribute into the variants `found`."""
    name = attribute.text("name", required=True).value
    kind = attribute.text("kind").value or "string"
    options = attribute.child("config").texts("values") if kind == "enum" else ()
    values = attribute.child("values")
    if name and not name.isidentifier():
        problems.warning(
            "attribute-name",
            f"Functions cannot read the attribute `{name}` as `conv.variant.{name}`.",
            attribute.file,
            attribute.line("name"),
            "Use letters, digits and underscores.",
        )
    for variant_name in values.values:
        if variant_name not in found:
            problems.warning(
                "unknown-variant",
                f"There is no variant `{variant_name}`.",
                attribute.file,
                values.line(variant_name),
                "Add it under `variants`, or correct the name.",
            )
    for variant_name, attributes in found.items():
        if variant_name not in values.values:
            problems.error(
                "missing-variant-value",
                f"Attribute `{name}` has no value for variant `{variant_name}`.",
                attribute.file,
                attribute.line("values"),
                f"Add `{variant_name}: …` under `values`.",
            )
            continue
        # YAML's own true, and objects written in YAML, become what JSON makes of them.
        raw = values.values[variant_name]
        text = json.dumps(raw) if isinstance(raw, Mapping | list | bool) else values.text(variant_name).value
        if not text and kind != "string":
            continue
        if wrong := _wrong_kind(kind, text, options):
            problems.error(
                "attribute-kind",
                f"`{text}` is {wrong}, but `{name}` is of the kind {kind}.",
                attribute.file,
                values.line(variant_name),
                "Correct the value or the kind.",
            )
        attributes[name] = text


def _wrong_kind(kind: str, text: str, options: tuple[str, ...]) -> str:
    """Say what is wrong with a value of a kind; "" when it fits."""
    if kind == "enum" and options and text not in options:
        return f"none of {', '.join(options)}"
    try:
        typed_value(kind, text)
    except ValueError:
        return {"number": "no number", "boolean": "neither true nor false"}.get(kind, "no JSON")
    return ""


def typed_value(kind: str, text: str) -> object:
    """Give what functions see of an attribute's text.

    Raises:
        ValueError: the text does not fit the kind.
    """
    match kind:
        case "number":
            number = float(text)
            return int(number) if number.is_integer() else number
        case "boolean":
            if text.lower() not in (*_TRUE, *_FALSE):
                raise ValueError(f"{text!r} is neither true nor false")
            return text.lower() in _TRUE
        case "object":
            return json.loads(text)
    return text


def typed_variants(project: Project) -> dict[str, dict[str, object]]:
    """Give the attributes of each variant as functions see them; one of the wrong kind stays a text."""

    def typed(name: str, text: str) -> object:
        try:
            return typed_value(project.attribute_kinds.get(name, "string"), text)
        except ValueError:
            return text

    return {
        variant: {name: typed(name, text) for name, text in attributes.items()}
        for variant, attributes in project.variants.items()
    }
