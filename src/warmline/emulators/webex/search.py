"""Search: what the organization's index knows about tasks, some time after it happened (§18.1)."""

import base64
import re
from collections.abc import Callable
from typing import Any

from warmline.emulators.webex.errors import ApiError
from warmline.emulators.webex.graphql import GraphqlError, Selection, parse
from warmline.emulators.webex.state import World

_DAY_MS = 86_400_000
_PAGE = 250
_FIELDS = {
    "id", "status", "isActive", "channelType", "createdTime", "endedTime", "origin", "destination", "direction",
    "terminationType", "terminatingEnd", "terminationReason", "lastQueue", "lastAgent", "activities",
}  # fmt: skip
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda have, want: have == want,
    "notequals": lambda have, want: have != want,
    "contains": lambda have, want: str(want) in str(have),
    "match": lambda have, want: re.search(str(want), str(have)) is not None,
    "gt": lambda have, want: have is not None and have > want,
    "gte": lambda have, want: have is not None and have >= want,
    "lt": lambda have, want: have is not None and have < want,
    "lte": lambda have, want: have is not None and have <= want,
}


def answer(world: World, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Answer a Search query; the query types are `taskDetails` and `task`.

    Raises:
        ApiError: 400 for a query that cannot be read, unknown fields, or a time span against the rules.
    """
    try:
        selections = parse(query, variables)
        return {selection.alias: _tasks(world, selection) for selection in selections}
    except GraphqlError as problem:
        raise ApiError(400, f"Invalid query: {problem}") from problem


def _tasks(world: World, selection: Selection) -> dict[str, Any]:
    if selection.name not in ("taskDetails", "task"):
        raise GraphqlError(f"unknown query type {selection.name}")
    arguments = selection.arguments
    comparator = arguments.get("timeComparator", "createdTime")
    if comparator not in ("createdTime", "endedTime"):
        raise GraphqlError("timeComparator must be createdTime or endedTime")
    wants_activities = any(
        field.name == "activities" for part in selection.fields if part.name == "tasks" for field in part.fields
    )
    since, until = _span(world, arguments, wants_activities)
    _check_filter(arguments.get("filter"))
    for part in selection.fields:
        _check_fields(part)
    rows = [
        row
        for row in _indexed(world)
        if row[comparator] is not None and since <= row[comparator] <= until and _matches(row, arguments.get("filter"))
    ]
    start = _start(arguments.get("pagination"))
    page = rows[start : start + _PAGE]
    return {part.alias: _part(part, page, start + _PAGE, len(rows)) for part in selection.fields}


def _span(world: World, arguments: dict[str, Any], wants_activities: bool) -> tuple[int, int]:
    since, until = arguments.get("from"), arguments.get("to")
    if not isinstance(since, int) or not isinstance(until, int):
        raise GraphqlError("from and to are required, in epoch milliseconds")
    now = world.clock.now_ms()
    until = min(until, now)
    longest = 30 if wants_activities else 365
    if since < now - 36 * 31 * _DAY_MS:
        raise GraphqlError("from is more than 36 months ago")
    if until - since > longest * _DAY_MS:
        raise GraphqlError(f"the time span is longer than {longest} days")
    return since, until


def _indexed(world: World) -> list[dict[str, Any]]:
    """Return the rows as the index has them: every task's last state that is older than the lag."""
    visible = world.clock.now_ms() - world.settings.search_lag_ms
    rows = []
    for task in world.tasks.values():
        row = next((row for at_ms, row in reversed(task.history) if at_ms <= visible), None)
        if row is not None:
            rows.append(row)
    return rows


def _check_filter(condition: Any) -> None:
    if condition is None:
        return
    if not isinstance(condition, dict):
        raise GraphqlError("filter must be an object")
    for name, test in condition.items():
        if name in ("and", "or"):
            if not isinstance(test, list):
                raise GraphqlError(f"{name} must be a list")
            for item in test:
                _check_filter(item)
        elif name not in _FIELDS:
            raise GraphqlError(f"unknown filter field {name}")
        elif not isinstance(test, dict) or not set(test) <= set(_OPERATORS):
            raise GraphqlError(f"the filter of {name} must use {', '.join(_OPERATORS)}")


def _check_fields(part: Selection) -> None:
    known = {"tasks": _FIELDS, "pageInfo": {"hasNextPage", "endCursor"}}.get(part.name)
    if known is None:
        raise GraphqlError(f"unknown field {part.name}")
    for field in part.fields:
        if field.name not in known:
            raise GraphqlError(f"unknown field {part.name}.{field.name}")


def _matches(row: dict[str, Any], condition: Any) -> bool:
    """Whether a row passes a filter that `_check_filter` has passed."""
    for name, test in (condition or {}).items():
        if name in ("and", "or"):
            results = [_matches(row, item) for item in test]
            if not (all(results) if name == "and" else any(results)):
                return False
        elif not all(_OPERATORS[operator](row.get(name), value) for operator, value in test.items()):
            return False
    return True


def _start(pagination: Any) -> int:
    cursor = pagination.get("cursor") if isinstance(pagination, dict) else None
    if cursor in (None, "NA"):
        return 0
    try:
        return int(base64.b64decode(str(cursor), validate=True))
    except ValueError as problem:
        raise GraphqlError("unknown cursor") from problem


def _part(part: Selection, page: list[dict[str, Any]], following: int, total: int) -> Any:
    if part.name == "tasks":
        return [_row(part.fields, row) for row in page]
    has_next = following < total
    cursor = base64.b64encode(str(following).encode()).decode() if has_next else "NA"
    info: dict[str, Any] = {"hasNextPage": has_next, "endCursor": cursor}
    return {field.alias: info[field.name] for field in part.fields}


def _row(fields: list[Selection], row: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in fields:
        value = row.get(field.name)
        if field.name in ("lastQueue", "lastAgent"):
            value = value and {sub.alias: value.get(sub.name) for sub in field.fields}
        shown[field.alias] = value
    return shown
