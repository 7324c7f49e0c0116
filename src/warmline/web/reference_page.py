"""Shows an OpenAPI document as a plain page. Pure."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 56rem; padding: 2rem 1rem 4rem }
h1, h2, h3 { line-height: 1.2 }
h2, h3 { border-top: 1px solid; border-color: color-mix(in srgb, currentColor 20%, transparent) }
h2, h3 { margin-top: 3rem; padding-top: 1.5rem }
h2 { border-top-width: 3px }
h2 + h3 { border: 0; margin: 0; padding: 0 }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere }
.method { border: 1px solid; border-radius: .3rem; font-size: .7em; margin-right: .4em; padding: .1em .4em }
table { border-collapse: collapse; margin: .5rem 0 1rem; width: 100% }
caption { font-weight: 600; padding: .4rem 0; text-align: left }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); padding: .35rem .8rem .35rem 0;
  text-align: left; vertical-align: top }
th[scope=row] { font-weight: 400 }
@media (min-width: 40rem) { th[scope=row] { white-space: nowrap } }
"""


def page(document: Mapping[str, Any]) -> str:
    """The HTML of `/docs`."""
    title = escape(document["info"]["title"])
    components = document["components"]
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_call(method, path, operation, components))
    links = "".join(f'<li><a href="#{_anchor(group)}">{escape(group)}</a></li>' for group in groups)
    calls = "".join(
        f'<section id="{_anchor(group)}"><h2>{escape(group)}</h2>{"".join(found)}</section>'
        for group, found in groups.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css"></head>'
        f"<body><main><h1>{title}</h1><p>Version {escape(document['info']['version'])}. "
        f'The same for programs: <a href="/openapi.json">openapi.json</a>.</p><nav><ul>{links}</ul></nav>'
        f"{calls}</main></body></html>"
    )


def _call(method: str, path: str, operation: Mapping[str, Any], components: Mapping[str, Any]) -> str:
    schemas, schemes = components["schemas"], components["securitySchemes"]
    headers = [
        (name, "header", True, schemes[name].get("description", ""))
        for group in operation.get("security", ())
        for name in group
    ]
    given = [(p["name"], p["in"], p["required"], p["description"]) for p in operation.get("parameters", ())]
    parts = [
        f'<h3><span class="method">{method.upper()}</span><code>{escape(path)}</code></h3>',
        f"<p><strong>{escape(operation['summary'])}</strong></p>",
        f"<p>{escape(operation['description'])}</p>" if "description" in operation else "",
        _table(
            "Parameters",
            ((name, f"{where}{', required' if needed else ''}", text) for name, where, needed, text in headers + given),
        ),
    ]
    if "requestBody" in operation:
        parts.append(_body("Body", operation["requestBody"], schemas))
    answers = operation["responses"].items()
    for status, answer in answers:
        if status < "300":
            parts.append(_body(f"Answer {status}", answer, schemas))
    errors = ((status, "", answer["description"]) for status, answer in answers if status >= "300")
    parts.append(_table("Errors", errors))
    return "".join(parts)


def _body(caption: str, described: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """What is sent, field by field; in one sentence where there are no fields."""
    content = described.get("content", {})
    if "application/json" in content:
        return _table(caption, _fields(schemas[_name(content["application/json"]["schema"])]))
    return f"<p>{caption}: {'the file itself' if content else 'no body'}.</p>"


def _anchor(group: str) -> str:
    return escape(group.lower().replace(" ", "-"))


def _fields(schema: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield name, f"{_type(field)}{', required' if name in needed else ''}", str(field.get("description", ""))


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return _name(field)
    if "enum" in field:
        return " | ".join(str(value) for value in field["enum"] if value is not None)
    if "anyOf" in field:
        return " | ".join(text for each in field["anyOf"] if (text := _type(each)) != "null")
    return str(field.get("type", "any"))


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rsplit("/", 1)[-1]


def _table(caption: str, rows: Iterable[tuple[str, str, str]]) -> str:
    lines = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td>{escape(kind)}</td><td>{escape(text)}</td></tr>'
        for name, kind, text in rows
    )
    return f"<table><caption>{caption}</caption>{lines}</table>" if lines else ""
