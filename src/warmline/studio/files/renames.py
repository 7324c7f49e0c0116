"""Gives a flow or a step its new name where other files name it, and leaves everything else byte for byte as it was."""

import ast
from collections.abc import Collection, Iterator

import yaml

from warmline.agent.project.syntax import parse
from warmline.domain.errors import WarmlineError


def renamed_in_python(text: str, lines: Collection[int], old: str, new: str) -> str:
    """Replace the literal `old` on these lines (from 1) of a Python file.

    Raises:
        WarmlineError: `python_form`, when the file is no Python.
    """
    try:
        tree = parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError):
        raise WarmlineError("python_form", "A file that names it is not valid Python. Mend that file first.") from None
    encoded = [line.encode() for line in text.splitlines(keepends=True)]
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and node.value == old
        and node.lineno in lines
        and node.end_lineno == node.lineno
    ]
    for node in sorted(found, key=lambda node: -node.col_offset):
        line, bom = encoded[node.lineno - 1], 3 if node.lineno == 1 and text.startswith("\ufeff") else 0
        start, end = node.col_offset + bom, (node.end_col_offset or 0) + bom
        quote = line[end - 1 : end].decode()
        literal = f"{quote}{new}{quote}" if not set(new) & {"\\", quote, "\n"} else repr(new)
        encoded[node.lineno - 1] = line[:start] + literal.encode() + line[end:]
    return b"".join(encoded).decode()


def renamed_in_yaml(text: str, key: str, old: str, new: str) -> str:
    """Replace the value `old` of every `key`, however deep, in a YAML file.

    Raises:
        WarmlineError: `yaml_form`, when the file is written in a way in which that cannot be replaced by itself.
    """
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    plain = text.removeprefix(bom)
    try:
        root = yaml.compose(plain, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise _unusual() from None
    changed = plain
    places = {node.start_mark.index: node for node in _values(root, key, old)}
    for _, node in sorted(places.items(), reverse=True):
        changed = changed[: node.start_mark.index] + _scalar(new, node.style) + changed[node.end_mark.index :]
    before, after = yaml.load(plain, yaml.BaseLoader), yaml.load(changed, yaml.BaseLoader)
    if _replaced(before, key, old, new) != after:
        raise _unusual()
    return bom + changed


def _values(node: yaml.Node | None, key: str, value: str) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        for name, child in node.value:
            if isinstance(child, yaml.ScalarNode) and name.value == key and child.value == value:
                yield child
            else:
                yield from _values(child, key, value)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _values(child, key, value)


def _replaced(data: object, key: str, old: str, new: str) -> object:
    if isinstance(data, dict):
        return {k: new if k == key and v == old else _replaced(v, key, old, new) for k, v in data.items()}
    return [_replaced(item, key, old, new) for item in data] if isinstance(data, list) else data


def _scalar(value: str, style: str | None) -> str:
    shown: str = yaml.dump(
        value, default_style=style if style in ("'", '"') else None, allow_unicode=True, width=1 << 30
    )
    return shown.removesuffix("\n").removesuffix("...").removesuffix("\n")


def _unusual() -> WarmlineError:
    return WarmlineError("yaml_form", "A file is written in a form that this page cannot change. Use a text editor.")
