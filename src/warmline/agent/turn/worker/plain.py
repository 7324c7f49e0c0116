"""Reduction of whatever a project's function hands out to plain data."""

import sys
from collections.abc import Mapping
from typing import Any

_DEEPEST = 20
_LONGEST = 200_000
WHOLE = sys.maxsize
"""For what must not be cut, because its size is judged by a limit of its own."""
_LARGEST = 2**63


def plain(value: Any, depth: int = 0, *, longest: int = _LONGEST) -> Any:
    """Give `value` as None, bool, int, float, text, list or dict with text keys.

    Anything else becomes its text. Nothing raises: a `__str__` that does is named instead. Texts are cut after
    `longest` characters.
    """
    match value:
        case None | bool() | float():
            return value
        case int():
            return int(value) if -_LARGEST < value < _LARGEST else str(value)
        case str():
            return str(value)[:longest]
        case Mapping() if depth < _DEEPEST:
            return {plain_text(key): plain(item, depth + 1, longest=longest) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            return [plain(item, depth + 1, longest=longest) for item in value]
    return plain_text(value, longest=longest)


def plain_text(value: Any, *, longest: int = _LONGEST) -> str:
    """Give `value` as text, cut after `longest` characters."""
    try:
        return str(value)[:longest]
    except Exception as error:
        return f"<{type(value).__name__} whose text cannot be had: {type(error).__name__}>"
