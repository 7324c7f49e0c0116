"""Changes single keys of a YAML file and leaves everything else byte for byte as it was.

Only the text of a changed key is written anew, in the style that it had; of a list, only the items that are new. So
comments, quotes and line ends of the rest stay, and `git diff` shows what was changed and nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from warmline.domain.errors import WarmlineError

Value = str | bool | Sequence[str]
_WIDTH = 1 << 30


def edit_yaml(text: str, changes: Mapping[str, Value]) -> str:
    """Give `text`, a YAML file whose top is a mapping, with the values of some of its keys changed.

    Args:
        text: the file; "" for a new one.
        changes: the new values by key; a key that is not there yet comes last. Texts carry no blanks at their ends.

    Raises:
        WarmlineError: `yaml_form`, when the file is written in a way in which a part cannot be replaced by itself.
    """
    changed = text
    for key, value in changes.items():
        changed = _replaced(changed, key, value)
    if _values(changed) != _values(text) | {key: _expected(value) for key, value in changes.items()}:
        raise _unusual_form()
    return changed


def _unusual_form() -> WarmlineError:
    return WarmlineError("yaml_form", "The file is written in a form that this page cannot change. Use a text editor.")


def _values(text: str) -> dict[str, object]:
    """Give what is in the file, every scalar as its text."""
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        raise _unusual_form() from None
    if found is None or found == "":
        return {}
    if not isinstance(found, dict):
        raise _unusual_form()
    return {str(key): _stripped(value) for key, value in found.items()}


def _stripped(value: object) -> object:
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return value.strip() if isinstance(value, str) else value


def _expected(value: Value) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else list(value)


def _replaced(text: str, key: str, value: Value) -> str:
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(bom)
    newline = "\r\n" if "\r\n" in text else "\n"
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise _unusual_form() from None
    pairs = root.value if isinstance(root, yaml.MappingNode) and not root.flow_style else []
    if root is not None and not pairs:
        raise _unusual_form()
    place = max((i for i, (name, _) in enumerate(pairs) if name.value == key), default=None)
    if place is None:
        end = "" if not text or text.endswith("\n") else newline
        return bom + text + end + _entry(key, value).replace("\n", newline)
    start = pairs[place][0].start_mark.index
    following = pairs[place + 1][0].start_mark.index if place + 1 < len(pairs) else len(text)
    body = _without_tail(text[start:following])
    return bom + text[:start] + _anew(body, start, pairs[place], value, newline) + text[start + len(body) :]


def _without_tail(region: str) -> str:
    """Leave out the blank lines and comments that come before the next key."""
    lines = region.splitlines(keepends=True)
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].startswith(("#", "..."))):
        lines.pop()
    return "".join(lines)


def _anew(body: str, start: int, pair: tuple[Any, Any], value: Value, newline: str) -> str:
    """Give the text of one key with its new value, as near to its old text as can be."""
    name, old = pair
    if isinstance(old, yaml.SequenceNode) and not isinstance(value, str | bool):
        if old.value and not old.flow_style and value:
            return _list(body, start, old, value, newline)
    elif isinstance(old, yaml.ScalarNode) and not isinstance(value, Sequence | bool):
        raise _unusual_form()
    elif isinstance(old, yaml.ScalarNode) and isinstance(value, str | bool):
        first, last = old.start_mark.index - start, old.end_mark.index - start
        if old.style == "|" and isinstance(value, str) and _fits_a_block(value):
            return _block(body, first, value, newline)
        one_line = isinstance(value, bool) or "\n" not in value
        if one_line and old.style != ">" and old.style != "|" and "\n" not in body[first:last] and first < last:
            return body[:first] + _scalar(value, old.style) + body[last:]
    entry = _entry(str(name.value), value).replace("\n", newline)
    return entry if body.endswith("\n") else entry.removesuffix(newline)


def _fits_a_block(value: str) -> bool:
    return value.split("\n") == value.splitlines() and _scalar(f"{value}\n", "|").startswith("|")


def _block(body: str, first: int, value: str, newline: str) -> str:
    """Give a literal block with other lines, as far indented as the old ones."""
    header, _, rest = body[first:].partition("\n")
    shown = next((line for line in rest.splitlines() if line.strip()), "  ")
    indent = shown[: len(shown) - len(shown.lstrip(" "))] or "  "
    lines = [indent + line if line else "" for line in value.split("\n")]
    return body[:first] + header + "\n" + newline.join(lines) + (newline if body.endswith("\n") else "")


def _list(body: str, start: int, old: Any, value: Sequence[str], newline: str) -> str:
    """Give a list in which the items that stay keep their text."""
    begins = [body.rfind("\n", 0, item.start_mark.index - start) + 1 for item in old.value]
    if begins[0] == 0 or len(set(begins)) < len(begins):
        raise _unusual_form()
    kept: dict[str, list[str]] = {}
    for item, begin, end in zip(old.value, begins, [*begins[1:], len(body)], strict=True):
        raw = body[begin:end]
        kept.setdefault(str(item.value).strip(), []).append(raw if raw.endswith("\n") else raw + newline)
    indent = body[begins[0] : body.index("-", begins[0])]
    items = [kept[v].pop(0) if kept.get(v) else f"{indent}- {_item(v)}{newline}" for v in value]
    text = body[: begins[0]] + "".join(items)
    return text if body.endswith("\n") else text.removesuffix(newline)


def _entry(key: str, value: Value) -> str:
    if isinstance(value, str | bool):
        return f"{_scalar(key, None)}: {_scalar(value, None)}\n"
    if not value:
        return f"{_scalar(key, None)}: []\n"
    return f"{_scalar(key, None)}:\n" + "".join(f"  - {_item(item)}\n" for item in value)


def _item(value: str) -> str:
    return _scalar(value, '"' if "\n" in value else None)


def _scalar(value: str | bool, style: str | None) -> str:
    """Give a value as it stands after `key: `, in the wanted style where that can hold it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not value:
        style = style or '"'
    elif "\n" in value:
        style = style or "|"
    key = yaml.ScalarNode("tag:yaml.org,2002:str", "k")
    node = yaml.ScalarNode("tag:yaml.org,2002:str", value, style=style)
    mapping = yaml.MappingNode("tag:yaml.org,2002:map", [(key, node)], flow_style=False)
    written: str = yaml.serialize(mapping, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDTH)
    return written.removeprefix("k:").strip("\n").removeprefix(" ")
