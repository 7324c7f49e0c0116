"""A project's own rules for SMS: `sms/configuration.yaml` (agent-project.md §2.14; a Warmline extension).

Beside greeting and style prompt, which the virtual agent reads: `sentences` (see `domain.texting.SENTENCES`),
`inactivity` with `after_hours` and `grace_minutes`, and `numbers`, whose entries say the same for single numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import yaml

from warmline.domain.errors import ConfigError
from warmline.domain.line import HOUR_MS, MINUTE_MS
from warmline.domain.texting import SENTENCES

_log = structlog.get_logger(__name__)

FILE = "sms/configuration.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a project says about one of its numbers; as in `domain.line.Line`."""

    sentences: Mapping[str, str] = field(default_factory=dict)
    silence_ms: int = 24 * HOUR_MS
    grace_ms: int = 10 * MINUTE_MS


def read_rules(project: Path, number: str) -> Rules:
    """The rules for `number`. Raises ConfigError, naming the file and the key."""
    file = project / FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Rules()
    except OSError as error:
        raise ConfigError(FILE, error.strerror or "cannot be read") from None
    try:
        data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError(FILE, str(error)) from None
    whole = _mapping(data or {}, "")
    # YAML reads a number without quotes as an integer.
    known = _mapping(whole.get("numbers", {}), "numbers").items()
    numbers = {f"+{str(key).removeprefix('+')}": rules for key, rules in known}
    own = _mapping(numbers.get(number, {}), f"numbers: {number}")
    rules = Rules()
    for part, where in ((whole, ""), (own, f"numbers: {number}: ")):
        rules = _with(rules, part, where)
    return rules


class Configurations:
    """Rules by project and number; a file with mistakes counts as none and is told to the operator."""

    def __init__(self, projects: Mapping[str, Path]) -> None:
        self._projects = dict(projects)

    def rules(self, project_id: str, number: str) -> Rules:
        """The rules as they are in the file now."""
        project = self._projects.get(project_id)
        if project is None:
            return Rules()
        try:
            return read_rules(project, number)
        except ConfigError as error:
            _log.error("sms.configuration_wrong", project_id=project_id, key=error.key)
            return Rules()


def _with(rules: Rules, part: Mapping[str, Any], where: str) -> Rules:
    sentences = dict(rules.sentences)
    for key, text in _mapping(part.get("sentences", {}), f"{where}sentences").items():
        if key not in SENTENCES or not isinstance(text, str):
            known = ", ".join(SENTENCES)
            raise ConfigError(f"{FILE}: {where}sentences: {key}", f"must be a text under one of: {known}")
        sentences[key] = text
    quiet = _mapping(part.get("inactivity", {}), f"{where}inactivity")
    return Rules(
        sentences=sentences,
        silence_ms=_span(quiet, "after_hours", HOUR_MS, rules.silence_ms, where),
        grace_ms=_span(quiet, "grace_minutes", MINUTE_MS, rules.grace_ms, where),
    )


def _span(quiet: Mapping[str, Any], key: str, unit_ms: int, default: int, where: str) -> int:
    value = quiet.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10_000:
        raise ConfigError(f"{FILE}: {where}inactivity: {key}", "must be a number above 0")
    return round(value * unit_ms)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{FILE}: {where}" if where else FILE, "must be a mapping")
    return value
