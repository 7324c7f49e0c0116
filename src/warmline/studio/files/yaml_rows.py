"""Changes rows of tables in YAML files, and leaves everything else byte for byte as it was.

A row is a mapping in a list. What lies around a changed value keeps its text, comments and order; what is written on
one line in braces is written so again. So `git diff` shows the rows that were changed and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from warmline.studio.files.yaml_edit import edit_yaml
from warmline.studio.files.yaml_lines import indented, outdented, unusual_form, without_tail

Step = str | int
Path = tuple[Step, ...]
Change = Callable[[Any], Any]

_WIDTH = 1 << 30


def put(text: str, path: Path, value: object) -> str:
    """Set what is at `path`, of keys and positions in lists; keys that are not there yet come last.

    Args:
        text: the file; "" for a new one.
        path: ends with a key.
        value: plain data, or a YAML node, which keeps its numbers as they are written.

    Raises:
        WarmlineError: `yaml_form`, when the file is written in a way in which the part cannot be replaced by itself.
    """
    node = value if isinstance(value, yaml.Node) else _node(value)
    plain = value if _is_simple(value) else node
    key = str(path[-1])
    return _checked(
        text,
        _edited(text, path[:-1], lambda part: _put_text(part, key, plain), lambda old: _put_node(old, key, node)),
        lambda data: _set(data, path, _data(node)),
    )


def append(text: str, path: Path, row: Mapping[str, object]) -> str:
    """Add a row at the end of the list at `path`, which need not be there yet.

    Raises:
        WarmlineError: as `put`.
    """
    node = _node(row)

    def in_node(old: Any) -> Any:
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [*old.value, _flowing(node)], flow_style=True)

    def added(data: Any) -> Any:
        rows = _get(data, path)
        return _set(data, path, [*(rows or []), _data(node)])

    return _checked(text, _edited(text, path, lambda part: _append_text(part, node), in_node), added)


def remove(text: str, path: Path) -> str:
    """Take out the row or the key at `path`.

    Raises:
        WarmlineError: as `put`.
    """
    last = path[-1]

    def in_node(old: Any) -> Any:
        if isinstance(last, int):
            kept = [item for place, item in enumerate(old.value) if place != last]
        else:
            kept = [pair for pair in old.value if pair[0].value != last]
        return type(old)(old.tag, kept, flow_style=True)

    def removed(data: Any) -> Any:
        around = _get(data, path[:-1])
        if isinstance(around, list):
            rest: object = [item for place, item in enumerate(around) if place != last]
        else:
            rest = {key: item for key, item in around.items() if key != last}
        return _set(data, path[:-1], rest)

    return _checked(text, _edited(text, path[:-1], lambda part: _remove_text(part, last), in_node), removed)


def yaml_of(text: str, path: Path) -> str:
    """Give what is at `path` as YAML in lines of its own; "" when there is nothing.

    Raises:
        WarmlineError: `yaml_form`, when the file is no YAML.
    """
    node = _compose(text)
    for step in path:
        node = _below(node, step)
    if node is None or not node.value:
        return ""
    return _serialized(_in_blocks(node)).rstrip("\n")


def _is_simple(value: object) -> bool:
    """Tell whether `edit_yaml` writes it, near to its old style."""
    return isinstance(value, str | bool) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


# --- the data, every scalar as its text ---------------------------------------------------------------------------


def _checked(text: str, changed: str, expected: Change) -> str:
    """Give `changed` unless it means anything else than the change was to bring about."""
    try:
        before = yaml.load(text, Loader=yaml.BaseLoader)
        after = yaml.load(changed, Loader=yaml.BaseLoader)
        wanted = expected(before if before else {})
    except (yaml.YAMLError, LookupError, AttributeError, TypeError, RecursionError):
        raise unusual_form() from None
    if _stripped(after) != _stripped(wanted):
        raise unusual_form()
    return changed


def _stripped(value: object) -> object:
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return value.strip() if isinstance(value, str) else value


def _get(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step] if isinstance(step, int) else (data or {}).get(step)
    return data


def _set(data: Any, path: Path, value: object) -> Any:
    if not path:
        return value
    step = path[0]
    if isinstance(step, int):
        return [_set(item, path[1:], value) if place == step else item for place, item in enumerate(data)]
    kept = dict(data or {})
    return kept | {step: _set(kept.get(step), path[1:], value)}


def _data(node: Any) -> Any:
    return yaml.load(_serialized(node), Loader=yaml.BaseLoader)


# --- nodes --------------------------------------------------------------------------------------------------------


def _compose(text: str) -> Any:
    try:
        return yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        raise unusual_form() from None


def _node(value: object) -> Any:
    return yaml.compose(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=_WIDTH), yaml.SafeLoader)


def _serialized(node: Any) -> str:
    text: str = yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDTH)
    return text.removesuffix("...\n")


def _below(node: Any, step: Step) -> Any:
    """Give the node at a key or position; None when there is none."""
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def _put_node(old: Any, key: str, value: Any) -> Any:
    pairs = [(name, _like(kept, value) if name.value == key else kept) for name, kept in old.value]
    if all(name.value != key for name, _ in pairs):
        pairs.append((yaml.ScalarNode("tag:yaml.org,2002:str", key), _flowing(value)))
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=True)


def _like(old: Any, node: Any) -> Any:
    """Give a node in the quotes of the old one."""
    if isinstance(old, yaml.ScalarNode) and isinstance(node, yaml.ScalarNode) and old.style in ("'", '"'):
        return yaml.ScalarNode(node.tag, node.value, style='"' if "\n" in node.value else old.style)
    return _flowing(node)


def _flowing(node: Any) -> Any:
    return _styled(node, flow=True)


def _in_blocks(node: Any) -> Any:
    return _styled(node, flow=False)


def _styled(node: Any, *, flow: bool) -> Any:
    if isinstance(node, yaml.MappingNode):
        pairs = [(_styled(key, flow=flow), _styled(value, flow=flow)) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, flow_style=flow or not pairs)
    if isinstance(node, yaml.SequenceNode):
        items = [_styled(item, flow=flow) for item in node.value]
        return yaml.SequenceNode(node.tag, items, flow_style=flow or not items)
    style = node.style
    if "\n" in node.value:
        style = '"' if flow else "|"
    return yaml.ScalarNode(node.tag, node.value, style=style)


# --- texts --------------------------------------------------------------------------------------------------------


def _edited(text: str, path: Path, in_text: Callable[[str], str], in_node: Change) -> str:
    """Change the part at `path`, by its text, or by its node where it is written in braces or brackets."""
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    lines = text.removeprefix(bom)
    if "\r\n" in lines and lines.count("\r\n") != lines.count("\n"):
        raise unusual_form()
    changed = _within(lines.replace("\r\n", "\n"), path, in_text, in_node)
    return bom + (changed.replace("\n", "\r\n") if "\r\n" in lines else changed)


def _within(part: str, path: Path, in_text: Callable[[str], str], in_node: Change) -> str:
    """Change a part that stands by itself: a block at the left edge, or nothing yet."""
    node = _compose(part)
    if node is not None and not _is_block(node):
        raise unusual_form()
    if not path:
        return in_text(part)
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return _within_item(part, node, step, rest, in_text, in_node)
    return _within_key(part, node, step, rest, in_text, in_node)


def _is_block(node: Any) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)


def _is_flow(node: Any) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style) and bool(node.value)


def _within_key(part: str, node: Any, key: str, rest: Path, in_text: Callable[[str], str], in_node: Change) -> str:
    pairs = node.value if node is not None else []
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise unusual_form()
    place = max((n for n, (name, _) in enumerate(pairs) if name.value == key), default=None)
    if place is None:
        end = "" if not part or part.endswith("\n") else "\n"
        return part + end + f"{_quoted(key)}:\n" + indented(_within("", rest, in_text, in_node), 2)
    name, value = pairs[place]
    if _is_flow(value):
        return _replaced_flow(part, value, rest, in_node)
    start = name.start_mark.index
    following = pairs[place + 1][0].start_mark.index if place + 1 < len(pairs) else len(part)
    body = without_tail(part[start:following])
    if _is_block(value):
        begin = part.rfind("\n", 0, value.start_mark.index) + 1
        if begin <= start:
            raise unusual_form()
        inner, indent = part[begin : start + len(body)], value.start_mark.column
        head = part[start:begin]
    elif isinstance(value, yaml.ScalarNode) and value.value not in ("", "~", "null"):
        raise unusual_form()
    else:
        head, inner, indent = f"{_quoted(key)}:\n", "", 2
    changed = _within(outdented(inner, indent), rest, in_text, in_node)
    if changed.strip():
        filled = head + indented(changed, indent)
    else:
        filled = f"{_quoted(key)}: {'[]' if isinstance(value, yaml.SequenceNode) else '{}'}\n"
    return part[:start] + filled + part[start + len(body) :]


def _quoted(key: str) -> str:
    return _serialized(_node(key)).strip()


def _within_item(part: str, node: Any, place: int, rest: Path, in_text: Callable[[str], str], in_node: Change) -> str:
    begin, end, item = _item(part, node, place)
    if _is_flow(item):
        return _replaced_flow(part, item, rest, in_node)
    if not _is_block(item):
        raise unusual_form()
    body = part[begin:end]
    changed = _within(outdented(" " + body[1:], item.start_mark.column), rest, in_text, in_node)
    return part[:begin] + "-" + indented(changed, item.start_mark.column)[1:] + part[end:]


def _item(part: str, node: Any, place: int) -> tuple[int, int, Any]:
    """Give where the lines of an item begin and end, and the item."""
    if not isinstance(node, yaml.SequenceNode) or place >= len(node.value):
        raise unusual_form()
    begins = [part.rfind("\n", 0, item.start_mark.index) + 1 for item in node.value]
    if any(part[begin] != "-" for begin in begins) or sorted(set(begins)) != begins:
        raise unusual_form()
    following = begins[place + 1] if place + 1 < len(begins) else len(part)
    body = without_tail(part[begins[place] : following])
    return begins[place], begins[place] + len(body), node.value[place]


def _replaced_flow(part: str, node: Any, rest: Path, in_node: Change) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    if "\n" in part[start:end] and "#" in part[start:end]:
        raise unusual_form()
    return part[:start] + _serialized(_changed_node(node, rest, in_node)).rstrip("\n") + part[end:]


def _changed_node(node: Any, path: Path, in_node: Change) -> Any:
    if not path:
        if not isinstance(node, yaml.CollectionNode):
            raise unusual_form()
        return in_node(node)
    step, inner = path[0], _below(node, path[0])
    if isinstance(step, int):
        items = [_changed_node(i, path[1:], in_node) if n == step else i for n, i in enumerate(node.value)]
        return yaml.SequenceNode(node.tag, items, flow_style=True)
    empty = yaml.MappingNode("tag:yaml.org,2002:map", [], flow_style=True)
    usable = inner if isinstance(inner, yaml.CollectionNode) else empty
    return _put_node(node, step, _changed_node(usable, path[1:], in_node))


def _put_text(part: str, key: str, value: object) -> str:
    if not isinstance(value, yaml.Node):
        return edit_yaml(part, {key: value})  # type: ignore[dict-item]
    node = _compose(part)
    entry = _serialized(yaml.MappingNode("tag:yaml.org,2002:map", [(_node(key), _in_blocks(value))], flow_style=False))
    pairs = node.value if node is not None else []
    place = max((n for n, (name, _) in enumerate(pairs) if name.value == key), default=None)
    if place is None:
        return part + ("" if not part or part.endswith("\n") else "\n") + entry
    old = pairs[place][1]
    if _is_flow(old):
        flow = _serialized(_flowing(value)).rstrip("\n")
        return part[: old.start_mark.index] + flow + part[old.end_mark.index :]
    start, end = _span(part, pairs, place)
    return part[:start] + entry + part[end:]


def _append_text(part: str, row: Any) -> str:
    lines = _serialized(_in_blocks(row)) if row.value else "{}\n"
    gap = "\n" if "\n\n-" in part else ""
    return part + ("" if not part or part.endswith("\n") else "\n") + gap + "-" + indented(lines, 2)[1:]


def _remove_text(part: str, last: Step) -> str:
    node = _compose(part)
    if isinstance(last, int):
        begin, end, _ = _item(part, node, last)
        return part[:begin] + part[end:]
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    places = [n for n, (name, _) in enumerate(pairs) if name.value == last]
    if len(places) != 1:
        raise unusual_form()
    start, end = _span(part, pairs, places[0])
    return part[:start] + part[end:]


def _span(part: str, pairs: Sequence[Any], place: int) -> tuple[int, int]:
    """Give where a key begins, and where what belongs to it ends."""
    start = pairs[place][0].start_mark.index
    following = pairs[place + 1][0].start_mark.index if place + 1 < len(pairs) else len(part)
    return start, start + len(without_tail(part[start:following]))
