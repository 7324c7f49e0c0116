"""What adding, changing and removing a variant means for the attributes, which have a value for each."""

from typing import Any

import yaml

from warmline.studio.files.yaml_rows import put, remove

_TRUE = ("true", "yes", "on")


def with_values(text: str, variant: str) -> str:
    """Give every attribute a value for a new variant: that of the default one.

    Raises:
        WarmlineError: `yaml_form`, as `yaml_rows.put`.
    """
    data = _data(text)
    usual = next((str(v.get("name")) for v in data["variants"] if _is_default(v)), "")
    for place, attribute in enumerate(data["attributes"]):
        values = attribute.get("values") or {}
        if variant not in values:
            text = put(text, ("attributes", place, "values", variant), str(values.get(usual) or ""))
    return text


def only_default(text: str, variant: str) -> str:
    """Let a variant be the only default.

    Raises:
        WarmlineError: as `with_values`.
    """
    for place, row in enumerate(_data(text)["variants"]):
        if _is_default(row) and row.get("name") != variant:
            text = put(text, ("variants", place, "is_default"), False)
        elif not _is_default(row) and row.get("name") == variant:
            text = put(text, ("variants", place, "is_default"), True)
    return text


def without_values(text: str, variant: str) -> str:
    """Take the values of a variant out of every attribute.

    Raises:
        WarmlineError: as `with_values`.
    """
    for place, attribute in enumerate(_data(text)["attributes"]):
        if variant in (attribute.get("values") or {}):
            text = remove(text, ("attributes", place, "values", variant))
    return text


def _data(text: str) -> dict[str, list[dict[str, Any]]]:
    found = yaml.load(text, Loader=yaml.BaseLoader) or {}
    return {
        key: [row if isinstance(row, dict) else {} for row in found.get(key) or []]
        for key in ("variants", "attributes")
    }


def _is_default(variant: dict[str, Any]) -> bool:
    return str(variant.get("is_default", "")).lower() in _TRUE
