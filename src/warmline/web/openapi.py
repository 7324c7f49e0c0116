"""The reference of the REST APIs: an OpenAPI document made from the bodies' structs, and a page that shows it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from warmline.web.reference_page import STYLE, page

BEARER = "Authorization"
"""The header of a bearer token, where an operation names its `security`."""

_REF = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of an operation. `where` is path, query or header; `schema` a JSON schema."""

    name: str
    where: str
    description: str
    required: bool = False
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. `body` and `answer` are msgspec structs; `errors` maps a status to (what it means, its struct).

    A `body` of `bytes` is a file as it is; an `answer` of None has no body. `status` is that of success.
    `security` names API key headers and `BEARER`, all of which are needed. `headers` are those of the answer: name
    to meaning.
    """

    method: str
    path: str
    summary: str
    group: str
    answer: type[msgspec.Struct] | None
    errors: Mapping[int, tuple[str, type[msgspec.Struct]]]
    status: int = 200
    description: str = ""
    parameters: Sequence[Parameter] = ()
    body: type[msgspec.Struct] | type[bytes] | None = None
    body_required: bool = True
    security: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def document(operations: Iterable[Operation], *, title: str, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations."""
    operations = tuple(operations)
    structs = {kind for operation in operations for kind in _structs(operation)}
    ordered = sorted(structs, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    schemes = sorted({name for operation in operations for name in operation.security})
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {name: _scheme(name) for name in schemes},
        },
    }


def routes(app: web.Application, operations: Iterable[Operation], *, title: str, version: str) -> None:
    """Mount `/openapi.json` and `/docs`, the same as a page that needs no script."""
    described = document(operations, title=title, version=version)
    body, html = msgspec.json.encode(described), page(described)

    async def as_json(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", headers={"Access-Control-Allow-Origin": "*"})

    async def as_page(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    async def style(_: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css")

    app.router.add_get("/openapi.json", as_json)
    app.router.add_get("/docs", as_page)
    app.router.add_get("/docs/style.css", style)


def _structs(operation: Operation) -> set[type]:
    kinds = {operation.body, operation.answer, *(kind for _, kind in operation.errors.values())}
    return {kind for kind in kinds if kind is not None and kind is not bytes}


def _scheme(name: str) -> dict[str, str]:
    if name == BEARER:
        return {"type": "http", "scheme": "bearer", "description": "The access token, after the word Bearer."}
    return {"type": "apiKey", "in": "header", "name": name}


def _operation(operation: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if operation.answer is not None:
        good["content"] = _content(operation.answer)
    if operation.headers:
        good["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in operation.headers.items()
        }
    described: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [operation.group],
        "responses": {
            str(operation.status): good,
            **{
                str(status): {"description": text, "content": _content(kind)}
                for status, (text, kind) in sorted(operation.errors.items())
            },
        },
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.required or parameter.where == "path",
                "description": parameter.description,
                "schema": dict(parameter.schema),
            }
            for parameter in operation.parameters
        ]
    if operation.body is not None:
        described["requestBody"] = {"required": operation.body_required, "content": _content(operation.body)}
    if operation.security:
        described["security"] = [{name: [] for name in operation.security}]
    return described


def _content(kind: type) -> dict[str, Any]:
    if kind is bytes:
        return {"application/octet-stream": {}}
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
