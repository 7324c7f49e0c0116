"""The parts of the loader that read `config/api_integrations.yaml` and `real_time_configuration/`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from warmline.agent.project.loader_config import named
from warmline.agent.project.model import Api, ApiEnvironment, ApiOperation
from warmline.agent.project.yaml_files import Fields, Problems, read_json

APIS = "config/api_integrations.yaml"
ENVIRONMENTS = ("sandbox", "pre-release", "live")
AUTH_TYPES = ("none", "basic", "apiKey", "oauth2", "oauth2_client_credentials", "jwt_client_assertion")
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_LEGACY = {"pre_release": "pre-release"}
_REAL_TIME_FOLDERS = {"sandbox": "draft_and_sandbox", "pre-release": "pre_release", "live": "live"}


def environment_of(name: str) -> str:
    """Give the environment whose settings count in the environment `name`: a draft uses the sandbox's."""
    return name if name in ENVIRONMENTS else _LEGACY.get(name, "sandbox")


def apis(fields: Fields, problems: Problems) -> dict[str, Api]:
    """Read `api_integrations.yaml` (agent-project.md §2.13)."""
    found: dict[str, Api] = {}
    for _, entry in named(fields, "api_integrations", problems):
        name = entry.text("name")
        if not _NAME.fullmatch(name.value):
            text = f"`{name.value}` cannot be used as `conv.api.{name.value}`."
            remedy = "Use small letters, digits and underscores, not beginning with a digit."
            problems.error("api-name", text, fields.file, name.line, remedy)
            continue
        found[name.value] = Api(
            name=name.value,
            line=name.line,
            description=entry.text("description").value,
            environments=_environments(entry.child("environments"), problems),
            operations=tuple(_operations(entry.children("operations"), problems)),
        )
    return found


def _environments(fields: Fields, problems: Problems) -> dict[str, ApiEnvironment]:
    found: dict[str, ApiEnvironment] = {}
    for key in fields.values:
        name = _LEGACY.get(key, key)
        if name not in ENVIRONMENTS:
            remedy = f"Use {', '.join(ENVIRONMENTS)}."
            problems.error("api-environment", f"`{key}` is no environment.", fields.file, fields.line(key), remedy)
            continue
        entry = fields.child(key)
        url, auth = entry.text("base_url"), entry.text("auth_type")
        kind = auth.value or "none"
        if kind not in AUTH_TYPES:
            remedy = f"Use {', '.join(AUTH_TYPES)}."
            problems.error("api-auth", f"`{kind}` is no way to authenticate.", fields.file, auth.line, remedy)
        if url and not url.value.startswith(("http://", "https://")):
            text = "`base_url` must begin with https:// or http://."
            problems.error("api-url", text, fields.file, url.line, "Write the whole address.")
        elif not url and kind != "none":
            text = f"`auth_type: {kind}` needs a `base_url`."
            problems.error("api-url", text, fields.file, fields.line(key), "Add the API's address.")
        found[name] = ApiEnvironment(base_url=url.value.rstrip("/"), auth_type=kind)
    return found


def _operations(entries: Iterable[Fields], problems: Problems) -> list[ApiOperation]:
    found: list[ApiOperation] = []
    for entry in entries:
        name, method = entry.text("name", required=True), entry.text("method", required=True)
        if not (name and method):
            continue
        if method.value.upper() not in _METHODS:
            remedy = f"Use {', '.join(_METHODS)}."
            problems.error("api-method", f"`{method.value}` is no method.", entry.file, method.line, remedy)
            continue
        if not name.value.isidentifier():
            text = f"The operation `{name.value}` cannot be called as it is named."
            problems.error("api-operation", text, entry.file, name.line, "Use letters, digits and underscores.")
            continue
        if any(operation.name == name.value for operation in found):
            text = f"There are two operations `{name.value}`; the first is used."
            problems.error("api-operation", text, entry.file, name.line, "Give each operation a name of its own.")
            continue
        found.append(
            ApiOperation(
                name=name.value,
                line=name.line,
                method=method.value.upper(),
                resource=entry.text("resource").value,
            )
        )
    return found


def real_time_config(root: Path, problems: Problems) -> dict[str, Mapping[str, object]]:
    """Read the real-time configuration of each environment (agent-project.md §2.25); absent ones are left out.

    The pages under a top-level key `pages` are merged; other files are taken as they are.
    """
    found: dict[str, Mapping[str, object]] = {}
    for environment, folder in _REAL_TIME_FOLDERS.items():
        file = f"real_time_configuration/{folder}/data.json"
        path = root / file
        values = read_json(path, file, problems) if path.is_file() else {}
        if not values:
            continue
        pages = values.get("pages")
        merged = dict(values)
        if isinstance(pages, dict):
            del merged["pages"]
            for page in pages.values():
                merged |= page if isinstance(page, dict) else {}
        found[environment] = merged
    return found
