"""Shows an OpenAPI document as a plain page. Pure."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 56rem; padding: 2rem 1rem 4rem }
h1, h2 { line-height: 1.2 }
h2 { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); margin-top: 3rem; padding-top: 1.5rem }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere }
.method { border: 1px solid; border-radius: .3rem; font-size: .7em; margin-right: .4em; padding: .1em .4em }
table { border-collapse: collapse; margin: .5rem 0 1rem; width: 100% }
caption { font-weight: 600; padding: .4rem 0; text-align: left }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); padding: .35rem .8rem .35rem 0;
  text-align: left; vertical-align: top }
th[scope=row] { font-weight: 400; white-space: nowrap }
"""


def page(document: Mapping[str, Any]) -> str:
    """The HTML of `/docs`."""
    title = escape(document["info"]["title"])
    schemas = document["components"]["schemas"]
    calls = "".join(
        _call(method, path, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css"></head>'
        f"<body><main><h1>{title}</h1><p>Version {escape(document['info']['version'])}. "
        f'The same for programs: <a href="/openapi.json">openapi.json</a>.</p>{calls}</main></body></html>'
    )


def _call(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    headers = [(name, "header", True, "") for group in operation.get("security", ()) for name in group]
    given = [(p["name"], p["in"], p["required"], p["description"]) for p in operation.get("parameters", ())]
    parts = [
        f'<h2><span class="method">{method.upper()}</span><code>{escape(path)}</code></h2>',
        f"<p><strong>{escape(operation['summary'])}</strong></p>",
        f"<p>{escape(operation['description'])}</p>" if "description" in operation else "",
        _table(
            "Parameters",
            ((name, f"{where}{', required' if needed else ''}", text) for name, where, needed, text in headers + given),
        ),
    ]
    if "requestBody" in operation:
        parts.append(_table("Body", _fields(_schema(operation["requestBody"], schemas))))
    for status, answer in operation["responses"].items():
        if status == "200":
            parts.append(_table("Answer", _fields(_schema(answer, schemas))))
    errors = (
        (status, "", answer["description"]) for status, answer in operation["responses"].items() if status != "200"
    )
    parts.append(_table("Errors", errors))
    return "".join(parts)


def _schema(content: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schemas[_name(content["content"]["application/json"]["schema"])]
    return found


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
