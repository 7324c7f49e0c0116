"""The rules of texting as a form: what `sms/configuration.yaml` says for all numbers, or for one of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from warmline.domain.errors import WarmlineError
from warmline.domain.texting import SENTENCES
from warmline.studio.files.yaml_rows import Path, put, remove

FILE = "sms/configuration.yaml"
ALL = "all"
"""In the place of a number: the rules of every number."""
SILENT = "silent:"
"""Before the name of a field: the sentence is not sent."""
_MOST, _LONGEST = 10_000, 1600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One field: where it is in the file, what it says there, and what counts while it says nothing.

    With `silent` the file says that the sentence is not sent.
    """

    name: str
    path: Path
    kind: str
    value: str = ""
    silent: bool = False
    usual: str = ""


def rules_of(text: str, number: str) -> list[Rule]:
    """Give the fields for `number`, or for `ALL`.

    Raises:
        WarmlineError: `yaml_form`, when the file's text cannot be read.
    """
    data = _data(text)
    at: Path = () if number == ALL else ("numbers", number)
    found = [
        Rule(name=name, path=(*at, "sentences", name), kind="sentence", usual=said) for name, said in SENTENCES.items()
    ]
    found.append(Rule(name="after_hours", path=(*at, "inactivity", "after_hours"), kind="number", usual="24"))
    found.append(Rule(name="grace_minutes", path=(*at, "inactivity", "grace_minutes"), kind="number", usual="10"))
    if number == ALL:
        found.insert(0, Rule(name="prompt", path=("style_prompt", "prompt"), kind="text"))
        found.insert(0, Rule(name="welcome_message", path=("greeting", "welcome_message"), kind="text"))
    return [_filled(rule, data, at) for rule in found]


def with_rules(text: str, rules: list[Rule], form: Mapping[str, str]) -> str:
    """Give the file's text with the fields of a form.

    Raises:
        WarmlineError: `yaml_form`, as `yaml_rows.put`.
    """
    for rule in rules:
        value, silent = entered(rule, form)
        if (value, silent) == (rule.value, rule.silent):
            continue
        if not value and not silent:
            text = remove(text, rule.path)
        elif rule.kind == "number":
            text = put(text, rule.path, yaml.compose(value, Loader=yaml.SafeLoader))
        else:
            text = put(text, rule.path, value)
    return text


def entered(rule: Rule, form: Mapping[str, str]) -> tuple[str, bool]:
    """Give what a form says for a field, and whether its sentence is not to be sent."""
    if rule.kind == "sentence" and form.get(SILENT + rule.name) == "true":
        return "", True
    lines = form.get(rule.name, "").replace("\0", "").replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip(), False


def wrong_rules(rules: list[Rule], form: Mapping[str, str]) -> dict[str, str]:
    """Give what cannot be saved, by field."""
    wrong: dict[str, str] = {}
    for rule in rules:
        value, _ = entered(rule, form)
        if rule.kind == "number" and value and not _is_span(value):
            wrong[rule.name] = "texting.bad_span"
        elif len(value) > _LONGEST:
            wrong[rule.name] = "tables.too_long"
    return wrong


def _is_span(value: str) -> bool:
    return re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) is not None and 0 < float(value) <= _MOST


def _filled(rule: Rule, data: Any, at: Path) -> Rule:
    there = _get(data, rule.path)
    above = _get(data, rule.path[len(at) :]) if at else None
    usual = str(above) if isinstance(above, str) else rule.usual
    value = there.strip() if isinstance(there, str) else ""
    return Rule(
        name=rule.name,
        path=rule.path,
        kind=rule.kind,
        value=value,
        silent=rule.kind == "sentence" and there is not None and not value,
        usual=usual,
    )


def _get(data: Any, path: Path) -> Any:
    for step in path:
        data = data.get(step) if isinstance(data, dict) else None
    return data


def _data(text: str) -> Any:
    try:
        return yaml.load(text.removeprefix("\ufeff"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        raise WarmlineError("yaml_form", f"{FILE} is no valid YAML. Use a text editor.") from None
