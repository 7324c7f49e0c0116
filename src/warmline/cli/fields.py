"""The fields of a connection, from a file, from the environment, or asked for one by one."""

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from warmline.domain.errors import ConfigError
from warmline.handoff.manifest import Field, Manifest, check_fields

Ask = Callable[[Field], str]
"""Asks the operator for a field; "" leaves it out."""


def variable(key: str) -> str:
    """The environment variable of a field, such as WARMLINE_CONNECT_CLIENT_SECRET."""
    return f"WARMLINE_CONNECT_{key.replace('.', '_').upper()}"


def entered(manifest: Manifest) -> tuple[Field, ...]:
    """The fields that the operator enters; generated ones are Warmline's."""
    return tuple(item for item in manifest.fields if not item.generate)


def from_file(manifest: Manifest, path: Path) -> dict[str, str]:
    """Read fields from a TOML file: `org_id = "…"`, `policy.max_chars = 4096`, maps as tables.

    Raises: ConfigError, naming the file and the field.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), error.strerror or "cannot be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), str(error)) from None
    found: dict[str, str] = {}
    _flatten(manifest, data, "", found, path)
    return found


def from_environment(manifest: Manifest, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Fields from `WARMLINE_CONNECT_…`; a secret may lie in a file named by the same variable with `_FILE`.

    Raises: ConfigError, naming the variable.
    """
    found: dict[str, str] = {}
    for item in entered(manifest):
        name = variable(item.key)
        path = environ.get(f"{name}_FILE") if item.secret else None
        if path:
            try:
                found[item.key] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{name}_FILE", error.strerror or "cannot be read") from None
        elif environ.get(name):
            found[item.key] = environ[name].strip()
    return found


def refuse_wrong(manifest: Manifest, known: Mapping[str, str], *, relaxed: bool) -> None:
    """Raise ConfigError for the first of `known` that cannot be right, before anything is asked."""
    errors = check_fields(manifest, known, relaxed=relaxed).errors
    for key in known:
        if key in errors:
            raise ConfigError(key, errors[key])


def ask_for_missing(
    manifest: Manifest, known: Mapping[str, str], ask: Ask, complain: Callable[[str], None], *, relaxed: bool
) -> dict[str, str]:
    """`known` and what the operator answers; a wrong answer is explained and asked for again."""
    given = dict(known)
    for item in entered(manifest):
        if item.key in given or item.advanced or not _asked(item, given):
            continue
        while True:
            answer = ask(item).strip()
            checked = check_fields(manifest, {**given, item.key: answer}, relaxed=relaxed)
            problem = checked.errors.get(item.key)
            if problem is None:
                break
            complain(problem)
        if item.key in checked.warnings:
            complain(checked.warnings[item.key])
        if answer:
            given[item.key] = answer
    return given


def _asked(item: Field, given: Mapping[str, str]) -> bool:
    """What is optional and has no default to be confirmed can be given by file; the dialog stays short."""
    if item.required_when:
        return all(given.get(key) == value for key, value in item.required_when.items())
    return item.required


def _flatten(manifest: Manifest, data: Mapping[str, Any], prefix: str, found: dict[str, str], path: Path) -> None:
    for name, value in data.items():
        key = f"{prefix}{name}"
        item = manifest.field(key)
        if isinstance(value, dict) and (item is None or item.kind != "map"):
            _flatten(manifest, value, f"{key}.", found, path)
        elif item is None or item.generate == "webhook_url":
            raise ConfigError(f"{path}: {key}", f"{manifest.title} has no such field")
        else:
            found[key] = _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
