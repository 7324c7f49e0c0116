"""Reduction of whatever a project's function hands out to plain data."""

from collections.abc import Mapping
from typing import Any

_DEEPEST = 20
_LONGEST = 200_000
_LARGEST = 2**63


def plain(value: Any, depth: int = 0) -> Any:
    """Give `value` as None, bool, int, float, text, list or dict with text keys.

    Anything else becomes its text. Nothing raises: a `__str__` that does is named instead.
    """
    match value:
        case None | bool() | float():
            return value
        case int():
            return int(value) if -_LARGEST < value < _LARGEST else str(value)
        case str():
            return str(value)[:_LONGEST]
        case Mapping() if depth < _DEEPEST:
            return {plain_text(key): plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            return [plain(item, depth + 1) for item in value]
    return plain_text(value)


def plain_text(value: Any) -> str:
    """Give `value` as text."""
    try:
        return str(value)[:_LONGEST]
    except Exception as error:
        return f"<{type(value).__name__} whose text cannot be had: {type(error).__name__}>"
